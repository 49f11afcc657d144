"""What bounds retention: how much of its teacher's return a student can keep, and what it loses to.

    python benchmarks/bounds.py                               (resumable: finished files are not run again)
    python benchmarks/bounds.py --files hopper-medium

For each of the nine files, with the fixed teacher that ``benchmarks/engine.py`` distils:

- ``relabelled_default``, ``relabelled_plain``: the student of that recipe, with every training state of the file,
  labelled by the teacher, in place of pairs;
- ``pairs``: the plain recipe's students, as they are trained on a distillate, on random states so labelled;
- ``noise``: the teacher itself, with Gaussian noise on its actions.

Several processes may work side by side, each on files of its own. What was found goes to
``results/bounds/FILE.json``, part after part, with the returns of every episode; a file whose teacher has changed
is run again.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from engine import teacher_hash, weights
from teachers import DATASETS, FILES

import potstill
from potstill.data.registry import load_dataset
from potstill.data.split import held_out_rows, training_rows
from potstill.data.transitions import Transitions
from potstill.environments.rollouts import Act
from potstill.evaluation.scores import TEACHER_SEED, policy_returns, student_returns
from potstill.evaluation.statistics import summarise
from potstill.networks.policy import Policy
from potstill.runtime.run_folder import read_json, write_json
from potstill.students.ensemble import Students, train_students
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs, bc_loss, mean_actions, start
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.evaluation.fqe import act_in_parts

RESULTS = Path(__file__).parent / "results" / "bounds"
CLONED = ("plain", "default")  # recipes whose student is cloned from all states
# Adam, its rate falling to 0 along a cosine. On walker2d-medium-replay four times as much (40,000 updates of 512
# rows) brought the held-out error from 0.146 to 0.134 and the return from 37.4 to 38.2, within its noise.
UPDATES, BATCH, LEARNING_RATE = 20_000, 256, 1e-3
CLONES, CLONE_EPISODES = 3, 10
SIZES, STUDENTS, EPISODES = (256, 1024, 4096), 10, 4
NOISE = (0.05, 0.1, 0.2, 0.4)
TOGETHER, TEACHER_EPISODES = 10, 20  # episodes of an ensemble and of a noisy teacher; of the teacher
CHUNK = 1_000  # updates in a compiled call, after which the error on held-out states is noted
CLONE_SEED, PAIRS_SEED, NOISE_SEED = 300, 310, 330  # of the episodes' starts


class Labelled(NamedTuple):
    """States of a file, standardised, with the teacher's actions in [−1, 1]."""

    pairs: Pairs
    held: Pairs


def labelled(data: Transitions, teacher: NetworkTeacher) -> Labelled:
    """All training rows, and the held-out ones."""

    def label(rows: np.ndarray) -> Pairs:
        states = jnp.asarray(teacher.normaliser(data.observations[rows]))
        return Pairs(states, act_in_parts(teacher, states))

    return Labelled(label(training_rows(len(data))), label(held_out_rows(len(data))))


@jax.jit
def imitation_error(params: Any, pairs: Pairs) -> jax.Array:
    """Mean of ‖π(s) − π*(s)‖²."""
    return jnp.sum((mean_actions(params, pairs.states, pairs.actions.shape[-1]) - pairs.actions) ** 2, -1).mean()


@functools.partial(jax.jit, static_argnames=("updates", "batch", "count"), donate_argnums=0)
def descend(state: Any, key: jax.Array, pairs: Pairs, *, updates: int, batch: int, count: int) -> Any:
    """``count`` of the ``updates`` updates of Adam, each on ``batch`` rows drawn anew."""
    rule = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates))

    def body(state: Any, key: jax.Array) -> tuple[Any, None]:
        params, optimiser = state
        index = jax.random.randint(key, (batch,), 0, len(pairs.states))
        gradient = jax.grad(bc_loss)(params, Pairs(pairs.states[index], pairs.actions[index]))
        change, optimiser = rule.update(gradient, optimiser)
        return (optax.apply_updates(params, change), optimiser), None

    return jax.lax.scan(body, state, jax.random.split(key, count))[0]


def clone_all(
    seed: int, rows: Labelled, recipe: Recipe, updates: int, batch: int
) -> tuple[Any, list[dict[str, float]]]:
    """One student cloned from all rows; and its error on the held-out ones as it went."""
    key = jax.random.key(seed)
    params = start(key, rows.pairs.states.shape[-1], rows.pairs.actions.shape[-1], recipe)
    history: list[dict[str, float]] = []
    state = (params, optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates)).init(params))
    for done in range(0, updates, CHUNK):
        count = min(CHUNK, updates - done)
        key, drawn = jax.random.split(key)
        state = descend(state, drawn, rows.pairs, updates=updates, batch=batch, count=count)
        history.append({"update": done + count, "imitation_error": float(imitation_error(state[0], rows.held))})
    return state[0], history


