"""Updates of ReBRAC and Cal-QL in plain PyTorch, with the same losses, networks and batches as in potstill."""

from __future__ import annotations

import copy
import itertools
import math
import os
from typing import Any

import numpy as np

from benchmarks.speed.harness import Call

STATES, ACTIONS, BATCH, WIDTH = 11, 3, 256, 256
GAMMA, TAU = 0.99, 0.005


class TorchProgram:
    """Networks, Adam, soft updates of targets, and batches from a table of tensors.

    Args:
        columns: states, actions, rewards, next states, next actions, and 1 where the episode continues.
    """

    def __init__(self, columns: tuple[np.ndarray, ...]) -> None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        self.torch = torch
        self.table = [torch.from_numpy(x) for x in columns]

    def network(self, sizes: tuple[int, ...], normed: bool = False) -> Any:
        """A multilayer perceptron; ``normed`` adds LayerNorm after each hidden layer."""
        nn = self.torch.nn
        layers: list[Any] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers.append(nn.Linear(a, b))
            if i < len(sizes) - 2:
                layers += [nn.ReLU()] + ([nn.LayerNorm(b, elementwise_affine=False)] if normed else [])
        return nn.Sequential(*layers)

    def adam(self, *networks: Any, rate: float) -> Any:
        """Adam on all parameters of the networks."""
        return self.torch.optim.Adam([p for network in networks for p in network.parameters()], lr=rate)

    def batch(self) -> list[Any]:
        """Random rows of every column."""
        index = self.torch.randint(0, len(self.table[0]), (BATCH,))
        return [column[index] for column in self.table]

    def soft_update(self, network: Any, target: Any) -> None:
        """Move a target network by τ towards its online network."""
        with self.torch.no_grad():
            for p, q in zip(network.parameters(), target.parameters(), strict=True):
                q.lerp_(p, TAU)

    @staticmethod
    def step(optimiser: Any, loss: Any) -> None:
        """One step of an optimiser on a loss."""
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def rebrac(columns: tuple[np.ndarray, ...], count: int) -> Call:
    """``count`` updates of ReBRAC: clipped double critics, behaviour penalties on actor and target."""
    program = TorchProgram(columns)
    torch = program.torch
    actor = program.network((STATES, WIDTH, WIDTH, WIDTH, ACTIONS))
    critics = [program.network((STATES + ACTIONS, WIDTH, WIDTH, WIDTH, 1), normed=True) for _ in range(2)]
    slow_actor, slow = copy.deepcopy(actor), copy.deepcopy(critics)
    of_actor, of_critics = program.adam(actor, rate=1e-3), program.adam(*critics, rate=1e-3)
    both = lambda networks, s, a: torch.stack([q(torch.cat([s, a], 1))[:, 0] for q in networks])  # noqa: E731

    def update(i: int) -> None:
        s, a, r, s2, a2, alive = program.batch()
        with torch.no_grad():
            noise = (0.2 * torch.randn_like(a)).clamp(-0.5, 0.5)
            chosen = (torch.tanh(slow_actor(s2)) + noise).clamp(-1, 1)
            values = both(slow, s2, chosen).min(0).values - 0.5 * ((chosen - a2) ** 2).sum(1)
            target = r + GAMMA * alive * values
        program.step(of_critics, ((both(critics, s, a) - target) ** 2).mean(1).sum())
        if i % 2:
            chosen = torch.tanh(actor(s))
            values = both(critics, s, chosen).min(0).values
            loss = (0.05 * ((chosen - a) ** 2).sum(1) - values / values.abs().mean().detach()).mean()
            program.step(of_actor, loss)
            program.soft_update(actor, slow_actor)
            for q, target_q in zip(critics, slow, strict=True):
                program.soft_update(q, target_q)

    def call() -> float:
        for i in range(count):
            update(i)
        return float(count)

    return call


def cal_ql(columns: tuple[np.ndarray, ...], count: int) -> Call:
    """``count`` updates of Cal-QL: SAC, with a conservative term bounded by the data's returns."""
    program = TorchProgram(columns)
    torch = program.torch
    actor = program.network((STATES, WIDTH, WIDTH, WIDTH, 2 * ACTIONS))
    critics = [program.network((STATES + ACTIONS, WIDTH, WIDTH, 1)) for _ in range(2)]
    slow, log_weight = copy.deepcopy(critics), torch.zeros((), requires_grad=True)
    of_actor, of_critics = program.adam(actor, rate=3e-5), program.adam(*critics, rate=3e-4)
    of_weight = torch.optim.Adam([log_weight], lr=3e-5)
    both = lambda networks, s, a: torch.stack([q(torch.cat([s, a], -1))[..., 0] for q in networks])  # noqa: E731

    def draw(s: Any, count: int) -> Any:
        mean, log_std = actor(s).chunk(2, -1)
        noise = torch.randn(count, *mean.shape)
        log_std = log_std.clamp(-20, 2)
        u = mean + log_std.exp() * noise
        squash = 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))
        return torch.tanh(u), (-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi) - squash).sum(-1)

    def update() -> None:
        s, a, r, s2, _, alive = program.batch()
        chosen, density = draw(s, 1)
        values = both(critics, s, chosen[0]).min(0).values
        weight = log_weight.exp().detach()
        program.step(of_weight, -log_weight * (density.detach() - ACTIONS).mean())
        program.step(of_actor, (weight * density[0] - values).mean())
        with torch.no_grad():
            following, _ = draw(s2, 1)
            target = r + GAMMA * alive * both(slow, s2, following[0]).min(0).values
            here, density_here = draw(s, 10)
            there, density_there = draw(s2, 10)
            uniform = torch.rand_like(here) * 2 - 1
            drawn = torch.cat([uniform, here, there])
            densities = torch.cat([torch.full_like(density_here, -ACTIONS * math.log(2)), density_here, density_there])
            floors = torch.full_like(densities, 5.0)
            floors[:10] = -math.inf
        values = both(critics, s, a)
        elsewhere = torch.maximum(both(critics, s.expand(30, -1, -1), drawn), floors)
        penalty = (elsewhere - densities).logsumexp(1) - values
        program.step(of_critics, ((values - target) ** 2).mean(1).sum() + 10 * penalty.mean(1).sum())
        for q, target_q in zip(critics, slow, strict=True):
            program.soft_update(q, target_q)

    def call() -> float:
        for _ in range(count):
            update()
        return float(count)

    return call


PROGRAMS = {"rebrac": rebrac, "cal-ql": cal_ql}
