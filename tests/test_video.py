"""The video of an evaluation: teacher and student side by side, captions, length, and what is refused first."""

import dataclasses
import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import painted
import pytest
from conftest import random_teacher
from test_cli import refused

import potstill
from potstill.environments.drawing import check_drawable, draw_state, make_drawable
from potstill.errors import PotstillError
from potstill.reports import video
from potstill.reports.video import CAPTION, DARK, HEIGHT, Painter, Player, record_players
from potstill.teachers.base import NetworkTeacher

pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of JAX, when ffmpeg is started


def make_constant(value) -> NetworkTeacher:
    """A teacher whose action is tanh(value) in every state."""
    teacher = random_teacher(states=1, actions=1)
    layers = [dict(layer) for layer in teacher.policy.layers]
    layers[-1] = {"weight": 0.0 * layers[-1]["weight"], "bias": 0.0 * layers[-1]["bias"] + np.float32(value)}
    return dataclasses.replace(teacher, policy=dataclasses.replace(teacher.policy, layers=layers))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Other processes find the environment of the tests."""
    monkeypatch.chdir(tmp_path)
    paths = [str(Path(painted.__file__).parent), str(Path(potstill.__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def files(elsewhere, tmp_path):
    """Pairs whose students act above 0, their dataset, and a teacher that acts below 0."""
    rows = 60
    states = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    ends = np.arange(1, rows + 1) % 20 == 0
    columns = {"observations": states, "actions": 0 * states + 0.9, "rewards": np.ones(rows), "terminals": ends}
    np.savez(tmp_path / "log.npz", env_id="Painted-v0", timeouts=np.zeros(rows, bool), **columns)
    teacher = make_constant(-2.0).save(tmp_path / "teacher.safetensors")
    pairs = potstill.make_baseline("random-rows", tmp_path / "log.npz", size=8, recipe=potstill.Recipe(width=8))
    return pairs.save(tmp_path / "pairs.safetensors"), tmp_path / "log.npz", teacher


def read_video(path):
    """What ffmpeg says about it, and its frames [T, H, W, 3]."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [program, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    said = done.stderr.decode()
    width, height = map(int, re.findall(r"Video: h264.*?, (\d+)x(\d+)[ ,]", said)[0])
    return said, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def is_red(area):
    return bool(area[..., 0].min() > 180 and area[..., 2].max() < 60)


def is_blue(area):
    return is_red(area[..., ::-1])


def test_a_caption_counts_steps_and_returns():
    player = Player("student", lambda observations: 0 * observations, make_drawable("Painted-v0"), seed=5)
    lines = []
    for _ in range(7):
        player.advance()
        lines.append(player.caption[1])
    assert lines == [
        "episode 1, step 0, return 0.0",
        "episode 1, step 1, return 1.5",
        "episode 1, step 2, return 3.0",
        "episode 1, step 3, return 4.5",
        "episode 1, step 4, return 6.0",  # the last state of an episode is shown
        "episode 2, step 0, return 0.0",
        "episode 2, step 1, return 1.5",
    ]
    assert player.seed == 7
    frame = Painter().draw_frame(draw_state(player.env), player.caption)
    assert frame.shape == (HEIGHT + CAPTION, 518, 3)  # the drawing is scaled from 81 x 50, to an even width
    assert (frame[CAPTION:] == (0, 0, 250)).all()
    assert (frame[:CAPTION] != DARK).any()  # letters
    other = Painter().draw_frame(draw_state(player.env), (player.caption[0], "episode 2, step 2, return 3.0"))
    assert (frame[:CAPTION] != other[:CAPTION]).any()


