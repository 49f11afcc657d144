"""Internal: run folders, storage, progress, devices, and registries of named parts."""
