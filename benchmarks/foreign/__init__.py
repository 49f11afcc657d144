"""Scripts that train students without potstill: from a ``.npz`` export, with other people's code."""
