"""Internal: offline-RL algorithms, one module each. The public ones are names of :mod:`potstill.teachers`."""
