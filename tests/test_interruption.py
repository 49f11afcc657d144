"""Signals: the first stops a loop after the current step, the second immediately. Messages and exit codes."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from potstill import cli
from potstill.commands import teach as teaching
from potstill.runtime.interruption import Interrupted, deferred_interruption, resumable


def send(number=signal.SIGINT):
    signal.raise_signal(number)


CODES = [
    (signal.SIGINT, 130),
    (signal.SIGTERM, 143),
    (signal.SIGHUP, 129),
    (signal.SIGUSR1, 138),
    (signal.SIGXCPU, 152),
]


@pytest.mark.parametrize(("number", "code"), CODES)
def test_the_current_step_is_finished(number, code, capfd):
    before, done = signal.getsignal(number), []

    def loop():
        with deferred_interruption() as interruption:
            for step in range(9):
                if step == 2:
                    send(number)
                done.append(step)
                if interruption.requested:
                    raise interruption.make_exception("resume with x")

    with pytest.raises(Interrupted, match="resume with x") as caught:
        loop()
    assert done == [0, 1, 2]
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before
    assert "a second signal stops immediately" in capfd.readouterr().err


def test_the_second_signal_stops_immediately():
    with deferred_interruption() as interruption:
        send()
        assert interruption.requested
        with pytest.raises(Interrupted, match="immediately"):
            send()


def test_a_signal_without_a_terminal(monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr("os.write", refuse)
    with deferred_interruption() as interruption:
        send(signal.SIGHUP)
    assert interruption.requested


def test_ignored_signals_remain_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with deferred_interruption() as interruption:
            send(signal.SIGTERM)
        assert not interruption.requested
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_are_unaffected():
    found = []

    def work():
        with deferred_interruption() as interruption:
            found.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_ends_a_command_in_one_line(monkeypatch, capsys, number, code):
    monkeypatch.setattr(teaching, "teach", lambda config: send(number))
    assert cli.main(["teach", "x"]) == code
    assert capsys.readouterr().err == "potstill: interrupted; everything reported as finished is kept\n"


def test_a_stopped_command_prints_the_command_that_resumes(monkeypatch, capsys):
    def teach(config):
        with resumable("potstill teach x --resume"):
            raise Interrupted("stopped after update 3", signal.SIGTERM)

    monkeypatch.setattr(teaching, "teach", teach)
    assert cli.main(["teach", "x"]) == 143
    expected = "potstill: stopped after update 3; resume with: potstill teach x --resume\n"
    assert capsys.readouterr().err == expected


def test_signals_at_the_exit_do_not_end_in_a_traceback():
    """Exit functions that were registered before, such as those of JAX, run after the one that ignores signals."""
    script = (
        "import atexit, os, signal, sys; from potstill.cli import main; "
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), print('exit'))); sys.exit(main(['--version']))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], check=False, env=env, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("exit\n")


def test_an_interrupted_compilation_does_not_end_in_a_crash():
    """The objects of MLIR that remain crash the interpreter's own end; functions for the exit must still be called."""
    code = """
import atexit, os
from potstill import cli

class Remains:
    def __del__(self):
        os.kill(os.getpid(), 11)

def stop(words):
    remains.append(Remains())
    return 130

remains = []
cli.run = stop
atexit.register(lambda: print("cleaned", flush=True))
print("for Python", cli.main(["distill"]), flush=True)
cli.main()
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code]
    ended = subprocess.run(words, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "for Python 130\ncleaned\n", "")
