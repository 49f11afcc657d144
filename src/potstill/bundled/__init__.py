"""Data inside the package: for each bundled dataset NAME its rows, its teacher and a distillate of it.

``NAME.hdf5`` holds the rows with their card, ``NAME.teacher.safetensors`` the teacher, ``NAME.teacher.json``
the run that made it, ``NAME.bc.json`` behavioural cloning on all rows, ``NAME.distillate.safetensors`` what
``potstill distill NAME`` makes.
"""

from pathlib import Path

BUNDLED = Path(__file__).parent


def bundled_names() -> list[str]:
    """Names of the datasets inside the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.hdf5"))
