"""Reference returns of environments, and the normalised scores that they define."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np

from potstill.environments.making import strip_version
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments


@check_arguments
class Reference(NamedTuple):
    """The undiscounted returns that score 0 and 100, and where they come from.

    Args:
        random: the return that scores 0, usually the mean of a random policy.
        expert: the return that scores 100, above ``random``.
        source: where the returns come from, or ``None`` if no reference returns are known. The returns are then 0 and
            100, so that a normalised score equals the return.

    Raises:
        PotstillError: ``expert`` is not above ``random``, or one of them is not finite.

    Example:
        >>> from potstill.environments import Reference, normalised_return
        >>> reference = Reference(random=-1200.0, expert=-150.0, source="our own runs of Pendulum-v1")
        >>> float(normalised_return(-675.0, reference))
        50.0
    """

    random: float
    expert: float
    source: str | None

    def __post_init__(self) -> None:
        if not -math.inf < self.random < self.expert < math.inf:
            raise PotstillError(
                f"Reference.expert {self.expert}: expected a number above Reference.random {self.random}"
            )


RAW = Reference(0.0, 100.0, None)
D4RL = "D4RL (d4rl/infos.py)"  # REF_MIN_SCORE and REF_MAX_SCORE, which all datasets of an environment share
JAT = "JAT (huggingface/jat, scores_dict.json; arXiv 2402.09844)"
# The keys are environment names without a version: all versions share one reference. D4RL measured -v2 (for Adroit,
# the mazes and the kitchen: D4RL's own environments, which Gymnasium-Robotics rebuilt under these names), JAT -v4.
# JAT's experts are not optimal: the one for InvertedPendulum reaches 475 of 1,000. Minari has no such table, but
# the metadata of a Minari dataset may contain reference returns.
REFERENCES: dict[str, Reference] = {
    "Hopper": Reference(-20.272305, 3234.3, D4RL),
    "HalfCheetah": Reference(-280.178953, 12135.0, D4RL),
    "Walker2d": Reference(1.629008, 4592.3, D4RL),
    "Ant": Reference(-325.6, 3879.7, D4RL),
    "AdroitHandPen": Reference(96.262799, 3076.833102, D4RL),
    "AdroitHandHammer": Reference(-274.856578, 12794.134825, D4RL),
    "AdroitHandDoor": Reference(-56.512833, 2880.569309, D4RL),
    "AdroitHandRelocate": Reference(-6.425911, 4233.877798, D4RL),
    "FrankaKitchen": Reference(0.0, 4.0, D4RL),
    "PointMaze_Open": Reference(0.01, 20.66, D4RL),
    "PointMaze_UMaze": Reference(23.85, 161.86, D4RL),
    "PointMaze_Medium": Reference(13.13, 277.39, D4RL),
    "PointMaze_Large": Reference(6.7, 273.99, D4RL),
    "PointMaze_OpenDense": Reference(11.17817, 27.166539, D4RL),
    "PointMaze_UMazeDense": Reference(68.537689, 193.662856, D4RL),
    "PointMaze_MediumDense": Reference(44.264742, 297.455255, D4RL),
    "PointMaze_LargeDense": Reference(30.569041, 303.485738, D4RL),
    **{f"AntMaze_{maze}": Reference(0.0, 1.0, D4RL) for maze in ("UMaze", "Medium", "Large")},
    **{f"AntMaze_{maze}_Diverse_GR": Reference(0.0, 1.0, D4RL) for maze in ("Medium", "Large")},
    "Humanoid": Reference(122.02, 6281.02, JAT),
    "HumanoidStandup": Reference(33135.75, 273574.16, JAT),
    "InvertedDoublePendulum": Reference(57.46, 9338.69, JAT),
    "InvertedPendulum": Reference(6.07, 475.40, JAT),
    "Pusher": Reference(-149.69, -25.21, JAT),
    "Reacher": Reference(-43.00, -5.68, JAT),
    "Swimmer": Reference(0.80, 92.18, JAT),
}


@overload
def normalised_return(returns: float, reference: Reference | str) -> np.float64: ...
@overload
def normalised_return(returns: np.ndarray | Sequence[float], reference: Reference | str) -> np.ndarray: ...
@check_arguments
def normalised_return(
    returns: float | np.ndarray | Sequence[float], reference: Reference | str
) -> np.ndarray | np.float64:
    """Normalise undiscounted episode returns R to the D4RL score, 100 (R − R_random) / (R_expert − R_random).

    Source: Fu et al. 2020, arXiv 2004.07219, section 5.

    Args:
        returns: undiscounted returns of whole episodes, of any shape.
        reference: the reference returns, or an environment id. Without known reference returns for that
            environment, returns are not scaled.

    Returns:
        The scores, float64, in the shape of ``returns``: a number for one return.

    Example:
        >>> normalised_return([-20.272305, 3234.3], "Hopper-v5").round(6).tolist()
        [0.0, 100.0]
    """
    if isinstance(reference, str):
        reference = find_reference_returns(reference)
    span = reference.expert - reference.random
    scores: np.ndarray | np.float64 = 100.0 * (np.asarray(returns, np.float64) - reference.random) / span
    return scores


@check_arguments
def find_reference_returns(env_id: str | None, card: Mapping[str, object] | None = None) -> Reference:
    """Find the reference returns of an environment.

    The dataset's card has precedence over the table of known returns (:data:`REFERENCES`). If neither contains them,
    the result is :data:`RAW`: reference returns of 0 and 100 without a source.

    Args:
        env_id: Gymnasium id of any version, or ``None``.
        card: the card of a dataset. Minari datasets may publish ``ref_min_score`` and ``ref_max_score``.

    Example:
        >>> find_reference_returns("Hopper-v5").expert, find_reference_returns("Pendulum-v1").source
        (3234.3, None)
    """
    low, high = ((card or {}).get(key) for key in ("ref_min_score", "ref_max_score"))
    if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
        return Reference(float(low), float(high), "the dataset's own metadata")
    return REFERENCES.get(strip_version(env_id or ""), RAW)


def has_reference(env_id: str) -> bool:
    """Whether reference returns of an environment are known, so that normalised scores are meaningful."""
    return find_reference_returns(env_id).source is not None