def test_a_video_has_the_rate_of_the_environment(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    acts = {"teacher": -0.5, "student": 0.5}
    players = [
        Player(name, functools.partial(np.add, value), make_drawable("Painted-v0"), 0) for name, value in acts.items()
    ]
    record_players(players, tmp_path / "a.mp4", seconds=0.4)
    said, frames = read_video(tmp_path / "a.mp4")
    assert " 20 fps" in said
    assert len(frames) == 8
    assert is_red(frames[4, CAPTION + 9 : -9, 9:500])
    assert is_blue(frames[4, CAPTION + 9 : -9, 530:])


def test_evaluate_records_teacher_and_student(files, monkeypatch, capsys, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    pairs, log, teacher = files
    monkeypatch.setattr("potstill.commands.evaluation_video.SECONDS", 0.5)
    options: dict[str, Any] = {"students": 1, "episodes": 1, "env_id": "painted:Painted-v0"}
    run = potstill.evaluate(
        pairs,
        dataset=log,
        teacher=teacher,
        video="both.mp4",
        out=tmp_path / "run",
        **options,
    )
    assert capsys.readouterr().out.endswith("both.mp4\n")
    assert run.config["video"] == "both.mp4"
    _, frames = read_video(tmp_path / "both.mp4")
    assert frames.shape == (10, HEIGHT + CAPTION, 1036, 3)
    assert is_red(frames[4, CAPTION + 9 : -9, 9:500])  # the teacher acts below 0
    assert is_blue(frames[4, CAPTION + 9 : -9, 530:])
    potstill.evaluate(pairs, video="runs/x/alone.mp4", out=tmp_path / "runs" / "x", **options)
    assert "video= shows the student alone: " in capsys.readouterr().out
    assert read_video("runs/x/alone.mp4")[1].shape[2] == 518
    assert {path.name for path in tmp_path.glob(".video-*")} == set()
    potstill.evaluate(pairs, out=tmp_path / "runs" / "x", force=True, **options)  # the video is a file of the run
    assert not Path("runs/x/alone.mp4").exists()


def test_what_cannot_be_drawn_is_refused_first(files, monkeypatch, capsys, tmp_path):
    pairs, *_ = files
    before = sorted(tmp_path.iterdir())
    words = ["evaluate", str(pairs), "--students", "1", "--episodes", "1", "--video"]
    assert refused(capsys, *words, "x.gif").endswith("--video x.gif: expected a path that ends in .mp4")
    with monkeypatch.context() as patch:
        patch.setattr("potstill.errors.find_spec", lambda name: None)
        line = refused(capsys, *words, "x.mp4")
        assert line.endswith("imageio-ffmpeg is not installed: pip install 'potstill[video]'")
    pytest.importorskip("imageio_ffmpeg")
    line = refused(capsys, *words, "x.mp4", "--env-id", "Unseen-v0")
    assert line.endswith("Unseen-v0 cannot be drawn: it has no render mode 'rgb_array'")
    Path("old.mp4").write_text("precious")
    assert "old.mp4 exists: choose another path, or --force" in refused(capsys, *words, "old.mp4")
    Path("old.mp4").unlink()
    assert sorted(tmp_path.iterdir()) == before


def test_the_camera_follows_a_robot():
    env = make_drawable("Hopper-v5").unwrapped
    assert env.model.camera(env.mujoco_renderer.camera_id).name == "track"
    assert env.model.vis.quality.shadowsize == 0
    assert (
        make_drawable("InvertedPendulum-v5").unwrapped.mujoco_renderer.camera_id == -1
    )  # its model has no such camera


def test_a_renderer_that_fails_is_named(elsewhere, tmp_path):
    with pytest.raises(PotstillError, match=r"Painted-v0 cannot be drawn here .*unknown environment 'Painted-v0'"):
        check_drawable("Painted-v0")  # without its module, another process does not know it
    policy = make_constant(0.5).policy
    (tmp_path / "x.mp4").write_text("precious")
    with pytest.raises(PotstillError, match=r"x\.mp4: no video was recorded \(.*unknown environment"):
        video.record_video(tmp_path / "x.mp4", {"student": policy}, "Painted-v0", seed=0, seconds=1.0)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.mp4", "precious")]
