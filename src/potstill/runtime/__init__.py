"""Internal: run folders, storage, progress, devices, executors, checks of arguments, and registries of named parts."""
