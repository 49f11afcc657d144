"""Run folders, storage, progress, devices, and registries of named parts."""
