"""The data of the experiments ``sizes`` and ``paper-teachers``: a log of any length, of a teacher with noisy actions.

The noise is Gaussian on actions in [−1, 1]. Its standard deviation is drawn between 0 and 0.6 for each episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from potstill.data.mapped import write_mapped
from potstill.data.transitions import COLUMNS, Transitions
from potstill.environments.making import find_time_limit
from potstill.environments.rollouts.playing import make_stepper
from potstill.networks.policy import Policy

MOST_NOISE, LANES = 0.6, 256
Columns = dict[str, np.ndarray]


def find_shapes(policy: Policy) -> dict[str, tuple[int, ...]]:
    """The shape of a row in each column."""
    states, actions = policy.normaliser.mean.shape, policy.action_bounds.low.shape
    return {"observations": states, "actions": actions, "rewards": (), "next_observations": states}


def iterate_episodes(policy: Policy, env_id: str, lanes: int) -> Iterator[Columns]:
    """An endless sequence of noisy episodes, numbered from 0. The number seeds the initial state and the noise."""
    stepper, limit = make_stepper(env_id, lanes), find_time_limit(env_id) or 1000
    numbers, steps = np.arange(lanes), np.zeros(lanes, int)
    rngs = [np.random.default_rng(number) for number in numbers]
    noise = np.array([MOST_NOISE * rng.random() for rng in rngs])
    now = stepper.reset(numbers)
    rows = {key: np.zeros((lanes, limit, *size), np.float32) for key, size in find_shapes(policy).items()}
    finished: dict[int, Columns] = {}
    awaited = 0
    while True:
        drawn = np.stack([rng.standard_normal(len(policy.action_bounds)) for rng in rngs])
        actions = policy.action_bounds.clip(policy(now) + noise[:, None] * drawn)
        after, rewards, terminated, truncated = stepper.step(np.arange(lanes), actions.astype(np.float32))
        for key, value in zip(rows, (now, actions, rewards, after), strict=True):
            rows[key][np.arange(lanes), steps] = value
        now, steps = np.array(after), steps + 1
        for i in np.flatnonzero(terminated | truncated | (steps >= limit)):
            finished[int(numbers[i])] = {key: value[i, : steps[i]].copy() for key, value in rows.items()} | {
                "terminations": np.arange(steps[i]) == (steps[i] - 1 if terminated[i] else -1),
                "truncations": np.arange(steps[i]) == (-1 if terminated[i] else steps[i] - 1),
            }
            numbers[i], steps[i] = numbers.max() + 1, 0
            rngs[i] = np.random.default_rng(numbers[i])
            noise[i] = MOST_NOISE * rngs[i].random()
            now[i] = stepper.restart(int(i), int(numbers[i]))
        while awaited in finished:
            yield finished.pop(awaited)
            awaited += 1


def iterate_first_rows(source: Iterator[Columns], rows: int) -> Iterator[Columns]:
    """The first ``rows`` rows of a log, an episode at a time. The last episode is cut if it is too long."""
    for episode in source:
        part = {key: value[:rows] for key, value in episode.items()}
        rows -= len(part["rewards"])
        cut = part["truncations"].copy()
        cut[-1] |= not part["terminations"][-1]
        yield {**part, "truncations": cut}
        if not rows:
            return


def write_log(
    folder: Path,
    policy: Policy,
    env_id: str,
    rows: int,
    source: Transitions | None = None,
    lanes: int = LANES,
    name: str | None = None,
) -> Transitions:
    """Write a log with this number of rows as a mapped dataset: new episodes, or the first rows of ``source``.

    The default name is that of the experiment ``sizes``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = iterate_episodes(policy, env_id, lanes)
    if source is not None:
        made = iter([{key: np.array(getattr(source, key)[:rows]) for key in COLUMNS}])
    return write_mapped(
        folder,
        iterate_first_rows(made, rows),
        rows,
        state_size=len(policy.normaliser.mean),
        bounds=policy.action_bounds,
        name=name or f"sizes-{rows}",
        env_id=env_id,
        card={"source": f"benchmarks {'sizes' if name is None else name}"},
    )
