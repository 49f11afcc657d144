"""Roll behaviour policies out in parallel environments. An episode depends only on its number and the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Float

from potstill.collection.episodes import Episode, OpenEpisode, Recording
from potstill.collection.journal import Journal
from potstill.data.bounds import ActionBounds
from potstill.data.units import find_bounds
from potstill.environments.making import find_time_limit, make
from potstill.environments.rollouts.playing import DEFAULT_STEPS, make_stepper
from potstill.networks.policy import Policy
from potstill.runtime import storage
from potstill.runtime.run_folder import RunFolder

SAVE_INTERVAL = 10_000  # rows between two checkpoints

Behaviour = Callable[[Float[np.ndarray, " S"], np.random.Generator], np.ndarray]
"""A behaviour policy: from an observation [S] and the episode's random number generator to an action [A].

The result for discrete actions is the number of one action.
"""


def find_space(env_id: str) -> ActionBounds:
    """Find the action bounds of an environment, or its finite set of actions."""
    env = make(env_id)
    bounds = find_bounds(env)
    env.close()
    return bounds


def make_uniform_behaviour(env_id: str) -> Behaviour:
    """Make a policy that draws actions uniformly between the environment's bounds, or from its finite set."""
    bounds = find_space(env_id)
    if bounds.discrete:
        return lambda state, rng: bounds.draw_uniform(rng, 1)[0]
    low, high = bounds.low, bounds.high
    return lambda state, rng: rng.uniform(low, high)


def make_policy_behaviour(policy: Policy, *, mean_action: bool) -> Behaviour:
    """Make a behaviour policy that takes the mean actions of ``policy``, or samples from it."""
    return (lambda state, rng: policy(state)) if mean_action else policy.sample


class _Lane:
    """The number, the seed and the random number generator of the current episode of one environment."""

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        start, noise = np.random.SeedSequence((seed, number)).spawn(2)
        self.seed = int(start.generate_state(1)[0] >> 1)  # fits into Gymnasium's signed integers
        self.rng = np.random.default_rng(noise)


def play_episodes(env_id: str, behaviour: Behaviour, *, seed: int, first: int = 0, lanes: int = 1) -> Iterator[Episode]:
    """Play an endless sequence of episodes, and yield them in the order of their numbers.

    Actions are computed for one observation at a time, so that rounding does not depend on the number of lanes: the
    same seed and number always give the same episode.

    Args:
        env_id: Gymnasium id. An episode ends at the registered time limit, or after 1,000 steps if there is none.
        behaviour: the behaviour policy.
        seed: together with the number of an episode, it seeds the initial state and the behaviour.
        first: number of the first episode.
        lanes: the number of parallel environments.
    """
    stepper = make_stepper(env_id, lanes)
    limit = find_time_limit(env_id) or DEFAULT_STEPS
    bounds = find_space(env_id)
    playing = [_Lane(seed, first + i) for i in range(lanes)]
    starts = stepper.reset(np.array([lane.seed for lane in playing]))
    opened = [OpenEpisode(start) for start in starts]
    closed: dict[int, Episode] = {}
    awaited = first
    while True:
        wanted = [behaviour(run.observations[-1], lane.rng) for run, lane in zip(opened, playing, strict=True)]
        actions = np.stack(wanted)
        if not bounds.discrete:
            actions = np.clip(actions.astype(np.float32), bounds.low, bounds.high)
        after, rewards, terminated, truncated = stepper.step(np.arange(lanes), actions)
        for i, run in enumerate(opened):
            run.add(actions[i], float(rewards[i]), after[i])
            late = bool(truncated[i]) or len(run) >= limit
            if terminated[i] or late:
                closed[playing[i].number] = run.close(bool(terminated[i]), late)
                playing[i] = _Lane(seed, max(lane.number for lane in playing) + 1)
                opened[i] = OpenEpisode(stepper.restart(i, playing[i].seed))
        while awaited in closed:
            yield closed.pop(awaited)
            awaited += 1


class Rollout:
    """Roll out behaviour policies one after the other, each for an equal part of the rows.

    Args:
        env_id: Gymnasium id.
        behaviours: the behaviour policies by name, in order.
        steps: rows to record.
        folder: the run folder. A checkpoint is written there every 10,000 rows; an existing one is resumed.
        seed: seed of the environments and the behaviour policies.
        environments: the number of parallel environments. The result does not depend on it.
    """

    checkpoint_name = "episodes.safetensors"

    def __init__(
        self,
        env_id: str,
        behaviours: Mapping[str, Behaviour],
        steps: int,
        folder: RunFolder,
        *,
        seed: int = 0,
        environments: int = 1,
    ) -> None:
        self.env_id, self.behaviours, self.steps = env_id, behaviours, steps
        self.seed, self.environments = seed, environments
        self.checkpoint = folder.path / self.checkpoint_name
        self.recording = Recording()
        if self.checkpoint.exists():
            arrays, _ = storage.load(self.checkpoint, "checkpoint")
            self.recording = Recording.from_arrays(arrays, source=str(self.checkpoint))
        self.journal = Journal(folder, env_id, "roll-out", steps, self.recording.rows)

    def run(self) -> None:
        """Roll out until all rows are recorded."""
        recording = self.recording
        with self.journal:
            for part, behaviour in enumerate(self.behaviours.values(), start=1):
                until = self.steps * part // len(self.behaviours)
                first = len(recording.episodes)
                episodes = play_episodes(self.env_id, behaviour, seed=self.seed, first=first, lanes=self.environments)
                while recording.rows < until:
                    before = recording.rows
                    episode = next(episodes).take_first(until - before)
                    recording.add(episode)
                    self.journal.log_episode(episode, recording.rows)
                    self.journal.show_progress(recording.rows, recording)
                    if recording.rows // SAVE_INTERVAL > before // SAVE_INTERVAL:
                        self.save()

    def save(self) -> None:
        """Write a checkpoint, from which an interrupted run can be resumed."""
        storage.save(self.checkpoint, "checkpoint", self.recording.to_arrays(), {})

    def make_recording(self) -> Recording:
        """Return all episodes so far."""
        return self.recording
