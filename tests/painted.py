"""A Gymnasium environment that another process can import: it draws the last action as a colour."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Painted(gymnasium.Env):
    """Episodes of four steps with reward 1.5. The picture is red for actions below 0, and blue for others."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = Box(-np.inf, np.inf, (1,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode, self.action, self.count = render_mode, 0.0, 0

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.count, self.action = self.count + 1, float(action[0])
        return np.zeros(1, np.float32), 1.5, self.count == 4, False, {}

    def render(self):
        picture = np.zeros((50, 81, 3), np.uint8)
        picture[..., 0 if self.action < 0 else 2] = 250
        return picture


class Unseen(Painted):
    """The same without pictures."""

    metadata = {"render_modes": []}  # noqa: RUF012


for kind in (Painted, Unseen):
    gymnasium.register(f"{kind.__name__}-v0", f"painted:{kind.__name__}", max_episode_steps=100)
