"""Resolve the policy to export from an object or a path. The students of a distillate are trained here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from potstill.bundled import find_artefact_path, list_bundled_names
from potstill.distillate import Distillate, load
from potstill.environments.observations.rule import ENTRY, read_rule
from potstill.errors import PotstillError
from potstill.exports.policies.base import ExportedPolicy, stack_policies
from potstill.networks.policy import Policy, load_policy
from potstill.runtime import storage
from potstill.runtime.files import JsonObject, StrPath, to_json
from potstill.runtime.run_folder import list_artefact_folders, list_places_beside
from potstill.students.ensemble import Students
from potstill.teachers.base import NetworkTeacher, load_teacher
from potstill.teachers.importers import import_teacher, is_foreign


def load_source(path: StrPath, *, teacher: bool) -> Distillate | NetworkTeacher | Policy:
    """Load a distillate, a teacher or a policy.

    Args:
        path: a run folder, an artefact, a file of another library, or a bundled name.
        teacher: load the teacher of a run or of a distillate.

    Raises:
        PotstillError: there is no such file, it is of another kind, or the teacher of a distillate is not found.
    """
    if is_foreign(Path(path)):
        return import_teacher(path)
    files = {kind: find_artefact_path(path, kind) for kind in ("distillate", "teacher", "policy")}
    found = [file for file in files.values() if file.is_file()]
    if not found:
        where = "no distillate and no teacher in this folder" if Path(path).is_dir() else "no such run folder or file"
        raise PotstillError(f"{path}: {where}: expected a run of potstill distill or teach, or an artefact")
    if teacher and files["teacher"] in found and storage.read_kind(files["teacher"]) == "teacher":
        return load_teacher(files["teacher"])
    kind = storage.read_kind(found[0])
    if kind == "policy" and not teacher:
        return load_policy(found[0])
    if kind == "teacher":
        return load_teacher(found[0])
    distillate = load(found[0])
    return find_own_teacher(distillate, path) if teacher else distillate


def find_own_teacher(distillate: Distillate, path: StrPath) -> NetworkTeacher:
    """Load the teacher that a distillate was made with, from the settings in the distillate or the run folders nearby.

    Raises:
        PotstillError: no file contains the networks of that teacher.
    """
    wanted = distillate.metadata.get("teacher")
    if not isinstance(wanted, Mapping):
        raise PotstillError(f"{path}: made without a teacher")
    for file in _find_possible_teachers(distillate, Path(path)):
        if not file.is_file():
            continue
        teacher = import_teacher(file) if is_foreign(file) else load_teacher(file)
        if teacher.content_hash == wanted.get("sha256"):
            return teacher
    raise PotstillError(f"{path}: its teacher, {wanted.get('algorithm', 'unnamed')}, was not found: pass its path")


def _find_possible_teachers(distillate: Distillate, path: Path) -> Iterator[Path]:
    settings = distillate.metadata.get("settings", {})
    names = [settings.get("teacher")]
    if settings.get("dataset") in list_bundled_names():
        names.append(settings["dataset"])
    yield from (find_artefact_path(name, "teacher") for name in names if isinstance(name, str))
    run = path if path.is_dir() else path.parent
    yield from (folder / "teacher.safetensors" for folder in list_artefact_folders(list_places_beside(run), "teacher"))


def resolve_policy(
    source: Distillate | Students | Policy | NetworkTeacher | StrPath,
    *,
    student: int | None,
    average: int | None,
    teacher: bool,
) -> ExportedPolicy:
    """Make the policy to export. Students of a distillate are trained with its recipe.

    Args:
        source: a distillate; or a policy, several students or a teacher, which are exported directly; or the path
            of one of these.
        student: the seed of the one student. Default: 0.
        average: the number of students, with seeds from 0, whose actions are averaged.
        teacher: read the teacher of the run or the distillate at the path.

    Raises:
        PotstillError: there is no such file, or an option does not apply to the source.
    """
    path = source if isinstance(source, str | Path) else None
    where = "" if path is None else f"{path}: "
    if not isinstance(source, Distillate | Students | Policy | NetworkTeacher):
        source = load_source(source, teacher=teacher)
    elif teacher and not isinstance(source, NetworkTeacher):
        raise PotstillError("teacher requires a path or a bundled name: pass the teacher itself")
    if not isinstance(source, Distillate):
        given = {"student": student, "average": average}
        for option in [option for option, value in given.items() if value is not None]:
            raise PotstillError(f"{where}not a distillate, so there are no students to train: leave out --{option}")
    if isinstance(source, Distillate):
        seeds = [student or 0] if average is None else list(range(average))
        facts = {**_describe_students(seeds), **_describe_distillate(source)}
        return _stack_students(source.train_students(seeds), facts)
    if isinstance(source, Students):
        return _stack_students(source, {"policy": f"{len(source)} students", **_describe_version()})
    if isinstance(source, NetworkTeacher):
        return stack_policies([source.policy], _describe_teacher(source))
    return stack_policies([source], {"policy": "policy", **_describe_saved_policy(path), **_describe_version()})


def _stack_students(students: Students, facts: JsonObject) -> ExportedPolicy:
    return stack_policies([students.make_policy(i) for i in range(len(students))], facts)


def _describe_version() -> JsonObject:
    return {"potstill": version("potstill")}


def _describe_students(seeds: list[int]) -> JsonObject:
    if len(seeds) == 1:
        return {"policy": f"student with seed {seeds[0]}"}
    return {"policy": f"mean action of {len(seeds)} students with seeds 0 to {seeds[-1]}"}


def _describe_input(metadata: Mapping[str, object]) -> JsonObject:
    """Describe what the inputs of a network are, in order, if observations are not vectors: in words and as values."""
    rule = read_rule(metadata.get(ENTRY))
    return {} if rule is None else {"input": rule.describe(), ENTRY: rule.to_json()}


def _describe_distillate(distillate: Distillate) -> JsonObject:
    dataset = distillate.metadata["dataset"]
    facts: JsonObject = to_json(
        {
            "env_id": distillate.env_id,
            **_describe_input(distillate.metadata),
            "dataset": dataset.get("name") if isinstance(dataset, Mapping) else dataset,
            "dataset_sha256": dataset.get("sha256") if isinstance(dataset, Mapping) else None,
            "distillate_sha256": distillate.content_hash,
            "recipe": distillate.recipe.to_metadata(),
            **_describe_version(),
        }
    )
    return facts


def _describe_saved_policy(path: StrPath | None) -> JsonObject:
    """Describe the environment and the inputs of a saved policy, such as that of ``potstill finetune``."""
    if path is None:
        return {}
    metadata = storage.load(find_artefact_path(path, "policy"), "policy")[1]
    kept = {name: metadata[name] for name in ("env_id", "algorithm", "steps", "distillate_sha256") if name in metadata}
    return kept | _describe_input(metadata)


def _describe_teacher(teacher: NetworkTeacher) -> JsonObject:
    metadata = teacher.metadata
    facts: JsonObject = to_json(
        {
            "policy": f"teacher, {metadata.get('algorithm', 'unknown algorithm')}",
            "env_id": metadata.get("env_id"),
            **_describe_input(metadata),
            "dataset": metadata.get("dataset"),
            "dataset_sha256": metadata.get("dataset_hash"),
            "teacher_sha256": teacher.content_hash,
            **_describe_version(),
        }
    )
    return facts
