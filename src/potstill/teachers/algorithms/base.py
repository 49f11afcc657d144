"""The interface of a teacher algorithm: an immutable object with settings and pure methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from jaxtyping import Array, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, name_option
from potstill.networks.mlp import Params
from potstill.networks.policy import Head
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject
from potstill.runtime.validation import check_types
from potstill.teachers.rows import TrainingRows, TrainingTable
from potstill.teachers.settings import UpdateSettings

State = TypeVar("State")  # each algorithm's own NamedTuple of networks, target networks and optimiser states
Metrics = dict[str, Array]  # scalars by name


@check_arguments
class TeacherParts(NamedTuple):
    """The networks of a teacher, taken out of a training state.

    Example:
        >>> import jax
        >>> from potstill.teachers import Bc
        >>> state = Bc().initialise(jax.random.key(0), state_size=3, action_size=2, updates=1)
        >>> parts = TeacherParts(state.actor, "tanh", state.critics, layer_norm=True)
        >>> parts.actor[-1]["bias"].shape, len(parts.critics[0]["bias"])
        ((2,), 2)
    """

    actor: Params
    """Layers of the policy. The tanh or the softmax of the output is not among them."""
    head: Head
    """How the policy samples actions, see :class:`~potstill.networks.policy.Policy`."""
    critics: Params
    """Critics, stacked on the first axis of each array. Their values are discounted returns."""
    layer_norm: bool
    """Whether LayerNorm follows each hidden layer of the critics."""


@check_arguments
@dataclass(frozen=True)
class Algorithm(ABC, Generic[State]):
    """An offline-RL algorithm together with its settings.

    A subclass is a frozen dataclass. Its fields are the settings, each with a default. ``__post_init__`` checks types
    and choices; a subclass extends it to check ranges. Objects are compared and hashed by value, so equal settings
    share one compiled program. All methods are pure functions of their arguments. A subclass that is listed in
    :mod:`potstill.teachers.registry`, or registered under the entry point ``potstill.teachers`` of another package, has
    a name on the command line.

    See :class:`~potstill.teachers.algorithms.bc.Bc` for the shortest complete algorithm. To change one in a single
    place, derive from it.

    Raises:
        PotstillError: a field has a wrong type.

    Example:
        >>> from potstill.teachers import Bc
        >>> @dataclass(frozen=True)
        ... class BestTenth(Bc):
        ...     name: ClassVar[str] = "best-tenth"
        ...     best_episodes: float = 0.1
        >>> isinstance(BestTenth(), Algorithm), BestTenth().to_metadata()
        (True, {'best_episodes': 0.1, 'learning_rate': 0.0003})
    """

    name: ClassVar[str]
    """The algorithm's name on the command line and in files."""

    batches: ClassVar[int] = 1
    """Batches that one call of :meth:`update` uses. Each counts as one update of the critics."""

    target_rate: ClassVar[float] = 0.005
    """Default τ of the target networks' soft update."""

    most_updates: ClassVar[int] = 100_000
    """Updates of ``potstill teach`` if their number is not given, unless it stops earlier."""

    patience: ClassVar[int] = 3
    """Evaluations of ``potstill teach`` without a noticeably higher estimate after which it stops, if neither the
    number of updates nor a patience is given."""

    def __post_init__(self) -> None:
        check_types(self)

    def to_metadata(self) -> JsonObject:
        """The fields as a teacher's file contains them."""
        return asdict(self)

    def fit_to_actions(self, *, discrete: bool) -> Algorithm[Any]:
        """Return the form of the algorithm for discrete or continuous actions. By default, this is for continuous ones.

        Raises:
            PotstillError: actions are discrete.
        """
        if discrete:
            raise PotstillError(
                f"{self.name} learns continuous actions: for discrete actions, choose "
                f"{name_option('algorithm', 'iql')}, cal-ql or bc"
            )
        return self

    def adapt_to_collapse(self) -> Algorithm[State] | None:
        """Make the algorithm to start again with if the actor's actions collapse to a bound; ``None``: go on."""
        return None

    @abstractmethod
    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select the rows to learn from.

        Raises:
            PotstillError: ``data`` do not have what the algorithm requires, such as rows in the order of their
                episodes.
        """

    @abstractmethod
    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> State:
        """Draw the initial networks; ``updates`` is the planned number of updates, for learning-rate schedules."""

    @abstractmethod
    def update(
        self, state: State, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[State, Metrics]:
        """Take one step.

        Args:
            state: the state from :meth:`initialise` or the previous call.
            rows: ``batches`` batches on the first axis: arrays [batches, B, ...].
            key: key of the step's noise.
            settings: batch size, γ and τ.

        Returns:
            The next state, and scalar metrics. They must include ``"value"``, the mean value of the batch, by which
            divergence is detected.
        """

    @abstractmethod
    def extract(self, state: State, data: Transitions) -> TeacherParts:
        """Extract the teacher's networks from a state."""
