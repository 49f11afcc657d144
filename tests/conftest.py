"""Strict tests: shapes are checked at run time, warnings are errors, gradients are checked in float64."""

import dataclasses
import gc
import importlib
import os
import signal
from pathlib import Path
from typing import Any

from environment import missing_settings

os.environ.update(missing_settings())

from jaxtyping import install_import_hook

gc.set_threshold(20_000, 50, 100)  # tracing makes many objects: the default thresholds cost a twentieth of the time

# Parallel test workers use one core each: threads that wait for one another's cores cost minutes.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and hasattr(os, "sched_setaffinity"):
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORES[int(WORKER.removeprefix("gw")) % len(CORES)]})

SOURCE = Path(__file__).parents[1] / "src" / "potstill"
# Configs are annotated with command-line types, but Python may pass objects. The configs check these themselves.
# The checks of arguments themselves have no shapes; checking each of their calls takes more time than most tests.
UNCHECKED = {"config", "runtime", "runtime.arguments", "runtime.arrays", "runtime.validation"}
MODULES = {path.stem for path in SOURCE.iterdir()} | {f"runtime.{path.stem}" for path in (SOURCE / "runtime").iterdir()}
CHECKED = [f"potstill.{name}" for name in sorted(MODULES - UNCHECKED)]
install_import_hook(CHECKED, "beartype.beartype")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import jaxtyping  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from linear import TINY, linear_rows, terminating_rows  # noqa: E402

from potstill.data.bounds import ActionBounds  # noqa: E402
from potstill.data.transitions import Transitions  # noqa: E402
from potstill.students.recipe import RECIPES  # noqa: E402
from potstill.worlds import train_world  # noqa: E402

HAS_X64 = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")  # before 0.8

SHARED = Path(__file__).parents[2] / "shared"

# Options of short distillations: less than the default in width, towers and steps, and a rate that suits fewer steps.
SMALL: dict[str, Any] = {"steps": 100, "width": 64, "towers": 4, "learning_rate": 0.1}
SMALL_STUDENT = dataclasses.replace(RECIPES["default"], **SMALL)
SMALL_WORDS = [word for name, value in SMALL.items() for word in (f"--recipe.{name.replace('_', '-')}", str(value))]


def note_skipped(report):
    """Append each skipped test or file to the file that SKIPPED_TESTS names. CI runs these with the extras."""
    path = os.environ.get("SKIPPED_TESTS")
    if report.skipped and path:
        with open(path, "a") as file:
            file.write(f"{report.nodeid}\n")


def pytest_configure(config):
    """Teachers and students of tests are hardly trained, which potstill says."""
    config.addinivalue_line("filterwarnings", r"ignore:.*\bthe (teacher|students)\b")


pytest_collectreport = pytest_runtest_logreport = note_skipped


@pytest.fixture(autouse=True)
def usual_handlers():
    """Signals are handled as in a terminal: a process in the background of a script ignores Ctrl-C."""
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def x64():
    """Run a test in float64, with no silent promotion of types."""
    with HAS_X64.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="module")
def narrow_networks():
    """Give teachers and fitted critics 64 hidden units per layer instead of 256, to shorten tests of learning."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("algorithms.bc", "algorithms.cal_ql", "algorithms.edac", "algorithms.iql", "evaluation.fqe"):
            module = importlib.import_module(f"potstill.teachers.{name}")
            for layers in [x for x in vars(module) if x.endswith("HIDDEN")]:
                patch.setattr(module, layers, (64,) * len(getattr(module, layers)))
        patch.setattr("potstill.teachers.algorithms.rebrac.WIDTH", 64)
        yield


@pytest.fixture(scope="module")
def few_rows():
    """Shorten runs on bundled data: a sample of the rows, and no picture of states."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("potstill.data.split.TRAINING_MOST", 20_000)
        patch.setattr("potstill.reports.tables.render_states", lambda *_: (None, "not in this test"))
        yield


@pytest.fixture
def unchecked(monkeypatch):
    """Disable jaxtyping, as for a user, so that only potstill itself checks types."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def make_columns(rows=60, states=3, actions=2, seed=0):
    """Raw D4RL-like rows in episodes of 20. Every third episode terminates, the others time out."""
    rng = np.random.default_rng(seed)
    ends = np.arange(1, rows + 1) % 20 == 0
    third = np.arange(rows) // 20 % 3 == 0
    return {
        "observations": rng.normal(size=(rows, states)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(rows, actions)).astype(np.float32),
        "rewards": rng.normal(size=rows).astype(np.float32),
        "terminals": ends & third,
        "timeouts": ends & ~third,
    }


@pytest.fixture
def columns():
    return make_columns()


@pytest.fixture
def data():
    """A small dataset without an environment."""
    rng = np.random.default_rng(0)
    rows = 300
    return Transitions(
        observations=rng.normal(size=(rows, 3)).astype(np.float32),
        actions=rng.uniform(-1, 1, size=(rows, 2)).astype(np.float32),
        rewards=rng.normal(size=rows).astype(np.float32),
        next_observations=rng.normal(size=(rows, 3)).astype(np.float32),
        terminations=np.arange(rows) % 25 == 24,
        truncations=np.zeros(rows, bool),
        action_bounds=ActionBounds.unit(2),
        name="small",
    )


def random_teacher(states=3, actions=2, width=16, seed=0):
    """A teacher of random small networks."""
    from potstill.data.scaling import Scaling
    from potstill.networks.mlp import init_mlp
    from potstill.networks.policy import Policy
    from potstill.teachers.base import NetworkTeacher

    keys = jax.random.split(jax.random.key(seed), 3)
    plain = lambda tree: jax.tree.map(np.asarray, tree)  # noqa: E731
    policy = Policy(plain(init_mlp(keys[0], (states, width, actions))), Scaling.identity(states, actions))
    critics = [init_mlp(key, (states + actions, width, 1)) for key in keys[1:]]
    return NetworkTeacher(policy, plain(jax.tree.map(lambda *x: np.stack(x), *critics)), {"algorithm": "random"})


def random_table(rows=40, states=3, actions=2, seed=0):
    """A state table of random numbers, with weights around 1."""
    from potstill.distillation import StateTable

    rng = np.random.default_rng(seed)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    columns = draw(rows, states), draw(rows, actions), draw(rows, actions), draw(rows, 1)
    return StateTable(*columns, 1.0 + draw(rows), jnp.ones(()))


@pytest.fixture
def teacher():
    return random_teacher()


@pytest.fixture
def logs(tmp_path):
    """A dataset that names no environment, and a teacher for it."""
    from test_teachers import bandit, write_npz

    path = write_npz(tmp_path / "logs.npz", bandit(400))
    return path, random_teacher(states=1, actions=1).save(tmp_path / "t.safetensors")


@pytest.fixture(scope="session")
def linear_log():
    """Episodes of a linear system with a linear reward."""
    return linear_rows()


@pytest.fixture(scope="session")
def linear_world(linear_log):
    """A world model of :func:`linear_log` after one step. Its least-squares part makes it exact."""
    return train_world(linear_log, TINY)


@pytest.fixture(scope="session")
def cliff_log():
    """Steps of a random walk that terminate beyond a cliff."""
    return terminating_rows()


@pytest.fixture(scope="session")
def cliff_world(cliff_log):
    """A trained world model of :func:`cliff_log`."""
    return train_world(cliff_log, dataclasses.replace(TINY, steps=1_000, batch=256, learning_rate=1e-2))
