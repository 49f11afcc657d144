"""Dataset formats, one module each. :mod:`potstill.data.registry` lists them by file suffix and by name scheme."""
