"""Several devices: two devices of one process, and two processes, give the same results as one device."""

import json
import os
import platform
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from potstill.errors import PotstillError
from potstill.runtime import devices

# Distils with every kind of sharding, trains students, and prints all numbers.
PROGRAM = """
import json, sys
import jax, numpy as np
from potstill.distillation import KernelDescent, OuterSettings, PolicyCloning, Schedule, StateTable, Sweep, Unroll
from potstill.distillation import initial_pairs, optimise_pairs
from potstill.runtime import devices
from potstill.students import Recipe
from potstill.students.training import train_networks

devices.use_devices(int(sys.argv[1]) or None)
small = Recipe(steps=10, width=16, momentum=0.9)
rng = np.random.default_rng(0)
draw = lambda *shape: jax.numpy.asarray(rng.uniform(-0.9, 0.9, size=shape), "float32")
table = StateTable(draw(40, 3), draw(40, 2), draw(40, 2), draw(40, 1), draw(40) + 1.0, jax.numpy.ones(()))
first = initial_pairs(table, 8, rng=np.random.default_rng(0))
ways = [(KernelDescent, {}), (Unroll, {}), (Sweep, {"initialisations": 2, "widths": (8,)})]
found = {"devices": jax.device_count()}
for i, (solver, settings) in enumerate(ways):
    parts = {"objective": PolicyCloning(), "solver": solver(small), "schedule": Schedule(3)}
    settings = OuterSettings(batch=16, **settings)
    *_, last = optimise_pairs(first, table, None, **parts, settings=settings, key=jax.random.key(0))
    found[f"pairs {i}"] = np.concatenate([np.ravel(x) for x in (*last.pairs[:2], last.metrics["loss"])]).tolist()
devices.disconnect()
students = train_networks(jax.random.split(jax.random.key(0), 4), last.pairs, small)
found["students"] = np.concatenate([np.ravel(x) for x in jax.tree.leaves(students)]).tolist()
print(json.dumps(found))
"""


def start(count, **environment):
    """Start the program in a separate process, with ``count`` devices (0: one)."""
    env = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-c", PROGRAM, str(count)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def alone():
    return result(start(0))


def assert_same(found, alone):
    assert (alone.pop("devices", 1), found.pop("devices")) == (1, 2)
    for name, numbers in alone.items():
        np.testing.assert_allclose(found[name], numbers, rtol=2e-4, atol=2e-5, err_msg=name)


def test_two_devices_match_one(alone):
    assert_same(result(start(2)), alone)


def test_forced_host_devices_are_found(alone):
    assert_same(result(start(0, XLA_FLAGS="--xla_force_host_platform_device_count=2")), alone)


def test_two_processes_match_one(alone):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    names = {devices.COORDINATOR: address, devices.PROCESSES: "2"}
    both = [start(0, **names, **{devices.PROCESS: str(i)}) for i in range(2)]
    for found in [result(process) for process in both]:
        assert_same(found, alone)


def test_devices_cannot_change_after_jax_starts():
    assert jax.device_count() < 64  # starts JAX
    with pytest.raises(PotstillError, match="--devices 64: JAX has"):
        devices.use_devices(64)


def test_incomplete_process_settings_are_refused(monkeypatch):
    monkeypatch.setenv(devices.COORDINATOR, "127.0.0.1:1")
    with pytest.raises(PotstillError, match="expected numbers in JAX_NUM_PROCESSES and JAX_PROCESS_ID"):
        devices.use_devices(None)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_keep_memory():
    assert devices.keep_memory()
