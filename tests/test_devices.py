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
import splitting

from potstill.errors import PotstillError
from potstill.runtime import devices


def start(count, *solvers, **environment):
    """Start the program in a separate process, with ``count`` devices (0: one)."""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, splitting.__file__, str(count), *solvers]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def alone():
    assert jax.device_count() == 1
    return splitting.compute(*splitting.SOLVERS)


def assert_same(found, alone):
    assert found["devices"] == 2
    for name, numbers in alone.items():
        np.testing.assert_allclose(found[name], numbers, rtol=2e-4, atol=2e-5, err_msg=name)


def test_two_devices_match_one(alone):
    assert_same(result(start(2, *splitting.SOLVERS)), alone)


def test_forced_host_devices_are_found():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    assert result(start(0, XLA_FLAGS=flags)) == {"devices": 2}


def test_two_processes_match_one(alone):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    names = {devices.COORDINATOR: address, devices.PROCESSES: "2"}
    solvers = ("kernel", "sweep")  # one shares out the batch, the other students
    both = [start(0, *solvers, **names, **{devices.PROCESS: str(i)}) for i in range(2)]
    for found in [result(process) for process in both]:
        assert_same(found, {name: alone[name] for name in (*solvers, "students")})


def test_devices_cannot_change_after_jax_starts():
    assert jax.device_count() < 64  # starts JAX
    with pytest.raises(PotstillError, match="devices=64: JAX has"):
        devices.use_devices(64)


def test_incomplete_process_settings_are_refused(monkeypatch):
    monkeypatch.setenv(devices.COORDINATOR, "127.0.0.1:1")
    with pytest.raises(PotstillError, match="expected numbers in JAX_NUM_PROCESSES and JAX_PROCESS_ID"):
        devices.use_devices(None)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_keep_memory():
    assert devices.keep_memory()
