"""Internal: offline evaluation of teachers. The public names are those of :mod:`potstill.teachers`."""
