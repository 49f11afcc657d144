"""Progress: the estimated time, lines that fit the terminal, and lines after a silence."""

import io
import os
import termios
import time
from typing import Any

import pytest
from rich.console import Console

from potstill.reports.text import make_console
from potstill.runtime import progress
from potstill.runtime.progress import Tracker, Work, busy
from potstill.runtime.terminal import find_terminal_width


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    monotonic = perf_counter


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def describe(tracker, clock, after=0.0):
    clock.now += after
    return tracker.describe()


def test_work_of_several_kinds_is_added():
    work = Work()
    work.left = {"update": 100, "episode": 4}
    work.measure("update", 10, 1.0)
    assert work.estimate_seconds_left() is None  # no episode was timed
    work.measure("episode", 2, 3.0)
    work.measure("update", 30, 1.0)
    assert work.estimate_seconds_left() == pytest.approx(100 * 2.0 / 40 + 4 * 1.5)
    work.left = {"update": 0, "episode": 0, "report": 0}
    assert work.estimate_seconds_left() == 0.0


def test_the_first_step_with_its_compilation_is_not_extrapolated(clock):
    with Tracker("distil", 100, then="evaluation") as tracker:
        clock.now = 30.0
        tracker.update(1, loss=0.5)
        assert tracker.describe() == "distil 1/100 (1%), 30 s so far, then evaluation, loss 0.5"
        clock.now = 31.0
        tracker.update(11)
        assert tracker.describe() == "distil 11/100 (11%), 9 s left, then evaluation"
        assert "7 s left" in describe(tracker, clock, after=2.0)  # it also counts down between two updates


def test_time_left_includes_phases_but_steps_do_not_include_them(clock):
    with Tracker("teach", 40, limit=True) as tracker:
        tracker.work.measure("step", 10, 1.0)
        tracker.work.left = {"evaluation": 4}
        tracker.work.measure("evaluation", 1, 5.0)
        tracker.update(0)
        assert tracker.describe() == "teach 0/40 (0%), at most 24 s left"
        clock.now += 1.0
        with tracker.phase("evaluating", evaluation=1):
            assert describe(tracker, clock, after=5.0).endswith("at most 18 s left, evaluating, 5 s so far")
        tracker.update(10)
        assert tracker.describe() == "teach 10/40 (25%), at most 18 s left"
        tracker.update(40)
        tracker.work.left = {}
        assert tracker.describe() == "teach 40/40 (100%), 0 s left"


def test_a_loop_that_may_end_sooner_shows_both_times(clock):
    with Tracker("teach", 40, limit=True) as tracker:
        tracker.work.measure("step", 10, 1.0)
        tracker.work.left = {"evaluation": 4}
        tracker.work.measure("evaluation", 1, 5.0)
        tracker.work.spare = {"step": 20, "evaluation": 2, "fit": 7}
        tracker.update(0)
        assert tracker.describe() == "teach 0/40 (0%), 12 to 24 s left"
        assert describe(tracker, clock, after=13.0) == "teach 0/40 (0%), 0 to 11 s left"
        tracker.work.spare = {"step": 0}
        assert tracker.describe() == "teach 0/40 (0%), at most 11 s left"


def test_a_phase_shows_its_own_progress_and_not_the_metrics_of_the_last_step(clock):
    with Tracker("teach", 40) as tracker:
        tracker.update(10, loss=0.5)
        assert tracker.describe() == "teach 10/40 (25%), 0 s so far, loss 0.5"
        with tracker.phase("fitting") as fitting:
            lines = [describe(tracker, clock, after=4.0)]
            fitting.steps = 1000, 5000
            lines += [describe(tracker, clock, after=4.0), describe(tracker, clock, after=4.0)]
        assert lines == [
            "teach 10/40 (25%), fitting, 4 s so far",
            "teach 10/40 (25%), fitting 1,000/5,000, 8 s so far",
            "teach 10/40 (25%), fitting 1,000/5,000, 12 s so far",
        ]
        assert tracker.describe().endswith("loss 0.5")


