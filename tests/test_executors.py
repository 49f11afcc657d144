"""Executors: the same contract in this process, in several, on a Ray cluster, and under submitit."""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import potstill
from potstill.cli import main
from potstill.commands.paper import grid
from potstill.commands.paper.cells import TheoryCell
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.scales import SCALES
from potstill.errors import PotstillError
from potstill.runtime.executors import EXECUTORS, ray_cluster
from potstill.runtime.executors.base import SerialExecutor
from potstill.runtime.executors.pool import PoolExecutor
from potstill.runtime.tasks import Task, run_tasks

# submitit drops its processes as soon as their results are there, a moment before they end.
pytestmark = pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")
PACKAGES = {"ray": "ray", "slurm": "submitit"}


@pytest.fixture(autouse=True)
def patience():
    """End a test that waits for another process forever."""

    def stop(number, frame):
        raise TimeoutError("four minutes have passed")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module", params=sorted(EXECUTORS))
def executor(request, tmp_path_factory):
    name = request.param
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name], reason=f"needs {PACKAGES[name]}")
    workers, address = (None if name == "serial" else 2), ("local" if name in PACKAGES else None)
    with EXECUTORS[name](workers, address, tmp_path_factory.mktemp("scratch") / "jobs") as opened:
        yield opened


def test_each_follows_what_it_needs_and_a_failure_stops_no_other(executor, tmp_path):
    """The folder shows in which order the calls ran. They are functions of other modules, which a worker can import."""
    done = {}

    def touch(name, *needs, call=None):
        return Task(name, f"the {name}", needs, lambda: call or (os.listdir, str(tmp_path)))

    tasks = [
        touch("maker", call=(os.mkdir, str(tmp_path / "made"))),
        touch("reader", "maker"),
        touch("failing", "maker", call=(os.rmdir, str(tmp_path / "missing"))),
        touch("left out", "failing"),
        touch("left out too", "left out"),
        touch("earlier", "not among them"),
    ]
    for outcome in run_tasks(tasks, executor):
        done[outcome.name] = outcome
    assert set(done) == {task.name for task in tasks}
    assert done["reader"].value == ["made"]
    assert str(done["failing"].failure).startswith("FileNotFoundError: ")
    assert done["left out"].failure == "needs 'the failing', which failed"
    assert done["left out too"].failure == "needs 'the left out', which failed"
    assert done["earlier"].failure is None


def test_a_process_that_dies_loses_only_its_own_task(executor):
    if isinstance(executor, SerialExecutor):
        pytest.skip("its process is this one")
    calls: dict[str, tuple[Any, ...]] = {"killed": (os._exit, 3), "beside it": (os.getpid,), "after it": (os.getpid,)}
    tasks = [Task(name, name, (), functools.partial(tuple, call)) for name, call in calls.items()]
    found = {outcome.name: outcome for outcome in run_tasks(tasks, executor)}
    assert str(found["killed"].failure).startswith("its process ended unexpectedly: ")
    assert "\n" not in str(found["killed"].failure)
    assert os.getpid() != found["beside it"].value > 0
    assert found["after it"].failure is None


def test_paths_may_be_relative(executor, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    [outcome] = run_tasks([Task("x", "x", (), lambda: (os.listdir, "."))], executor)
    assert outcome.value == ["file"]


def test_all_processes_of_a_pool_work_at_the_same_time():
    with PoolExecutor(workers=2) as pool:
        tasks = [Task(name, name, (), lambda: (os.getpid,)) for name in "ab"]
        seen: list[list[str]] = []

        def watch(names):
            seen.append(names)
            return contextlib.nullcontext()

        for outcome in run_tasks(tasks, pool, watch):
            assert outcome.failure is None
    assert seen[0] == ["a", "b"]


def test_an_exception_ends_the_processes():
    started = time.monotonic()
    pool = PoolExecutor(workers=1)
    pid = pool.submit(os.getpid).result()
    pending = pool.submit(time.sleep, 600)
    with pytest.raises(KeyboardInterrupt), pool:
        raise KeyboardInterrupt
    assert time.monotonic() - started < 300
    assert pending.done()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--executor", "rey"], "unknown executor 'rey': did you mean 'ray'?"),
        (["--workers", "0"], "--workers 0: expected at least 1"),
        (["--workers", "2"], "--workers 2: the serial executor runs one call at a time; use --executor pool"),
        (
            ["--executor", "pool", "--address", "auto"],
            "--address auto: this executor has no address",
        ),
        (["--executor", "ray", "--address", "127.0.0.1:1"], "--address 127.0.0.1:1: nothing answers there"),
        (["--executor", "ray", "--address", "here:x"], "--address here:x: expected auto, or host:port"),
        (["--executor", "slurm", "--address", "x"], "--address x: the slurm executor takes slurm or local"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_made(options, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "theory", *options]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "s so far" not in line]
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_silent_address_is_refused_before_ray_waits_for_it(monkeypatch):
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(PotstillError, match=f"address='{address}': nothing answers there"):
            ray_cluster.check_address(address)


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_a_missing_package_names_its_extra(name, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PotstillError, match=rf"{package} is not installed: pip install 'potstill\[{name}\]'"):
        EXECUTORS[name](1, None, tmp_path / "jobs")


def test_a_run_refuses_executors(tmp_path):
    with pytest.raises(PotstillError, match=r"executor= has no effect on .*, a run"):
        potstill.reproduce(tmp_path, executor="pool")


def test_records_outlive_the_process_that_waits_for_them(tmp_path, monkeypatch):
    """A worker writes its record; a resumed reproduction reads it instead of measuring again."""
    at = Workplace(tmp_path, {}, SCALES["smoke"])
    monkeypatch.setattr(grid, "measure_cell", lambda cell, at: {"discount": cell.discount})
    arguments: tuple[Any, ...] = (TheoryCell(0.9), tmp_path, (), at.scale, {})
    first = grid.measure_anywhere(*arguments)
    assert first == {"discount": 0.9, "warnings": []}
    monkeypatch.setattr(grid, "measure_cell", lambda cell, at: pytest.fail("it was measured before"))
    assert grid.measure_anywhere(*arguments) == first
    assert json.loads((tmp_path / "cells" / "theory-0.9.json").read_text()) == first


def test_a_killed_reproduction_leaves_no_process_and_is_resumed_by_another_executor(tmp_path):
    """The worker ends with the process that waits for it, so that its run folder is free for the resumed run."""
    words = [sys.executable, "-m", "potstill", "reproduce", "theory", "--out", "run"]
    path = os.pathsep.join([str(Path(potstill.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen([*words, "--executor", "pool", "--workers", "1"], cwd=tmp_path, env=environment)
    cells = tmp_path / "run" / "cells"
    while process.poll() is None and not list(cells.glob("theory-*.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in cells.glob("theory-*.json")}
    subprocess.run([*words, "--resume"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert json.loads((tmp_path / "run" / "result.json").read_text())["cells"].keys() == {
        file.name.removesuffix(".json") for file in cells.glob("theory-*.json")
    }
