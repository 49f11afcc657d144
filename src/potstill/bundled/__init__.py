"""The datasets inside the package.

Each dataset NAME has these files:

- ``NAME.hdf5``: the rows, with the dataset's card;
- ``NAME.teacher.safetensors``: a teacher, and ``NAME.teacher.json``: settings and results of its training;
- ``NAME.bc.json``: returns of behavioural cloning on all rows;
- ``NAME.distillate.safetensors``: the distillate that ``potstill distill NAME`` makes.
"""

from pathlib import Path

BUNDLED = Path(__file__).parent


def bundled_names() -> list[str]:
    """Names of the bundled datasets."""
    return sorted(path.stem for path in BUNDLED.glob("*.hdf5"))
