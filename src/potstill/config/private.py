"""The options with which ``potstill distill`` is differentially private, and what they exclude."""

from __future__ import annotations

from typing import Any

from potstill.errors import PotstillError, name_option
from potstill.runtime.validation import check_ranges

LEAST_NOISE, MOST_NOISE = 0.1, 1e6  # less noise means nothing: ε is in the hundreds
MOST_CLIP = 1e6  # a larger norm is none
DEPENDENT = {"private_episodes": 16, "private_clip": 1.0, "private_delta": None}
"""Options that have no effect without noise, with their defaults."""


def check_private(config: Any) -> None:
    """Check the options of privacy in a :class:`~potstill.config.DistillConfig`.

    Raises:
        PotstillError: an option lets the pairs depend on the data in another way than by private gradients.
    """
    if config.private_noise is None:
        for name, default in DEPENDENT.items():
            if getattr(config, name) != default:
                raise PotstillError(f"{name_option(name)} has no effect without {name_option('private_noise')}")
        return
    check_ranges(config, private_noise=0.0, private_episodes=1, private_clip=1e-12)
    if config.private_noise and not LEAST_NOISE <= config.private_noise <= MOST_NOISE:
        raise PotstillError(
            f"{name_option('private_noise', config.private_noise)}: expected 0, or at least {LEAST_NOISE} and at most "
            f"{MOST_NOISE:g}"
        )
    if config.private_clip > MOST_CLIP:
        raise PotstillError(f"{name_option('private_clip', config.private_clip)}: expected at most {MOST_CLIP:g}")
    if config.private_delta is not None and not 0.0 < config.private_delta < 1.0:
        raise PotstillError(f"{name_option('private_delta', config.private_delta)}: expected a number between 0 and 1")
    if config.batch != config.resolved_defaults["batch"]:
        raise PotstillError(
            f"{name_option('batch', config.batch)} has no effect with {name_option('private_noise')}: a step has some "
            "states of each sampled episode"
        )
    excluded = {
        "objective": config.objective == "random",
        "states": config.states != "data",
        "choose": config.choose != "last",
        "weighting": config.weighting not in (None, "uniform"),
        "initial": config.initial != "k-means",
        "initial_actions": config.initial_actions != "teacher",
        "learn": config.learn != "none",
        "polish": config.polish > 0,
        "budget": config.budget is not None,
        "devices": config.devices not in (None, 1),
        "out_of_bounds": config.out_of_bounds == "scale",  # by the largest action of all
    }
    for name, given in excluded.items():
        if given:
            option, noise = name_option(name, getattr(config, name)), name_option("private_noise")
            raise PotstillError(f"{option} cannot be used with {noise}: data may reach pairs by private gradients only")
