"""``potstill evaluate``: train students on a distillate and measure them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from potstill.config import EvaluateConfig
from potstill.config.settings import configured
from potstill.data.registry import load_dataset
from potstill.distillate import distillate_path, load
from potstill.errors import PotstillError
from potstill.evaluation.scores import score_offline, score_students, train_crew
from potstill.reports import print_offline, print_scores
from potstill.runtime import devices
from potstill.runtime.run_folder import RunFolder, check_free
from potstill.runtime.storage import file_hash
from potstill.students.recipe import recipe_named
from potstill.teachers.lookup import find_teacher


@configured(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> Path:
    """Train students on a distillate; let them play, or compare them with the teacher.

    With an environment named in the file, the students and their ensemble play episodes from varied
    starts. With ``dataset`` (needed where there is no environment) they are also compared with the
    teacher on held-out states: imitation error and Q-gap.

    Returns:
        The run folder, with ``result.json``.

    Raises:
        PotstillError: a file that is no distillate, an unknown recipe, nothing to evaluate against.

    Example:
        >>> import potstill
        >>> run = potstill.evaluate("runs/demo", students=3)  # doctest: +SKIP
    """
    distillate = load(config.distillate)
    if config.recipe is not None:
        recipe_named(config.recipe)
    devices.use(config.devices)
    if distillate.env_id is None and config.dataset is None:
        raise PotstillError(f"{config.distillate} names no environment: give --dataset and --teacher to compare with")
    check_free(config.out, force=config.force)
    data = teacher = None
    if config.dataset is not None:
        data = load_dataset(config.dataset, download=config.download, action_scale=config.action_scale)
        teacher = find_teacher(config.teacher, config.dataset, data)
        if distillate.states.shape[1] != data.state_size:
            raise PotstillError(f"{data.name} has {data.state_size} states, the pairs {distillate.states.shape[1]}")
    folder = RunFolder(config.out, "evaluate", config, force=config.force)
    result: dict[str, Any] = {
        "recipe": config.recipe or distillate.metadata["recipe"],
        "env_id": distillate.env_id,
        "pairs": len(distillate),
    }
    crew, seconds = train_crew(distillate, config.students, config.seed, config.recipe)
    result["seconds"] = {"training": seconds}
    if distillate.env_id is not None:
        result["reference"] = distillate.reference._asdict()
        result |= score_students(crew, distillate.env_id, config.episodes, config.seed, distillate.reference)
        print_scores(result)
    if data is not None and teacher is not None:
        result["offline"] = score_offline(crew, data, teacher)
        print_offline(result["offline"])
    folder.finish(result | {"sha256": file_hash(distillate_path(config.distillate))})
    print(f"results in {folder.path}")
    return folder.path
