"""The commands, one file each: what the command line calls and what ``potstill`` exports."""
