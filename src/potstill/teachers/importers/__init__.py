"""Internal: teachers that other libraries trained.

They are CORL's ``.pt`` (or its arrays as ``.safetensors``), stable-baselines3's ``.zip`` and d3rlpy's ``.d3``.
"""

from __future__ import annotations

from pathlib import Path

from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError, make_unknown_name_error, naming_source
from potstill.networks.policy import Policy
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.importers.corl import read_corl
from potstill.teachers.importers.d3rlpy import read_d3rlpy
from potstill.teachers.importers.sb3 import read_sb3

READERS = {"corl": read_corl, "stable-baselines3": read_sb3, "d3rlpy": read_d3rlpy}
SUFFIXES = {".pt": "corl", ".pth": "corl", ".zip": "stable-baselines3", ".d3": "d3rlpy"}
ARRAYS = ".safetensors"  # of potstill, or of others: CORL's arrays by their names


def is_foreign(path: Path) -> bool:
    """Whether a file is that of another library, as far as its suffix and its arrays' names say.

    Raises:
        PotstillError: the file is damaged.
    """
    if path.suffix != ARRAYS or not path.is_file():
        return path.suffix in SUFFIXES
    return storage.read_kind(path) is None and any(name.startswith("actor.") for name in storage.read_names(path))


@check_arguments
def import_teacher(
    path: StrPath, *, data: Transitions | None = None, normaliser: Normaliser | None = None
) -> NetworkTeacher:
    """Read a teacher that another library trained. No code from the file is executed.

    Args:
        path: a CORL checkpoint (``.pt``, or its arrays as ``.safetensors``), a SAC or TD3 of stable-baselines3
            (``.zip``) or a d3rlpy model (``.d3``), recognised by the suffix.
        data: the dataset that the teacher was trained on. CORL checkpoints contain no action bounds, which are those of
            ``data`` or else ±1, and no normaliser, which is recomputed from ``data`` (mean, std + 1e-3) unless a
            ``.safetensors`` file has ``observation_mean`` and ``observation_std``. The others contain both: teachers
            act as in their own library.
        normaliser: the normaliser, if it is not to be computed from ``data``.

    Raises:
        PotstillError: an unknown suffix, a damaged file, an unsupported network, weights that are not finite, or a
            missing normaliser.

    Example:
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> teacher = potstill.import_teacher("checkpoint.pt", data=data)  # doctest: +SKIP
    """
    path = Path(path)
    kinds = {**SUFFIXES, ARRAYS: "corl"}
    if path.suffix not in kinds:
        raise make_unknown_name_error("kind of teacher file", path.suffix or str(path), kinds)
    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    kind = kinds[path.suffix]
    try:
        found = READERS[kind](path)
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # errors that the readers did not anticipate
        raise PotstillError(f"{path}: not a teacher in the format of {kind} ({error!r})") from None
    normaliser = normaliser or found.normaliser
    if normaliser is None and kind == "corl":
        if data is None:
            raise PotstillError(f"{path}: CORL checkpoints have no normaliser: name the dataset, or pass a normaliser")
        normaliser = data.normaliser
    layers, head = found.layers, found.head
    size = len(layers[-1]["bias"]) // (1 if head == "tanh" else 2)
    bounds = found.bounds or (ActionBounds.unit(size) if data is None else data.action_bounds)
    with naming_source(path):
        scaling = Scaling(normaliser or Normaliser.identity(len(layers[0]["weight"])), bounds)
        metadata: JsonObject = {"algorithm": found.algorithm, "source": f"{kind}: {path.name}"}
        if data is not None:
            metadata["env_id"] = data.env_id
        return NetworkTeacher(Policy(layers, scaling, head), found.critics, metadata, layer_norm=False)
