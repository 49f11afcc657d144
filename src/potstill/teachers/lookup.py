"""Find a teacher: a potstill file, a file of another library, or the teacher bundled with a dataset."""

from __future__ import annotations

from pathlib import Path

from potstill.bundled import find_artefact_path, list_bundled_names
from potstill.data.bounds import describe_bounds, name_bounds
from potstill.data.transitions import Transitions
from potstill.data.units import are_same_bounds
from potstill.environments.observations.rule import ENTRY, read_rule
from potstill.errors import PotstillError, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath
from potstill.teachers.base import NetworkTeacher, load_teacher
from potstill.teachers.importers import import_teacher, is_foreign

FOLDER = "teacher"  # of the teacher that a distillation trained, in its run folder


@check_arguments
def find_teacher(teacher: StrPath | NetworkTeacher | None, dataset: object, data: Transitions) -> NetworkTeacher:
    """Load or import the teacher for a dataset, and check that its sizes are those of the data.

    Args:
        teacher: anything that :func:`load_teacher` or :func:`import_teacher` reads, a teacher object, or ``None`` for
            the teacher bundled with ``dataset``.
        dataset: the name or path that the user gave.
        data: its transitions.

    Raises:
        PotstillError: no teacher is given and none is bundled, it has a wrong type, or its sizes or action bounds
            differ from the data's.

    Example:
        >>> import numpy as np, potstill
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(100))
        >>> find_teacher(None, "hopper-medium-replay", data).action_size
        3
    """
    if teacher is None and str(dataset) not in list_bundled_names():
        if not isinstance(dataset, str | Path):
            raise PotstillError(f"{data.name}: a dataset given as an object has no bundled teacher: pass teacher=...")
        raise PotstillError(
            f"{dataset} has no bundled teacher: train one with 'potstill teach {dataset}', and set "
            f"{name_option('teacher')}"
        )
    if isinstance(teacher, NetworkTeacher):
        found, source = teacher, "the teacher"
    else:
        path = find_artefact_path(str(dataset) if teacher is None else teacher, "teacher")
        found, source = import_teacher(path, data=data) if is_foreign(path) else load_teacher(path), str(path)
    kinds = ["discrete" if b.discrete else "continuous" for b in (found.policy.action_bounds, data.action_bounds)]
    if kinds[0] != kinds[1]:
        raise PotstillError(f"{source} takes {kinds[0]} actions, but the actions of {data.name} are {kinds[1]}")
    states, actions = len(found.normaliser.mean), found.action_size
    if (states, actions) != (data.state_size, data.action_size):
        raise PotstillError(
            f"{source} has {states} state and {actions} action components, "
            f"but {data.name} has {data.state_size} and {data.action_size}"
        )
    rules = [stored for stored in (found.metadata.get(ENTRY), data.card.get(ENTRY)) if stored is not None]
    if len(rules) == 2 and rules[0] != rules[1]:
        seen = [read_rule(stored) for stored in rules]
        raise PotstillError(
            f"{source} sees {seen[0] and seen[0].describe()}; but the states of {data.name} are "
            f"{seen[1] and seen[1].describe()}"
        )
    if not are_same_bounds(found.policy.action_bounds, data.action_bounds):
        box = found.policy.action_bounds
        raise PotstillError(
            f"{source} acts in {describe_bounds(box)}, but the action bounds of {data.name} are "
            f"{describe_bounds(data.action_bounds)}: read the data with {name_bounds(box.low, box.high)}"
        )
    return found
