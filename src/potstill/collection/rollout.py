"""Episodes of a behaviour, played side by side; what is in one depends on the seed and its number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from potstill.collection.episodes import Episode, OpenEpisode, Recording
from potstill.collection.journal import Journal
from potstill.config import CollectConfig
from potstill.environments import registry as environments
from potstill.environments.rollouts.play import DEFAULT_STEPS, make_stepper
from potstill.networks.policy import Policy
from potstill.runtime import storage
from potstill.runtime.run_folder import RunFolder

SAVE_INTERVAL = 10_000  # rows between two checkpoints, so that an interruption loses little

Behaviour = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From an observation [S] and the episode's own random generator to an action [A]."""


def uniform(env_id: str) -> Behaviour:
    """Actions drawn evenly between their bounds."""
    low, high = environments.action_bounds(env_id)
    return lambda state, rng: rng.uniform(low, high)


def of_policy(policy: Policy, *, mean_action: bool) -> Behaviour:
    """A policy's sampled actions, or its mean ones."""
    return (lambda state, rng: policy(state)) if mean_action else policy.sample


class _Lane:
    """The episode that one of the environments plays, with its number and its own random numbers."""

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        start, noise = np.random.SeedSequence((seed, number)).spawn(2)
        self.seed = int(start.generate_state(1)[0] >> 1)  # Gymnasium wants a signed number
        self.rng = np.random.default_rng(noise)


def play_episodes(env_id: str, behaviour: Behaviour, *, seed: int, first: int = 0, lanes: int = 1) -> Iterator[Episode]:
    """Episodes number ``first`` and on, in order, without end, ``lanes`` of them at a time.

    The action is computed observation by observation, so that the number of lanes does not move its last
    bit: the same seed and number give the same episode, whatever is played beside it.

    Args:
        env_id: Gymnasium id; its registered time limit ends an episode (1,000 steps if it has none).
        behaviour: what acts.
        seed: with an episode's number it seeds the start and the noise.
        first: number of the first episode.
        lanes: environments side by side.
    """
    stepper = make_stepper(env_id, lanes)
    limit = environments.time_limit(env_id) or DEFAULT_STEPS
    low, high = environments.action_bounds(env_id)
    playing = [_Lane(seed, first + i) for i in range(lanes)]
    starts = stepper.reset(np.array([lane.seed for lane in playing]))
    opened = [OpenEpisode(start) for start in starts]
    closed: dict[int, Episode] = {}
    awaited = first
    while True:
        wanted = [behaviour(run.observations[-1], lane.rng) for run, lane in zip(opened, playing, strict=True)]
        actions = np.clip(np.stack(wanted).astype(np.float32), low, high)
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


class RollOut:
    """Behaviours one after the other, in equal parts of the rows; episodes are numbered throughout.

    Args:
        config: the settings.
        behaviours: who acts, by name, in order.
        folder: the run folder, which gets a checkpoint now and then.
    """

    checkpoint_name = "episodes.safetensors"

    def __init__(self, config: CollectConfig, behaviours: Mapping[str, Behaviour], folder: RunFolder) -> None:
        self.config, self.behaviours = config, behaviours
        self.checkpoint = folder.path / self.checkpoint_name
        self.recording = Recording()
        if self.checkpoint.exists():
            arrays, _ = storage.load(self.checkpoint, "checkpoint")
            self.recording = Recording.from_arrays(arrays, source=str(self.checkpoint))
        self.journal = Journal(folder, config.env_id, "roll-out", config.steps, self.recording.rows)

    def run(self) -> None:
        """Play until all rows are there."""
        config, recording = self.config, self.recording
        with self.journal:
            for part, behaviour in enumerate(self.behaviours.values(), start=1):
                until = config.steps * part // len(self.behaviours)
                first, lanes = len(recording.episodes), config.environments
                episodes = play_episodes(config.env_id, behaviour, seed=config.seed, first=first, lanes=lanes)
                while recording.rows < until:
                    before = recording.rows
                    episode = next(episodes).head(until - before)
                    recording.add(episode)
                    self.journal.ended(episode, recording.rows)
                    self.journal.stepped(recording.rows, recording)
                    if recording.rows // SAVE_INTERVAL > before // SAVE_INTERVAL:
                        self.save()

    def save(self) -> None:
        """Write the episodes that are there, from which a resumed run goes on."""
        storage.save(self.checkpoint, "checkpoint", self.recording.arrays(), {})

    def seen(self) -> Recording:
        """All episodes so far."""
        return self.recording
