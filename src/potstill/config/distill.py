"""Settings of ``potstill distill``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from potstill.config.distill_record import from_stored
from potstill.config.private import check_private
from potstill.config.reading import ReadingConfig, positional_first
from potstill.config.settings import check_resume, parse_seconds
from potstill.config.states import (
    OF_DATA,
    PORTFOLIO_STEPS,
    USUAL_STEPS,
    check_rollouts,
    find_obstacle,
    has_portfolio_defaults,
    resolve_state_defaults,
)
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonObject
from potstill.runtime.validation import check_finite, check_ranges, check_types

if TYPE_CHECKING:
    from potstill.config.option_types import (
        Dataset,
        ObjectiveOption,
        PathOption,
        RecipeOption,
        SolverOption,
        TeacherSource,
    )
else:
    from potstill.config.cli_types import (
        Dataset,
        ObjectiveOption,
        PathOption,
        RecipeOption,
        SolverOption,
        TeacherSource,
    )


BY_VALUE = ("dataset", "teacher", "objective", "solver", "recipe")


@positional_first
@dataclass(frozen=True)
class DistillConfig(ReadingConfig):
    """Distil a dataset and its teacher into a few hundred pairs, and evaluate students."""

    is_command: ClassVar[bool] = True
    unnamed_parts: ClassVar[JsonObject] = OF_DATA  # which fields without a name change, if no states are given

    dataset: Dataset
    """A bundled name, minari:ID, d4rl:NAME, or a path, as for `potstill teach`. In Python also Transitions, a mapping
    of arrays, a data frame, or a replay buffer of stable-baselines3."""

    _: KW_ONLY

    teacher: TeacherSource | None = None
    """A file of `potstill teach`, CORL (.pt), stable-baselines3 (.zip) or d3rlpy (.d3); in Python also a
    potstill.NetworkTeacher. Default: the bundled teacher; else one trained on the same data by a run in the same folder
    or in runs; else a new one, trained by rebrac (by bc if the rewards do not distinguish policies, by iql if the rows
    are not in the order of their episodes). --budget does not include this training."""

    preset: Literal["paper", "paper-pbc", "paper-dbc"] | None = None
    """Set the options that are not given to those of Algorithm 1 of the paper, with Av-PBC, PBC or DBC."""

    size: int = 256
    """N, the number of pairs."""

    objective: ObjectiveOption = "q-gap"
    """random, {names}. q-gap takes the minimum over the critics, q-gap-mean the mean, q-gap-each the critic that
    estimates the largest loss. In Python also a function. Fields: --objective.weight of q-gap."""

    weighting: str | None = None
    """Weightings of states, separated by commas: {names}. Default: ranged for av-pbc; for q-gap, opening if episodes of
    the data terminate (uniform for students trained by SGD without momentum) and occupancy if none does; uniform for
    all others."""

    state_noise: float | None = None
    """Noise on half of the states of each outer batch, in standard deviations of the dataset. The teacher acts in the
    noisy states. Default: for q-gap, 0.2 if episodes of the data terminate and 0.1 if none does, and twice as much
    for students trained by SGD without momentum; 0 for all others."""

    states: Literal["data", "imagined", "auto"] | None = None
    """States of the outer loss: the dataset's, or states visited in a world model, labelled by the teacher. auto:
    imagined states if the model is accurate for at least 25 steps, else the dataset's with --solver portfolio. With
    data, the default solver serves only students like those of the recipe. Default: auto, except data for
    discrete actions, several processes, a recipe trained by SGD, another solver than portfolio, an objective without a
    teacher or with weights of its own (av-pbc), and with --preset, --private-noise, --weighting, --widths, --polish,
    --max-steps, --learn step-size or both, --initial-actions data, or --budget without --world."""

    world: PathOption | None = None
    """World model for imagined states and for --choose imagined: a run folder or file of `potstill model`, or a bundled
    name. Default: the bundled one; else one trained on the same data by a run in the same folder or in runs; else a new
    one. With an explicit --states, --seed seeds its training, too."""

    rollout_steps: int | None = None
    """H, the number of steps that students act in the world model in each outer step. What they lose there against the
    teacher is added to q-gap. 0: no rollouts. Default: 16 with imagined states and an objective q-gap, else 0."""

    rollout_noise: float | None = None
    """Largest standard deviation of the noise on the actions of these steps, in units in which the bounds are ±1.
    Default: 0.3 with rollouts."""

    labels: Literal["learned", "teacher", "fixed"] | None = None
    """Actions of the pairs: optimised together with the states (learned), the teacher's actions in these states
    (teacher), or those of the initial pairs (fixed). Learned discrete actions are probabilities; fixed ones are single
    actions. Default: teacher with imagined states or --solver portfolio, else learned."""

    solver: SolverOption | None = None
    """{names}. kernel is kernel descent; drawn is the same with kernels of random finite networks, and interpolation
    fits the pairs under such kernels; portfolio uses drawn for several kinds of students; unroll differentiates through
    a student's training, and sweep does the same with less memory. Default: portfolio with imagined states,
    interpolation for students trained by Adam, else kernel. Fields are options such as --solver.window 20; the error
    message for an unknown field lists all fields. In Python also an object, such as potstill.distillation.Unroll()."""

    recipe: RecipeOption | None = None
    """The student recipe that the pairs are distilled for: {names}. Default: adam-towers with --solver portfolio, else
    default. Fields: {recipe fields}. In Python also a potstill.Recipe, which replaces the recipe of a solver object."""

    initialisations: int = 1
    """Number of initialisations per outer step. The loss is averaged over one student for each."""

    widths: tuple[int, ...] = ()
    """Hidden widths of students for the first outer steps, such as 64 128. All widths get an equal number of steps."""

    devices: int | None = None
    """Number of devices to use; on a CPU, each is one core. Default: all that JAX finds."""

    steps: int | None = None
    """Number of outer steps. Default: until the pairs converge; 150 with --widths, --average, --choose or
    --private-noise; 600 with imagined states or --solver portfolio."""

    max_steps: int | None = None
    """Largest number of outer steps if the pairs do not converge earlier. Default: 600."""

    budget: str | None = None
    """Time for the distillation, such as 60s or 2m. It limits the number of outer steps."""

    polish: int = 0
    """Additional steps of the exact unroll, at a tenth of the learning rate."""

    batch: int | None = None
    """B, the number of states in an outer step. Default: 512 with imagined states or --solver portfolio, else 1,024."""

    optimiser: Literal["adam", "sgd"] = "adam"
    """Outer optimiser: adam with a decaying rate, or sgd with momentum 0.9 and a constant rate as in the paper."""

    learning_rate: float = 0.1
    """Outer learning rate."""

    clip: float = 2.0
    """Norm to which the outer gradient is clipped."""

    initial: str = "k-means"
    """Initial states: {names}. k-means takes one state per cluster, diverse takes states of high value that are far
    apart."""

    initial_actions: Literal["teacher", "data"] = "teacher"
    """Actions of the initial pairs. The paper uses data."""

    action_limit: float | None = None
    """Largest magnitude of a pair's action, in units in which the bounds are ±1. Values above 1 are unreachable targets
    that bring under-trained students closer to the bounds. Default: 2 for students trained by SGD without momentum,
    1 for all others."""

    learn: Literal["none", "weights", "step-size", "both"] = "none"
    """What is learned besides the pairs: a weight for each pair, the students' step size, or both."""

    average: float = 0.0
    """Average the pairs over this last fraction of the outer steps. 0: keep the last pairs."""

    choose: Literal["last", "held-out", "students", "imagined"] | None = None
    """Selection of the outer step whose pairs are kept: the last one; of seven steps, the one with the lowest loss on
    held-out states, computed by the solver (held-out) or with trained students (students); or of seven steps in the
    last third, the one whose students have the highest return in a world model (imagined). Returns in the environment
    are never used. Default: imagined with imagined states (held-out if the rewards do not distinguish policies), else
    last."""

    private_noise: float | None = None
    """Make the pairs differentially private for episodes: sigma, the noise multiplier of clipped gradients, such as 1.
    The run says what it covers. It requires the extra private, a teacher, and a fixed number of steps (default 150).
    0: clip without noise, which is not private. Default: not private."""

    private_episodes: int = 16
    """Mean number of episodes in an outer step, with --private-noise."""

    private_clip: float = 1.0
    """Norm to which the gradient of each episode is clipped, with --private-noise."""

    private_delta: float | None = None
    """The delta of the statement, with --private-noise. Default: 1 / (10 x episodes)."""

    students: int = 10
    """Number of students in the final evaluation and in the ensemble."""

    episodes: int = 10
    """Episodes of each student in the final evaluation. 0: no evaluation."""

    curve_points: int = 5
    """Number of points of the curve of return over outer steps. The pairs are saved at each point."""

    seed: int = 0
    """Seeds the initial pairs, the batches and the students' initialisations."""

    track: str | None = None
    """Send the metrics to a tracker as well: {names}."""

    out: PathOption | None = None
    """Run folder to make. Default: runs/COMMAND-TIME."""

    resume: bool = False
    """Continue the unfinished run in --out, which must have the same settings."""

    force: bool = False
    """Replace the run folder if it exists."""

    @property
    def resolved_defaults(self) -> JsonObject:
        """The defaults that depend on other settings. Most are known only if the states are."""
        return resolve_state_defaults(self)

    @property
    def given_steps(self) -> int | None:
        """The number of outer steps, or ``None`` to run until convergence."""
        if self.steps is None and has_portfolio_defaults(self):
            return PORTFOLIO_STEPS
        planned = self.widths or self.average or self.choose not in (None, "last") or self.private_noise is not None
        return USUAL_STEPS if self.steps is None and planned else self.steps

    @property
    def seconds(self) -> float | None:
        """The budget in seconds."""
        return None if self.budget is None else parse_seconds("budget", self.budget)

    @staticmethod
    def from_record(saved: JsonObject) -> JsonObject:
        """Convert the settings in ``config.json`` to the current fields."""
        return from_stored(saved)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Why the dataset's states are the default, if they are. It is lost if fields are replaced.
        object.__setattr__(self, "reason", find_obstacle(self) if self.states is None else None)
        known = {name: value for name, value in self.resolved_defaults.items() if value is not None}
        missing = {name: value for name, value in known.items() if getattr(self, name) is None}
        object.__setattr__(self, "defaulted", tuple(missing))
        for name, default in missing.items():
            object.__setattr__(self, name, default)
        check_types(self, skip=BY_VALUE)
        check_ranges(self, size=1, steps=0, polish=0, batch=1, clip=1e-12, learning_rate=1e-12, devices=1)
        check_ranges(self, students=1, episodes=0, curve_points=1, seed=0, average=0.0, state_noise=0.0)
        check_ranges(self, action_limit=1.0, max_steps=1, initialisations=1, rollout_steps=0, rollout_noise=0.0)
        check_finite(self, "learning_rate", "state_noise", "rollout_noise")
        check_resume(self)
        check_private(self)
        check_rollouts(self)
        if self.average > 1.0:
            raise PotstillError(f"{name_option('average', self.average)}: expected a fraction of the steps, at most 1")
        if self.seconds is not None and (self.steps is not None or self.polish):
            raise PotstillError(
                f"{name_option('budget', self.budget)} determines the number of steps, so {name_option('steps')} and "
                f"{name_option('polish')} cannot be used with it"
            )
        if self.max_steps is not None and (self.seconds is not None or self.given_steps is not None):
            others = ("steps", "budget", "widths", "average", "choose", "private_noise")
            raise PotstillError(
                f"{name_option('max_steps', self.max_steps)} applies only to runs until convergence, without "
                f"{', '.join(map(name_option, others))}, {name_option('states', 'imagined')} and "
                f"{name_option('solver', 'portfolio')}"
            )
        if any(width < 2 or width % 2 for width in self.widths):
            raise PotstillError(f"{name_option('widths', *self.widths)}: expected even numbers above 0")
