"""The video of ``potstill evaluate``: what it needs is checked first, and it is recorded last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.commands.sources import Sources, find_made_from
from potstill.config import EvaluateConfig
from potstill.distillate import Distillate
from potstill.environments.drawing import check_drawable
from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError, name_option
from potstill.evaluation.scores import FIRST_SEED
from potstill.exports.writing import check_target
from potstill.networks.policy import Policy
from potstill.reports.video import check_encoder, record_video
from potstill.runtime.progress import busy
from potstill.students.ensemble import Students

SECONDS = 10.0


@dataclass(frozen=True)
class VideoPlan:
    """A video that can be recorded."""

    path: Path
    env_id: str
    seed: int
    """Seed of the first episode: that of the first student's first episode in the evaluation."""
    teacher: Policy | None
    rule: ObservationRule | None = None

    def record(self, students: Students) -> None:
        """Record the first student, to the right of the teacher if it is known."""
        left = {} if self.teacher is None else {"teacher": self.teacher}
        with busy(f"recording {self.path}"):
            policies = left | {"student": students.make_policy(0)}
            record_video(self.path, policies, self.env_id, seed=self.seed, seconds=SECONDS, rule=self.rule)
        print(self.path)


def plan_video(config: EvaluateConfig, distillate: Distillate, sources: Sources | None) -> VideoPlan | None:
    """Check that the video of a config can be recorded, and find the teacher; ``None`` if no video is wanted.

    Raises:
        PotstillError: there is no environment, it cannot be drawn here, the encoder is missing, or the file exists.
    """
    if config.video is None:
        return None
    if distillate.env_id is None:
        raise PotstillError(f"{name_option('video')} needs an environment to draw: set {name_option('env_id')}")
    check_encoder()
    path = Path(config.video)
    check_target(path, force=config.force or config.resume, is_file=True)
    with busy(f"drawing {distillate.env_id}"):
        check_drawable(distillate.env_id, distillate.rule)
    seed = FIRST_SEED + 1000 * config.seed
    return VideoPlan(path, distillate.env_id, seed, _find_teacher(config, distillate, sources), distillate.rule)


def _find_teacher(config: EvaluateConfig, distillate: Distillate, sources: Sources | None) -> Policy | None:
    """Find the teacher of the config, else that of the pairs. Without one, say so."""
    try:
        if sources is None and isinstance(config.distillate, Distillate):
            raise PotstillError("a distillate that is given as an object has no run folder with its teacher")
        found = sources or find_made_from(config.distillate, distillate)  # type: ignore[arg-type]
    except PotstillError as error:
        print(f"{name_option('video')} shows the student alone: {error}", flush=True)
        return None
    return None if found.teacher is None else found.teacher.policy
