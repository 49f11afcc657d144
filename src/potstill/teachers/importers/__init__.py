"""Internal: teachers that other libraries trained: CORL's ``.pt``, stable-baselines3's ``.zip``, d3rlpy's ``.d3``."""

from __future__ import annotations

from pathlib import Path

from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError, make_unknown_name_error, naming_source
from potstill.networks.policy import Policy
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.importers.corl import read_corl
from potstill.teachers.importers.d3rlpy import read_d3rlpy
from potstill.teachers.importers.sb3 import read_sb3

READERS = {"corl": read_corl, "stable-baselines3": read_sb3, "d3rlpy": read_d3rlpy}
SUFFIXES = {".pt": "corl", ".pth": "corl", ".zip": "stable-baselines3", ".d3": "d3rlpy"}


@check_arguments
def import_teacher(
    path: StrPath, *, data: Transitions | None = None, normaliser: Normaliser | None = None
) -> NetworkTeacher:
    """Read a teacher that another library trained. No code from the file is executed.

    Args:
        path: a CORL checkpoint (``.pt``), a SAC or TD3 of stable-baselines3 (``.zip``) or a d3rlpy model (``.d3``),
            recognised by the suffix.
        data: the dataset that the teacher was trained on. CORL checkpoints contain no action bounds, which are those of
            ``data`` or else ±1, and no normaliser, which is recomputed from ``data`` (mean, std + 1e-3). The others
            contain both: teachers act as in their own library.
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
    if path.suffix not in SUFFIXES:
        raise make_unknown_name_error("kind of teacher file", path.suffix or str(path), SUFFIXES)
    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    kind = SUFFIXES[path.suffix]
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
