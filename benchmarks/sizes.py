"""Retention and time over the dataset's size: 10⁴, 10⁵, 10⁶ and 10⁷ rows of one log.

    python benchmarks/sizes.py make        # a gigabyte under runs/, about ten minutes
    python benchmarks/sizes.py             # distils each size (resumable); results/sizes/ROWS-SEED.json

The log is of the teacher of hopper-medium-replay, with Gaussian noise on its actions in [−1, 1] whose standard
deviation is drawn for each episode between 0 and 0.6. The smaller datasets are its first rows. Each is distilled
by ``potstill distill`` without further options; what an outer step takes is timed apart, on tables that are ready,
sizes in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from engine import weights

import potstill
from potstill.commands.distill import tables
from potstill.config import DistillConfig
from potstill.data.mapped import write_mapped
from potstill.data.registry import load_dataset
from potstill.data.transitions import COLUMNS
from potstill.distillation import outer_loop as distillation
from potstill.distillation.outer_loop import settled
from potstill.distillation.schedule import Pace
from potstill.environments.making import time_limit
from potstill.environments.rollouts.playing import make_stepper
from potstill.networks.policy import Policy
from potstill.runtime.run_folder import read_json, write_json
from potstill.runtime.storage import file_hash

HERE = Path(__file__).parent
RUNS, RESULTS = HERE.parent / "runs" / "sizes", HERE / "results" / "sizes"
FILE, ENV_ID, MOST_NOISE, LANES = "hopper-medium-replay", "Hopper-v4", 0.6, 256
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
STEPS, ROUNDS = 10, 5  # outer steps in a timing, and timings of each size
KEPT = ("teacher", "student", "ensemble", "offline", "pace", "seconds", "sha256")

Columns = dict[str, np.ndarray]


def episodes(policy: Policy) -> Iterator[Columns]:
    """Noisy episodes in the order of their numbers, without end; the number seeds an episode's start and noise."""
    stepper, limit = make_stepper(ENV_ID, LANES), time_limit(ENV_ID) or 1000
    numbers, done = np.arange(LANES), np.zeros(LANES, int)
    rngs = [np.random.default_rng(number) for number in numbers]
    noise = np.array([MOST_NOISE * rng.random() for rng in rngs])
    now = stepper.reset(numbers)
    made = {key: np.zeros((LANES, limit, *size), np.float32) for key, size in shapes(policy).items()}
    closed: dict[int, Columns] = {}
    awaited = 0
    while True:
        drawn = np.stack([rng.standard_normal(len(policy.action_bounds)) for rng in rngs])
        actions = policy.action_bounds.clip(policy(now) + noise[:, None] * drawn)
        after, rewards, terminated, truncated = stepper.step(np.arange(LANES), actions.astype(np.float32))
        for key, value in zip(made, (now, actions, rewards, after), strict=True):
            made[key][np.arange(LANES), done] = value
        now, done = np.array(after), done + 1
        for i in np.flatnonzero(terminated | truncated | (done >= limit)):
            closed[int(numbers[i])] = {key: value[i, : done[i]].copy() for key, value in made.items()} | {
                "terminations": np.arange(done[i]) == (done[i] - 1 if terminated[i] else -1),
                "truncations": np.arange(done[i]) == (-1 if terminated[i] else done[i] - 1),
            }
            numbers[i], done[i] = numbers.max() + 1, 0
            rngs[i] = np.random.default_rng(numbers[i])
            noise[i] = MOST_NOISE * rngs[i].random()
            now[i] = stepper.restart(int(i), int(numbers[i]))
        while awaited in closed:
            yield closed.pop(awaited)
            awaited += 1


def shapes(policy: Policy) -> dict[str, tuple[int, ...]]:
    size = len(policy.normaliser.mean)
    return {
        "observations": (size,),
        "actions": policy.action_bounds.low.shape,
        "rewards": (),
        "next_observations": (size,),
    }


def parts(policy: Policy, rows: int) -> Iterator[Columns]:
    """The first ``rows`` rows, an episode at a time; the last is cut short."""
    for episode in episodes(policy):
        part = {key: value[:rows] for key, value in episode.items()}
        rows -= len(part["rewards"])
        yield dict(part, truncations=ended(part))
        if not rows:
            return


def make() -> None:
    policy = potstill.load_teacher(weights(FILE)).policy
    how = {"state_size": len(policy.normaliser.mean), "bounds": policy.action_bounds}
    source = parts(policy, SIZES[-1])
    for rows in reversed(SIZES):
        folder = RUNS / str(rows)
        folder.mkdir(parents=True, exist_ok=True)
        card = {"source": "benchmarks/sizes.py"}
        data = write_mapped(folder, source, rows, name=f"sizes-{rows}", env_id=ENV_ID, card=card, **how)
        print(f"{rows:,} rows, mean episode {rows / data.episode_ends.sum():.0f} steps", flush=True)
        source = iter([{key: np.array(getattr(data, key)[: rows // 10]) for key in COLUMNS}])
        source = (dict(part, truncations=ended(part)) for part in source)


def ended(part: Columns) -> np.ndarray:
    """Where episodes are cut off: the last one at the end of the part."""
    found = part["truncations"].copy()
    found[-1] |= not part["terminations"][-1]
    return found


def config(rows: int, seed: int) -> DistillConfig:
    paths = {"teacher": weights(FILE), "out": RUNS / f"distilled-{rows}-{seed}"}
    return DistillConfig(RUNS / str(rows), seed=seed, force=True, **paths)


def distil(rows: int, seed: int) -> None:
    path, teacher = RESULTS / f"{rows}-{seed}.json", file_hash(weights(FILE))
    if path.exists() and read_json(path)["teacher_sha256"] == teacher:
        return
    result = read_json(potstill.distill(config(rows, seed)) / "result.json")
    papers = {"rows": rows, "seed": seed, "teacher_sha256": teacher}
    write_json(path, papers | {key: result[key] for key in KEPT})
    print(f"{rows:,}, seed {seed}: {result['student']['mean']:.1f}, {result['ensemble']['mean']:.1f}", flush=True)


def time_steps() -> None:
    """Seconds of an outer step on each size, in turn."""
    ready = {}
    for rows in SIZES:
        asked, data = config(rows, 0), load_dataset(RUNS / str(rows))
        teacher = potstill.load_teacher(weights(FILE))
        full = settled(asked, data, teacher)
        ready[rows] = (full, tables(full, data, teacher)[0], teacher)
    seconds: dict[str, list[float]] = {str(rows): [] for rows in SIZES}
    for _ in range(ROUNDS + 1):
        for rows, (full, table, teacher) in ready.items():
            begun = 0.0
            for step, pairs, _ in distillation.outer_steps(full, table, teacher, Pace(STEPS)):
                jax.block_until_ready(pairs)
                begun = begun if step > 1 else time.perf_counter()  # the first step compiles
            seconds[str(rows)].append((time.perf_counter() - begun) / (STEPS - 1))
    found = {rows: {"median": statistics.median(times[1:]), "all": times[1:]} for rows, times in seconds.items()}
    write_json(RESULTS / "steps.json", {"seconds": found})
    print({rows: round(entry["median"], 4) for rows, entry in found.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=("make", "distil", "steps"), default=("distil", "steps"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if "make" in options.what:
        make()
    if "distil" in options.what:
        for seed in options.seeds:
            for rows in SIZES:
                distil(rows, seed)
    if "steps" in options.what:
        time_steps()


if __name__ == "__main__":
    main()
