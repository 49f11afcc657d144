"""A video of policies side by side, each with a caption: its name, the step of its episode and the return so far.

Each policy plays episodes in its own copy of the environment until the video ends. All have the same seeds, so that
their first episodes have the same initial state. One frame is one step, at the environment's own frame rate.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from potstill.environments.drawing import draw_state, make_drawable, run_renderer
from potstill.environments.making import Environment
from potstill.environments.observations.rule import ObservationRule, read_rule
from potstill.environments.rollouts import Act
from potstill.errors import PotstillError, require_package
from potstill.networks.policy import Policy, load_policy
from potstill.runtime.files import make_write_error

HEIGHT, CAPTION = 320, 48  # pixels of a drawing and of the caption above it
PLAIN_RATE = 30.0  # frames per second where the environment names none
TIMEOUT = 3600  # seconds
DARK, LIGHT = (29, 29, 31), (245, 245, 247)
Frame = UInt8[np.ndarray, "height width 3"]


def check_encoder() -> None:
    """Raise unless the library that encodes videos is installed."""
    require_package("imageio-ffmpeg", "video")


def record_video(
    path: Path,
    policies: Mapping[str, Policy],
    env_id: str,
    *,
    seed: int,
    seconds: float,
    rule: ObservationRule | None = None,
) -> Path:
    """Record policies, from left to right, into an MP4 file, which is written completely or not at all.

    Args:
        path: the file to write.
        policies: the policies by the names in their captions.
        env_id: Gymnasium id. Another process makes the environment, and can import the module that the id names.
        seed: the seed of the first episode; each further one has the next.
        seconds: the length.
        rule: how observations become vectors, if they are none. A Python function as encoder cannot be used.

    Raises:
        PotstillError: the environment cannot be drawn, or the file cannot be written.
    """
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".video-", dir=target.parent) as folder:
            place = Path(folder)
            files = [str(policy.save(place / f"{i}.safetensors")) for i, policy in enumerate(policies.values())]
            task = {"env_id": env_id, "seed": seed, "seconds": seconds, "path": str(place / "video.mp4")}
            task |= {} if rule is None else {"rule": rule.to_json()}
            text = json.dumps(task | {"policies": dict(zip(policies, files, strict=True))})
            (place / "task.json").write_text(text, encoding="utf-8")
            if reason := run_renderer("potstill.reports.video", str(place / "task.json"), timeout=TIMEOUT):
                raise PotstillError(f"{path}: no video was recorded ({reason})")
            os.replace(place / "video.mp4", target)
    except OSError as error:
        raise make_write_error(path, error) from None
    return path


@dataclass
class Player:
    """A policy that plays episode after episode in its own environment."""

    name: str
    act: Act
    env: Environment
    seed: int
    """Seed of the next episode."""
    episode: int = 0
    step: int = 0
    total: float = 0.0
    """The return of the episode so far."""
    over: bool = True
    observation: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def advance(self) -> None:
        """Take a step. After the end of an episode, start the next one instead."""
        if self.over:
            self.observation = self.env.reset(seed=self.seed)[0]
            self.seed, self.episode, self.step, self.total, self.over = self.seed + 1, self.episode + 1, 0, 0.0, False
            return
        action = self.act(np.asarray(self.observation, np.float32)[None])[0]
        self.observation, reward, terminated, truncated, _ = self.env.step(action)
        self.step, self.total, self.over = self.step + 1, self.total + float(reward), terminated or truncated

    @property
    def caption(self) -> tuple[str, str]:
        """The two lines above the drawing."""
        return self.name, f"episode {self.episode}, step {self.step}, return {self.total:,.1f}"


class Painter:
    """Draws frames: a caption above the drawing of an environment, all of the same even size."""

    def __init__(self) -> None:
        file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
        self.fonts = ImageFont.truetype(str(file), 17), ImageFont.truetype(str(file), 14)

    def draw_frame(self, drawing: UInt8[np.ndarray, "H W 3"], caption: Sequence[str]) -> Frame:
        """Scale a drawing to the common height, and add its caption."""
        height, width = drawing.shape[:2]
        size = 2 * max(round(HEIGHT * width / height / 2), 1), HEIGHT
        frame = Image.new("RGB", (size[0], HEIGHT + CAPTION), DARK)
        frame.paste(Image.fromarray(drawing).resize(size, Image.Resampling.BILINEAR), (0, CAPTION))
        pen = ImageDraw.Draw(frame)
        for line, font, top in zip(caption, self.fonts, (4, 26), strict=True):
            pen.text((8, top), line, LIGHT, font)
        return np.asarray(frame)


def record_players(players: Sequence[Player], path: Path, seconds: float) -> None:
    """Record players side by side, one step per frame."""
    rate = float(players[0].env.unwrapped.metadata.get("render_fps") or PLAIN_RATE)
    painter = Painter()

    def draw_players() -> Frame:
        for player in players:
            player.advance()
        return np.hstack([painter.draw_frame(draw_state(player.env), player.caption) for player in players])

    first = draw_players()
    with encode(path, first.shape[1], first.shape[0], rate) as write:
        write(first)
        for _ in range(max(round(seconds * rate), 1) - 1):
            write(draw_players())


@contextmanager
def encode(path: Path, width: int, height: int, rate: float) -> Iterator[Callable[[Frame], object]]:
    """Write frames into an MP4 file (H.264), which every browser plays."""
    from imageio_ffmpeg import write_frames

    fast = ["-preset", "veryfast", "-movflags", "+faststart"]
    frames = write_frames(str(path), (width, height), fps=rate, macro_block_size=2, output_params=fast)
    frames.send(None)
    try:
        yield lambda frame: frames.send(np.ascontiguousarray(frame))
    finally:
        frames.close()


def record_task(task: Path) -> None:
    """Record what :func:`record_video` has written into a file."""
    asked = json.loads(task.read_text(encoding="utf-8"))
    env_id, seed = asked["env_id"], asked["seed"]
    rule = read_rule(asked.get("rule"))
    policies = {name: load_policy(file) for name, file in asked["policies"].items()}
    players = [Player(name, policy, make_drawable(env_id, rule), seed) for name, policy in policies.items()]
    record_players(players, Path(asked["path"]), asked["seconds"])


if __name__ == "__main__":
    record_task(Path(sys.argv[1]))