def test_a_long_label_does_not_hide_the_numbers():
    label = "teach SafetyHalfCheetah-high-100000-train"
    line = f"{label} 10,000/50,000 (20%), at most 90 s left, fitting, 4 s so far"
    assert progress.fit_line(line, label, 80).endswith("90 s left, fitting, 4 s so far")
    assert len(progress.fit_line(line, label, 80)) == 79
    assert progress.fit_line(line, label, 40) == "teach Safety... 10,000/50,000 (20%), at"
    assert progress.fit_line(line, label, None) == line


def test_the_work_of_several_loops_is_one_estimate(clock):
    work = Work()
    work.left = {"student": 12, "episode": 40}
    with Tracker("curve", 1, work=work) as tracker:
        with tracker.phase("training", cold=True, student=2):
            clock.now += 60.0
        assert "60 s so far" in tracker.describe()
        with tracker.phase("playing", episode=10):
            clock.now += 2.0
        with tracker.phase("training", student=2):
            clock.now += 4.0
        tracker.update(1)
        assert tracker.describe() == "curve 1/1 (100%), 22 s left"
    with Tracker("evaluate", 1, work=work) as tracker, tracker.phase("both", student=8, episode=30):
        clock.now += 30.0
    assert tracker.describe() == "evaluate 0/1 (0%), 0 s left"


@pytest.fixture
def terminal(monkeypatch):
    """Make the output a terminal of a kind and width; return its text."""

    def make(kind, width):
        out = io.StringIO()
        options: dict[str, Any] = {"file": out, "force_terminal": True, "_environ": {"TERM": kind}}
        monkeypatch.setattr(progress, "Console", lambda width: Console(width=width, height=30, **options))
        monkeypatch.setattr(progress, "find_terminal_width", lambda file: width)
        monkeypatch.setattr("sys.stdout", out)
        return out

    return make


@pytest.mark.parametrize("width", [60, 40])
def test_a_dumb_terminal_gets_plain_lines_that_fit(terminal, width):
    out = terminal("dumb", width)
    with Tracker("teach a-dataset-with-a-long-name", 50_000) as tracker:
        tracker.update(50_000, critic_loss=1.25, value=3.5, score=7.0)
        assert not tracker.is_live
    assert 0 < len(out.getvalue()) <= width
    assert out.getvalue().startswith("teach a-data... 50,000/50,000 (100%)")


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_gets_one_line_that_is_updated(terminal, width):
    out = terminal("xterm", width)
    with Tracker("teach", 10) as tracker:
        assert tracker.is_live
        tracker.update(10, loss=0.125, return_of_ten_episodes=8.0)
    lines = [line for line in out.getvalue().splitlines() if "10/10" in line]
    assert ("━" in lines[-1]) == (width == 200)


def test_the_width_of_a_terminal_comes_from_the_terminal(monkeypatch):
    leader, follower = os.openpty()
    with os.fdopen(leader), os.fdopen(follower, "w") as file:
        termios.tcsetwinsize(follower, (24, 60))
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setenv("TERM", "dumb")
        assert find_terminal_width(file) == 60
        monkeypatch.setenv("COLUMNS", "50")
        assert find_terminal_width(file) == 50
    assert find_terminal_width(io.StringIO()) is None


def test_a_line_is_printed_after_a_silence(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    said = ""
    with Tracker("teach", 9) as tracker, busy("compiling"):
        tracker.update(3)
        for _ in range(200):  # until the thread has printed
            time.sleep(0.01)
            said += capsys.readouterr().out
            if said:
                break
    assert said.startswith("teach 3/9 (33%), compiling, 0 s so far")
    assert not progress._DISPLAY.activities


def test_a_closed_output_is_ignored(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    with busy("compiling", closed):
        time.sleep(0.12)  # one turn of the thread
    assert not progress._DISPLAY.activities


def test_tables_are_as_wide_as_a_terminal_without_cursor_movement(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("potstill.reports.text.find_terminal_width", lambda file: 60)
    monkeypatch.setattr(Console, "is_dumb_terminal", True)
    assert make_console().width == 60
