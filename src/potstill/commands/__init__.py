"""Internal: the commands, one file each. The command line calls them, and ``potstill`` exports them."""