def played(students: Students, env_id: str, episodes: int, seed: int) -> dict[str, Any]:
    """The students' scores one by one, and their ensemble's."""
    singles = student_returns(students, env_id, episodes, seed)
    together = policy_returns(students.ensemble, env_id, TOGETHER, seed + 1)
    return {"student": summarise(singles, env_id), "ensemble": summarise(together, env_id)}


def relabelled(recipe: Recipe, rows: Labelled, like: Policy, env_id: str, updates: int, batch: int) -> dict[str, Any]:
    """Students of all training rows, labelled by the teacher, trained for as long as they gain by it."""
    started = time.perf_counter()
    params, histories = zip(*(clone_all(seed, rows, recipe, updates, batch) for seed in range(CLONES)), strict=True)
    seconds = time.perf_counter() - started
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *params)
    students = Students(stacked, like.normaliser, like.action_bounds)
    spread = {"rows": len(rows.pairs.states), "history": histories, "training_seconds": seconds}
    return spread | played(students, env_id, CLONE_EPISODES, CLONE_SEED)


def random_pairs(size: int, rows: Labelled, like: Policy, env_id: str) -> dict[str, Any]:
    """The recipe's own students on ``size`` random states; the smaller sets are parts of the larger ones."""
    order = np.random.default_rng(0).permutation(len(rows.pairs.states))[:size]
    states, actions = (np.asarray(column)[order] for column in rows.pairs[:2])
    started = time.perf_counter()
    bounds = like.action_bounds
    students = train_students(states, actions, list(range(STUDENTS)), RECIPES["plain"], like.normaliser, bounds)
    errors = [
        float(imitation_error(jax.tree.map(lambda x, k=k: x[k], students.params), rows.held)) for k in range(STUDENTS)
    ]
    seconds = time.perf_counter() - started
    return {"imitation_error": errors, "training_seconds": seconds} | played(students, env_id, EPISODES, PAIRS_SEED)


def noisy(policy: Policy, std: float, seed: int = 0) -> Act:
    """``policy`` with Gaussian noise of ``std``, of actions in [−1, 1], clipped to the bounds."""
    rng = np.random.default_rng(seed)
    half = 0.5 * (policy.action_bounds.high - policy.action_bounds.low)

    def act(observations: np.ndarray) -> np.ndarray:
        actions = policy(observations)
        noise = std * half * rng.standard_normal(actions.shape)
        return policy.action_bounds.clip(actions + noise)

    return act


def parts(file: str, updates: int, batch: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is to be found about one file, by name."""
    data = load_dataset(DATASETS / f"{file}.hdf5")
    teacher = potstill.load_teacher(weights(file))
    policy, env_id = teacher.policy, data.env_id
    rows = labelled(data, teacher)

    def scored(act: Act, episodes: int, seed: int) -> dict[str, Any]:
        return summarise(policy_returns(act, env_id, episodes, seed), env_id)

    cloned = {
        f"relabelled_{name}": functools.partial(relabelled, RECIPES[name], rows, policy, env_id, updates, batch)
        for name in CLONED
    }
    return {
        "teacher": lambda: scored(policy, TEACHER_EPISODES, TEACHER_SEED),
        "pairs": lambda: {str(size): random_pairs(size, rows, policy, env_id) for size in SIZES},
        "noise": lambda: {str(std): scored(noisy(policy, std), TOGETHER, NOISE_SEED) for std in NOISE},
        **cloned,
    }


def begun(path: Path, papers: dict[str, Any]) -> dict[str, Any]:
    """What is found already; of another teacher or other settings, nothing."""
    old = read_json(path) if path.exists() else {}
    return old if old.items() >= papers.items() else papers


def measure(path: Path, papers: dict[str, Any], updates: int, batch: int) -> None:
    """Find every part that the file's result lacks."""
    entry = begun(path, papers)
    for name, find in parts(papers["file"], updates, batch).items():
        if name in entry:
            continue
        started = time.perf_counter()
        entry = entry | {name: find()}
        write_json(path, entry)
        print(f"{papers['file']}: {name}, {time.perf_counter() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES)
    parser.add_argument("--updates", type=int, default=UPDATES, help="of relabelled students")
    parser.add_argument("--batch", type=int, default=BATCH, help="rows in one such update")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {"updates": options.updates, "batch": options.batch, "learning_rate": LEARNING_RATE}
    for file in options.files:
        papers = {"file": file, "teacher_sha256": teacher_hash(file), "settings": settings}
        measure(options.out / f"{file}.json", papers, options.updates, options.batch)


if __name__ == "__main__":
    main()
