"""Checkpoints of the training of SAC or DQN, without pickles.

Networks and optimisers are saved as arrays. The replay buffer is rebuilt from the recorded episodes. Environments are
not saved: each starts a new episode from the saved state of its random number generator. If a run with one environment
is saved between two episodes and resumed, its results are therefore byte-identical to those of an uninterrupted run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from potstill.collection.episodes import Recording
from potstill.collection.sac import Agent, Trainer
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.files import JsonObject

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import ReplayBuffer
    from torch import Tensor

SLOTS = ("step", "exp_avg", "exp_avg_sq")  # Adam's state for each parameter


def save_training(path: Path, trainer: Trainer, recording: Recording, metadata: Mapping[str, object]) -> None:
    """Save the state of a training run atomically, with its episodes. Open episodes are cut at the current step.

    Args:
        path: the file to make or replace.
        trainer: the training run.
        recording: the episodes that have ended.
        metadata: further JSON-compatible values to save.
    """
    import torch

    agent = trainer.agent
    all_episodes = recording.with_episodes(trainer.list_running())
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the replay buffer draws from this generator
    arrays = {f"agent/{key}": tensor.numpy().copy() for key, tensor in _get_state(agent).items()}
    arrays["buffer_actions"] = agent.replay_buffer.actions[
        : _count_buffer_rows(agent.replay_buffer)
    ]  # scaled by the agent
    random = {"torch_random": torch.get_rng_state().numpy(), "numpy_random": np.asarray(keys)}
    state = {
        "done": trainer.done,
        "numpy_random": [name, *rest],
        "spaces_random": agent.action_space.np_random.bit_generator.state,
        "lanes": [lane.find_generator_state() for lane in trainer.lanes],
    }
    storage.save(path, "checkpoint", {**arrays, **random, **all_episodes.to_arrays()}, {**metadata, "state": state})


def load_training(path: Path, trainer: Trainer) -> tuple[Recording, JsonObject]:
    """Restore ``trainer`` from a checkpoint.

    Returns:
        The recorded episodes, and the saved metadata.

    Raises:
        PotstillError: the file is damaged, or is the checkpoint of another training run.
    """
    import torch

    arrays, metadata = storage.load(path, "checkpoint")
    state, agent = metadata["state"], trainer.agent
    recording = Recording.from_arrays(arrays, source=str(path))
    try:
        _set_state(agent, {key.removeprefix("agent/"): arrays[key] for key in arrays if key.startswith("agent/")})
        _fill_buffer(agent.replay_buffer, recording, arrays["buffer_actions"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise PotstillError(f"{path} is a checkpoint of another training run ({error})") from None
    agent.num_timesteps = state["done"]
    agent._n_calls = state["done"] // len(trainer.lanes)  # DQN updates its target network by this count
    for lane, generator in zip(trainer.lanes, state["lanes"], strict=True):
        lane.restore(generator)
    agent.action_space.np_random.bit_generator.state = state["spaces_random"]
    name, *rest = state["numpy_random"]
    np.random.set_state((name, arrays["numpy_random"], *rest))  # noqa: NPY002
    torch.set_rng_state(torch.from_numpy(arrays["torch_random"]))
    return recording, metadata


def _get_state(agent: Agent) -> dict[str, Tensor]:
    """Return all tensors of the networks and of their optimisers, by path."""
    entropy = getattr(agent, "log_ent_coef", None)  # DQN has none
    named = {} if entropy is None else {"log_ent_coef": entropy.detach()}
    for part, state in agent.get_parameters().items():
        if "param_groups" not in state:
            named |= {f"{part}/{key}": tensor for key, tensor in state.items()}
            continue
        for place, slots in state["state"].items():
            named |= {f"{part}/{place}/{key}": tensor for key, tensor in slots.items()}
    return named


def _set_state(agent: Agent, named: Mapping[str, np.ndarray]) -> None:
    """Restore the tensors of :func:`_get_state`."""
    import torch

    tensors = {key: torch.from_numpy(array.copy()) for key, array in named.items()}
    if hasattr(agent, "log_ent_coef"):
        agent.log_ent_coef.data.copy_(tensors.pop("log_ent_coef"))
    parts = agent.get_parameters()
    for part, state in parts.items():
        own = {key.removeprefix(f"{part}/"): tensors[key] for key in tensors if key.startswith(f"{part}/")}
        if "param_groups" not in state:
            parts[part] = own
            continue
        places = [place for group in state["param_groups"] for place in group["params"]]
        if own and set(own) != {f"{place}/{slot}" for place in places for slot in SLOTS}:
            raise KeyError(f"the state of {part} is incomplete")
        updated = places if own else []  # Adam has no state before its first update
        state["state"] = {place: {slot: own[f"{place}/{slot}"] for slot in SLOTS} for place in updated}
    agent.set_parameters(parts, exact_match=True, device="cpu")


def _count_buffer_rows(buffer: ReplayBuffer) -> int:
    """Count the rows in a replay buffer."""
    return int(buffer.buffer_size if buffer.full else buffer.pos)


def _fill_buffer(buffer: ReplayBuffer, recording: Recording, actions: np.ndarray) -> None:
    """Fill a replay buffer with the recorded steps. Step t of each lane is in row t modulo the size of the buffer."""
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
