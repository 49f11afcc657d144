"""Signals: the first lets a step finish, the second stops at once; the command line says so and exits accordingly."""

import os
import signal
import threading

import pytest

from potstill import cli
from potstill.runtime.interruption import Interrupted, deferred_interruption


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_step_is_finished(number, code, capfd):
    before, done = signal.getsignal(number), []

    def loop():
        with deferred_interruption() as interruption:
            for step in range(9):
                if step == 2:
                    send(number)
                done.append(step)
                if interruption.requested:
                    raise interruption.stopped("resume with x")

    with pytest.raises(Interrupted, match="resume with x") as caught:
        loop()
    assert done == [0, 1, 2]
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before
    assert "once more to stop at once" in capfd.readouterr().err


def test_the_second_signal_stops_at_once():
    with deferred_interruption() as interruption:
        send()
        assert interruption.requested
        with pytest.raises(Interrupted, match="at once"):
            send()


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with deferred_interruption() as interruption:
            send(signal.SIGTERM)
        assert not interruption.requested
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_are_left_alone():
    found = []

    def work():
        with deferred_interruption() as interruption:
            found.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_in_one_line(monkeypatch, capsys, number, code):
    monkeypatch.setattr(cli, "make_app", lambda *args, **options: lambda *args, **options: send(number))
    assert cli.main(["teach", "x"]) == code
    assert capsys.readouterr().err == "potstill: interrupted; everything reported as finished is kept\n"
