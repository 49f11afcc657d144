"""``potstill export-policy``: write a policy as a file that runs without potstill."""

from __future__ import annotations

from pathlib import Path

from potstill.commands.formats import find_format
from potstill.config import ExportPolicyConfig
from potstill.distillate import Distillate
from potstill.errors import PotstillError, name_option
from potstill.exports.policies.registry import POLICY_FORMATS
from potstill.exports.policies.sources import resolve_policy
from potstill.exports.policies.writing import write_policy
from potstill.exports.writing import check_target
from potstill.networks.policy import Policy
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath
from potstill.students.ensemble import Students
from potstill.teachers.base import NetworkTeacher


@check_arguments
def export_policy(
    source: Distillate | Students | Policy | NetworkTeacher | StrPath,
    path: StrPath,
    format: str | None = None,
    *,
    student: int | None = None,
    average: int | None = None,
    teacher: bool = False,
    force: bool = False,
) -> Path:
    """Write a policy as one file that runs without potstill: a student, the mean of several, or the teacher.

    =========  =================  ======================================================================
    ``onnx``   ``.onnx``          graph from ``observation`` [batch, S] to ``action`` [batch, A]
    ``c``      ``.h``             C99 header with one function, without dependencies and allocation
    ``numpy``  ``.py``            Python module with a function ``act``, which needs only NumPy
    ``torch``  ``.safetensors``   weights of an ``nn.Sequential``, or of the actor in stable-baselines3
    =========  =================  ======================================================================

    All but ``torch`` map observations to actions in the units of the environment, like :class:`potstill.Policy`. The
    outputs of ``torch`` lie in [−1, 1]. Every format also holds the environment, the dataset, the SHA-256 of the
    distillate or of the teacher, sizes, normaliser, action bounds, recipe and the version of potstill. A policy acts
    without noise: its action is the mean action.

    Args:
        source: a distillate, from which students are trained with its recipe; students, whose actions are averaged; a
            policy or a teacher; or the run folder, file or bundled name of one of these.
        path: the file to write.
        format: a name from the table, or of a format that another package registers. The default is the format with
            the suffix of ``path``.
        student: seed of the student. Default: 0.
        average: export the mean action of this number of students, with seeds 0, 1, …
        teacher: export the teacher of a run or a distillate instead of a student.
        force: replace an existing file.

    Returns:
        ``path``.

    Raises:
        PotstillError: there is no such source, the format is unknown or cannot hold the policy, its library is missing,
            the path exists or cannot be written, or options contradict each other.

    >>> import tempfile
    >>> import potstill
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = potstill.export_policy("hopper-medium-replay", f"{folder}/hopper.h", teacher=True)
    ...     "hopper_act(observation, action);" in path.read_text()
    True
    """
    path = Path(path)
    form = find_format(path, format, POLICY_FORMATS)
    form.check_installed()
    _check_choice(student, average, teacher=teacher)
    form.check_members(average or 1, path)
    check_target(path, force=force, is_file=True)
    policy = resolve_policy(source, student=student, average=average, teacher=teacher)
    return write_policy(policy, path, form, force=force)


def run_export_policy(config: ExportPolicyConfig) -> Path:
    """Run the command: :func:`export_policy`, with its options in a config."""
    path = export_policy(
        config.source,
        config.path,
        config.format,
        student=config.student,
        average=config.average,
        teacher=config.teacher,
        force=config.force,
    )
    print(path)
    return path


def _check_choice(student: int | None, average: int | None, *, teacher: bool) -> None:
    """Raise if more than one of the options selects a policy, or a number is too small."""
    given = [
        name_option(name)
        for name, chosen in {"student": student is not None, "average": average is not None, "teacher": teacher}.items()
        if chosen
    ]
    if len(given) > 1:
        raise PotstillError(f"{' and '.join(given)} cannot be combined: choose one of them")
    for name, number, least in (("student", student, 0), ("average", average, 1)):
        if number is not None and number < least:
            raise PotstillError(f"{name_option(name, number)}: expected at least {least}")
