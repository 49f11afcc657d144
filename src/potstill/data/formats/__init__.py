"""Internal: dataset formats, one module each. :mod:`potstill.data.registry` lists them by suffix and name scheme."""
