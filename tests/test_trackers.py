"""Trackers get what metrics.jsonl gets, change nothing else, and cannot end a run."""

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_STUDENT, make_columns
from test_cli import refused

import potstill
from potstill.commands.tracking import find_tracker
from potstill.config import DistillConfig
from potstill.config.settings import resume_command
from potstill.errors import PotstillError, PotstillWarning
from potstill.runtime.run_folder import RunFolder
from potstill.runtime.trackers import TRACKERS
from potstill.runtime.trackers.base import Feed, MetricsTracker, split_line

LINES: list[dict[str, Any]] = [
    {"step": 1, "loss": 0.5, "gradient_norm": 2.0, "seconds": 0.1},
    {"step": 2, "loss": float("nan"), "seconds": 0.2},
    {"model_step": 40, "model_loss": 1.5},
    {"curve": {"step": 0, "student": 80.0}},
    {"update": 4, "mean": 3.0, "std_over": "episodes", "returns": [[1.0]]},
    {"update": 5},
]
SENT = [
    ("distil", 1, {"loss": 0.5, "gradient_norm": 2.0, "seconds": 0.1}),
    ("distil", 2, {"seconds": 0.2}),
    ("model", 40, {"model_loss": 1.5}),
    ("curve", 0, {"student": 80.0}),
    ("teach", 4, {"mean": 3.0}),
    ("teach", 5, {}),
]
RESULT = {"pairs": 8, "student": {"mean": 79.0, "std": 3.0}, "offline": {"q_gap": {"mean": 0.5}}, "teacher": None}
FLAT = {f"{group}/{name}": (step, value) for group, step, numbers in SENT for name, value in numbers.items()} | {
    "result/student": (0, 79.0),
    "result/offline q_gap": (0, 0.5),
}
"""The last value of each number."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_DIR", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))


def run_tracked(tracker: type[MetricsTracker], out: Path, **options) -> Path:
    with RunFolder(out, "distill", {"size": 8}, track=tracker, **options) as folder:
        for line in LINES:
            folder.log(**line)
        folder.finish(RESULT)
    return out


def test_lines_are_split():
    assert [split_line(line) for line in LINES] == SENT


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    out = run_tracked(TRACKERS["tensorboard"], tmp_path / "runs" / "a")
    [file] = out.glob("events.out.tfevents.*")
    found: dict[str, tuple[int, float]] = {}
    content = file.read_bytes()
    while content:  # a record: its length, a checksum, the event, a checksum
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found |= {v.tag: (event.step, v.simple_value) for v in event.summary.value if v.HasField("simple_value")}
        content = content[16 + size :]
    wanted = {name.replace(" ", "/"): value for name, value in FLAT.items()}
    assert found.keys() == wanted.keys()
    assert all(found[name] == pytest.approx(wanted[name]) for name in wanted)
    run_tracked(TRACKERS["tensorboard"], out, force=True)  # the file belongs to the run
    assert len(list(out.glob("events.out.tfevents.*"))) == 1


def test_wandb_is_offline_without_an_account(tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    from potstill.runtime.trackers.wandb_runs import choose_mode, is_logged_in

    assert choose_mode() == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 0123456789\n")
    assert is_logged_in()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert choose_mode() == "offline"
    run_tracked(TRACKERS["wandb"], tmp_path / "runs" / "a")
    [folder] = (tmp_path / "wandb").glob("offline-run-*")
    assert f"wandb sync {folder}" in capsys.readouterr().out
    [log] = folder.glob("*.wandb")
    deadline = time.monotonic() + 30
    while not all(text in log.read_bytes() for text in (b"distil/loss", b"curve/student", b"result/student")):
        assert time.monotonic() < deadline  # another process of the library writes the file
        time.sleep(0.2)


def test_trackio_keeps_runs_on_this_machine(tmp_path):
    pytest.importorskip("trackio")
    import sqlite3

    run_tracked(TRACKERS["trackio"], tmp_path / "runs" / "a")
    [file] = [path for path in (tmp_path / "trackio").rglob("*.db") if "potstill" in path.name]
    connection = sqlite3.connect(file)
    rows = [json.loads(row) for (row,) in connection.execute("select metrics from metrics")]
    connection.close()
    assert {"distil/step": 1, "distil/loss": 0.5}.items() <= rows[0].items()
    assert any(row.get("result/student") == 79.0 for row in rows)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_library_is_named_first(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("potstill.errors.find_spec", lambda package: None)
    package = TRACKERS[name].package
    wanted = f"{package} is not installed: pip install 'potstill[{name}]'"
    for command in ("distill", "teach", "model"):
        assert refused(capsys, command, "hopper-medium-replay", "--track", name).endswith(wanted)
    assert not Path("runs").exists()


def test_an_unknown_tracker_is_refused(capsys):
    line = refused(capsys, "distill", "hopper-medium-replay", "--track", "wandbb")
    assert "unknown tracker 'wandbb': did you mean 'wandb'?" in line
    assert find_tracker(None) is None


@pytest.fixture
def stand_in(monkeypatch):
    """A module in place of wandb that keeps what it gets."""
    module: Any = ModuleType("wandb")
    module.calls = []

    class Run:
        settings: Any = ModuleType("settings")
        dir = "wandb/offline-run-0/files"

        def define_metric(self, name, step_metric):
            module.calls.append((name, step_metric))

        def log(self, content):
            module.calls.append(content)

        def finish(self):
            module.calls.append("finish")

    def init(**options):
        Run.settings.mode = options["mode"]
        module.options = options
        return Run()

    module.init, module.Settings = init, dict
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("potstill.errors.find_spec", lambda package: module)
    return module


def test_a_distillation_is_tracked_and_its_bytes_are_the_same(stand_in, tmp_path, capsys):
    np.savez(tmp_path / "log.npz", **make_columns())
    quick: dict[str, Any] = {"objective": "dbc", "size": 4, "steps": 3, "batch": 8, "recipe": SMALL_STUDENT}
    plain = potstill.distill(tmp_path / "log.npz", out="plain", students=1, **quick)
    assert stand_in.calls == []
    tracked = potstill.distill(tmp_path / "log.npz", out="tracked", students=1, track="wandb", **quick)
    files = [(run / "distillate.safetensors").read_bytes() for run in (plain, tracked)]
    assert files[0] == files[1]
    assert stand_in.options["name"] == "tracked"
    assert stand_in.options["mode"] == "offline"
    assert stand_in.options["config"]["size"] == 4
    logged = [call for call in stand_in.calls if isinstance(call, dict) and "distil/step" in call]
    wanted = [line for line in tracked.metrics if "step" in line]
    assert [call["distil/loss"] for call in logged] == [line["loss"] for line in wanted]
    assert ("distil/*", "distil/step") in stand_in.calls
    assert stand_in.calls[-1] == "finish"
    assert "tracked offline; to upload: wandb sync wandb/offline-run-0\n" in capsys.readouterr().out
    before = len(stand_in.calls)
    potstill.reproduce(tracked, out="again")  # a repetition is not tracked
    assert len(stand_in.calls) == before


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path):
    class Full(MetricsTracker):
        def __init__(self, *args):
            pass

        def log(self, group, step, numbers):
            raise OSError(28, "No space left on device")

        def close(self):
            pytest.fail("closed after a failure")

    with pytest.warns(
        PotstillWarning, match=r"Full gets no more metrics, but metrics.jsonl has all .*No space"
    ) as caught:
        out = run_tracked(Full, tmp_path / "a")
    assert len(caught) == 1
    assert len((out / "metrics.jsonl").read_text().splitlines()) == len(LINES)
    assert (out / "result.json").exists()

    def start():
        raise PotstillError("no account")

    feed = Feed(start, "Elsewhere")
    with pytest.warns(PotstillWarning, match="Elsewhere gets no more metrics.*no account"):
        feed.add_line(LINES[0])
    feed.add_line(LINES[0])
    feed.close()


def test_the_command_that_resumes_a_run_tracks_it():
    config = DistillConfig("x.npz", track="trackio")
    assert resume_command("distill", config, "runs/a") == "potstill distill x.npz --track trackio --out runs/a --resume"
