"""The options with which ``potstill distill`` is differentially private, and what they exclude."""

from __future__ import annotations

from typing import Any

from potstill.errors import PotstillError
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
                raise PotstillError(f"--{name.replace('_', '-')} has no effect without --private-noise")
        return
    check_ranges(config, private_noise=0.0, private_episodes=1, private_clip=1e-12)
    if config.private_noise and not LEAST_NOISE <= config.private_noise <= MOST_NOISE:
        raise PotstillError(
            f"--private-noise {config.private_noise:g}: expected 0, or at least {LEAST_NOISE} and at most "
            f"{MOST_NOISE:g}"
        )
    if config.private_clip > MOST_CLIP:
        raise PotstillError(f"--private-clip {config.private_clip:g}: expected at most {MOST_CLIP:g}")
    if config.private_delta is not None and not 0.0 < config.private_delta < 1.0:
        raise PotstillError(f"--private-delta {config.private_delta:g}: expected a number between 0 and 1")
    if config.batch != config.resolved_defaults["batch"]:
        raise PotstillError(
            f"--batch {config.batch} has no effect with --private-noise: a step has some states of each sampled episode"
        )
    excluded = {
        "objective random": config.objective == "random",
        f"states {config.states}": config.states != "data",
        f"choose {config.choose}": config.choose != "last",
        f"weighting {config.weighting}": config.weighting not in (None, "uniform"),
        f"initial {config.initial}": config.initial != "k-means",
        f"initial-actions {config.initial_actions}": config.initial_actions != "teacher",
        f"learn {config.learn}": config.learn != "none",
        f"polish {config.polish}": config.polish > 0,
        f"budget {config.budget}": config.budget is not None,
        f"devices {config.devices}": config.devices not in (None, 1),
        f"out-of-bounds {config.out_of_bounds}": config.out_of_bounds == "scale",  # by the largest action of all
    }
    for option, given in excluded.items():
        if given:
            raise PotstillError(
                f"--{option} cannot be used with --private-noise: data may reach pairs by private gradients only"
            )
