"""Run folders, storage, progress and devices."""
