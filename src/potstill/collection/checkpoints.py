"""A training of SAC, or a roll-out, that can be interrupted: what it needs to go on, without pickles.

Networks and optimisers are arrays; the replay buffer is rebuilt from the recorded episodes. Environments are not
saved: each starts a new episode from the state that its random generator had, so that a training in one
environment, saved between two episodes, goes on to the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from potstill.collection.episodes import Recording
from potstill.collection.sac import Trainer
from potstill.errors import PotstillError
from potstill.runtime import storage

SLOTS = ("step", "exp_avg", "exp_avg_sq")  # of Adam, for every parameter


def save_training(path: Path, trainer: Trainer, recording: Recording, papers: dict[str, Any]) -> None:
    """Write a training with the episodes that have ended, and those that run as cut ones, atomically."""
    import torch

    agent: Any = trainer.agent
    whole = recording.plus(trainer.running())
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the replay buffer draws from this one
    arrays = {f"agent/{key}": tensor.numpy().copy() for key, tensor in _state(agent).items()}
    arrays["buffer_actions"] = agent.replay_buffer.actions[: _held(agent.replay_buffer)]  # as scaled by the agent
    arrays |= {"torch_random": torch.get_rng_state().numpy(), "numpy_random": np.asarray(keys), **whole.arrays()}
    state = {
        "done": trainer.done,
        "numpy_random": [name, *rest],
        "spaces_random": agent.action_space.np_random.bit_generator.state,
        "lanes": [lane.generator_state() for lane in trainer.lanes],
    }
    storage.save(path, "checkpoint", arrays, {**papers, "state": state})


def load_training(path: Path, trainer: Trainer) -> tuple[Recording, dict[str, Any]]:
    """Set ``trainer`` to where it was; return the recording and the papers.

    Raises:
        PotstillError: damaged, or a checkpoint of another training.
    """
    import torch

    arrays, papers = storage.load(path, "checkpoint")
    state, agent = papers["state"], trainer.agent
    recording = Recording.from_arrays(arrays, source=str(path))
    try:
        _set_state(agent, {key.removeprefix("agent/"): arrays[key] for key in arrays if key.startswith("agent/")})
        _fill(agent.replay_buffer, recording, arrays["buffer_actions"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise PotstillError(f"{path}: a checkpoint of another training ({error})") from None
    agent.num_timesteps = state["done"]
    for lane, generator in zip(trainer.lanes, state["lanes"], strict=True):
        lane.restore(generator)
    agent.action_space.np_random.bit_generator.state = state["spaces_random"]
    name, *rest = state["numpy_random"]
    np.random.set_state((name, arrays["numpy_random"], *rest))  # noqa: NPY002
    torch.set_rng_state(torch.from_numpy(arrays["torch_random"]))
    return recording, papers


def _state(agent: Any) -> dict[str, Any]:
    """Every tensor of the networks and of their optimisers, by its place."""
    named = {"log_ent_coef": agent.log_ent_coef.detach()}
    for part, state in agent.get_parameters().items():
        if "param_groups" not in state:
            named |= {f"{part}/{key}": tensor for key, tensor in state.items()}
            continue
        for place, slots in state["state"].items():
            named |= {f"{part}/{place}/{key}": tensor for key, tensor in slots.items()}
    return named


def _set_state(agent: Any, named: dict[str, np.ndarray]) -> None:
    import torch

    tensors = {key: torch.from_numpy(array.copy()) for key, array in named.items()}
    agent.log_ent_coef.data.copy_(tensors.pop("log_ent_coef"))
    parts = agent.get_parameters()
    for part, state in parts.items():
        own = {key.removeprefix(f"{part}/"): tensors[key] for key in tensors if key.startswith(f"{part}/")}
        if "param_groups" not in state:
            parts[part] = own
            continue
        places = [place for group in state["param_groups"] for place in group["params"]]
        if own and set(own) != {f"{place}/{slot}" for place in places for slot in SLOTS}:
            raise KeyError(f"not all of {part}")
        updated = places if own else []  # before its first update Adam has no state
        state["state"] = {place: {slot: own[f"{place}/{slot}"] for slot in SLOTS} for place in updated}
    agent.set_parameters(parts, exact_match=True, device="cpu")


def _held(buffer: Any) -> int:
    return buffer.buffer_size if buffer.full else buffer.pos


def _fill(buffer: Any, recording: Recording, actions: np.ndarray) -> None:
    """Put the recorded steps back where they were: row t of lane i holds its step t, modulo the size."""
    for lane in range(buffer.n_envs):
        episodes = [episode for episode in recording.episodes if episode.lane == lane]
        done = np.concatenate([np.arange(len(e)) == (len(e) - 1 if e.ended else -1) for e in episodes])
        late = np.concatenate([np.full(len(e), e.truncated) for e in episodes]) & done
        steps = np.arange(len(done))[-buffer.buffer_size :]
        rows = steps % buffer.buffer_size
        buffer.observations[rows, lane] = np.concatenate([e.observations[:-1] for e in episodes])[steps]
        buffer.next_observations[rows, lane] = np.concatenate([e.observations[1:] for e in episodes])[steps]
        buffer.rewards[rows, lane] = np.concatenate([e.rewards for e in episodes])[steps]
        buffer.dones[rows, lane], buffer.timeouts[rows, lane] = done[steps], late[steps]
    buffer.full, buffer.pos = len(done) >= buffer.buffer_size, len(done) % buffer.buffer_size
    buffer.actions[: len(actions)] = actions
