"""The evaluations of a distillation: the points of its curve and the final scores, with the remaining time."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from potstill.commands.comparison import compare_students
from potstill.commands.sources import Sources
from potstill.config import DistillConfig
from potstill.data.split import select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.environments.references import Reference
from potstill.evaluation.diagnosis import diagnose_students
from potstill.evaluation.scores import (
    TEACHER_SEED,
    measure_policy_returns,
    score_random,
    score_students,
    train_for_evaluation,
)
from potstill.evaluation.statistics import describe_data, summarise
from potstill.reports.text import count_students
from potstill.runtime.files import JsonObject
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder
from potstill.runtime.work import Work
from potstill.students.ensemble import Students
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World

CURVE_STUDENTS, CURVE_EPISODES, CURVE_SEED = 2, 5, 7  # for each point of the curve: cheap but noisy
LEAST_EPISODES = 10  # of a teacher and of an ensemble
CURVE_UNITS = CURVE_STUDENTS * (CURVE_EPISODES + LEAST_EPISODES)  # episodes; an ensemble's count for each student
PARTS = 4  # of the final evaluation


@dataclass
class Evaluations:
    """Measures students of one distillation, at points of its curve and at its end; counts the remaining work."""

    config: DistillConfig
    data: Transitions
    teacher: NetworkTeacher | None
    reference: Reference
    folder: RunFolder
    """Stores the scores; a resumed run reuses them."""
    world: World | None = None
    """The world model in which students are evaluated, if any."""
    training_seconds: float = 0.0
    """Time spent on training the students of the final evaluation."""
    work: Work = field(default_factory=Work)
    """The remaining work: students to train, and episodes. An episode of an ensemble counts once for each student."""

    @property
    def env_id(self) -> str | None:
        """The environment in which students are evaluated, if any."""
        return self.data.env_id if self.config.episodes else None

    @property
    def _least(self) -> int:
        return max(LEAST_EPISODES, self.config.episodes)

    def plan(self, points: int) -> None:
        """Count the work, with ``points`` points of the curve."""
        config = self.config
        self.work.left = {"student": config.students}
        if self.env_id is not None:
            played = config.students * (2 * config.episodes + self._least) + (self._least if self.teacher else 0)
            students = points * CURVE_STUDENTS + 2 * config.students
            self.work.left = {"student": students, "episode": points * CURVE_UNITS + played}

    def score_point(self, distillate: Distillate, tracker: Tracker) -> dict[str, float]:
        """The scores of a few students, for a point of the curve; nothing without an environment."""
        if self.env_id is None:
            return {}
        cold = not tracker.done  # the first point contains compilations
        with tracker.phase(f"training {CURVE_STUDENTS} students", cold=cold, student=CURVE_STUDENTS):
            students, _ = train_for_evaluation(distillate, CURVE_STUDENTS, seed=CURVE_SEED)
        with tracker.phase(f"episodes of {CURVE_STUDENTS} students", cold=cold, episode=CURVE_UNITS):
            scores = score_students(students, self.env_id, CURVE_EPISODES, CURVE_SEED, self.reference, self.data.rule)
        single = scores["student"]
        return {"student": single["mean"], "student_std": single["std"], "ensemble": scores["ensemble"]["mean"]}

    def score(self, distillate: Distillate) -> JsonObject:
        """Evaluate teacher, random pairs, students and ensemble, and compute offline scores if there is a teacher.

        Returns:
            The scores; ``warnings`` lists faults of the students.
        """
        config = self.config
        result: JsonObject = {"data": describe_data(self.data, self.reference)}
        result |= dict.fromkeys(("teacher", "random", "student", "ensemble"))
        with Tracker("evaluate", PARTS, work=self.work) as tracker:
            with tracker.phase(f"training {count_students(config.students)}", student=config.students):
                students, self.training_seconds = train_for_evaluation(distillate, config.students, config.seed)
            tracker.update(1)
            if self.env_id is not None:
                result |= self._play(self.env_id, distillate, students, tracker)
            tracker.update(PARTS - 1)
            result |= compare_students(
                students,
                Sources(self.data, self.teacher),
                self.world,
                self.reference,
                self.folder,
                tracker.phase,
                episodes=config.episodes,
                seed=config.seed,
            )
            result["warnings"] = diagnose_students(students, self.data, result)
            tracker.update(PARTS)
        return result

    def _play(self, env_id: str, distillate: Distillate, students: Students, tracker: Tracker) -> JsonObject:
        """The scores of the teacher, of students of random pairs and of the students."""
        config, once, found = self.config, self.folder.compute_once, {}
        counts = {"students": config.students, "episodes": config.episodes, "seed": config.seed}
        if self.teacher is not None:
            act = self.teacher.policy
            with tracker.phase("episodes of the teacher", cold=True, episode=self._least):
                asked = act, env_id, self._least, TEACHER_SEED, self.data.rule
                returns = functools.partial(measure_policy_returns, *asked)
                found["teacher"] = once("teacher", lambda: summarise(returns(), self.reference))
        played = config.students * config.episodes
        with tracker.phase("students of random pairs", student=config.students, episode=played):
            training = self.data.take(select_training_rows(len(self.data)))
            found["random"] = once("random", lambda: score_random(training, distillate, **counts))
        tracker.update(2)
        settings = config.episodes, config.seed, self.reference, self.data.rule
        score = functools.partial(score_students, students, env_id, *settings)
        together = config.students * self._least
        with tracker.phase(f"episodes of {count_students(config.students)}", episode=played + together):
            return {**found, **once("students", score)}
