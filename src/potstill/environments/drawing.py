"""Draw environments in another process, and say in one line why they cannot be drawn.

A process can choose its OpenGL backend only once, and a crash of the renderer must not lose the results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
from jaxtyping import UInt8

from potstill.environments.making import Environment, make
from potstill.environments.observations.rule import ObservationRule, read_rule
from potstill.errors import PotstillError

SIDE = 320  # pixels of a drawing of Gymnasium's MuJoCo environments
TIMEOUT = 90  # seconds to draw one state


def run_renderer(module: str, *arguments: str, timeout: int) -> str:
    """Run a module of potstill that draws, in another process. Return an empty text, or the reason for a failure.

    Args:
        module: the module, which Python runs as a program.
        arguments: its arguments.
        timeout: seconds after which it is ended.
    """
    environment = dict(os.environ)
    if sys.platform == "linux" and "DISPLAY" not in environment:
        environment.setdefault("MUJOCO_GL", "egl")
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"rendering timed out after {timeout} s"
    if done.returncode == 0:
        return ""
    line = (done.stderr.strip().splitlines() or [f"the renderer ended with code {done.returncode}"])[-1]
    return line.removeprefix("potstill.errors.PotstillError: ")


def check_drawable(env_id: str, rule: ObservationRule | None = None) -> None:
    """Raise unless an environment, with a rule of observations, can be drawn on this machine. One state is drawn.

    Raises:
        PotstillError: the environment has no pictures, or the renderer fails.
    """
    _check_modes(env_id, rule)
    stored = json.dumps(None if rule is None else rule.to_json())
    if reason := run_renderer("potstill.environments.drawing", env_id, stored, timeout=TIMEOUT):
        raise PotstillError(f"{env_id} cannot be drawn here ({reason})")


def _check_modes(env_id: str, rule: ObservationRule | None) -> None:
    env = make(env_id, rule)
    modes = env.unwrapped.metadata.get("render_modes") or ()
    env.close()
    if "rgb_array" not in modes:
        raise PotstillError(f"{env_id} cannot be drawn: it has no render mode 'rgb_array'")


def make_drawable(env_id: str, rule: ObservationRule | None = None) -> Environment:
    """Make an environment that draws itself as arrays.

    In MuJoCo, shadows and smoothed edges are off: without a graphics card, they take most of the time. The camera
    follows the robot if the model has one that does.
    """
    import gymnasium

    _check_modes(env_id, rule)
    spec = gymnasium.spec(env_id.rpartition(":")[2])
    known = str(spec.entry_point).startswith("gymnasium.envs.mujoco")
    options: dict[str, object] = {"width": SIDE, "height": SIDE, "camera_name": "track"} if known else {}
    env = make(env_id, rule, render_mode="rgb_array", **options)
    visual = getattr(getattr(env.unwrapped, "model", None), "vis", None)
    if visual is not None:
        visual.quality.shadowsize = visual.quality.offsamples = 0
    return env


def draw_state(env: Environment) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the current state of an environment.

    Raises:
        PotstillError: what the environment draws is not a picture.
    """
    drawn = np.asarray(env.render())
    if drawn.dtype != np.uint8 or drawn.ndim != 3 or drawn.shape[2] != 3:
        raise PotstillError(f"the environment draws {drawn.dtype} {drawn.shape}: expected uint8 [height, width, 3]")
    return drawn


if __name__ == "__main__":
    environment = make_drawable(sys.argv[1], read_rule(json.loads(sys.argv[2])))
    environment.reset(seed=0)
    draw_state(environment)
    environment.close()
