"""Updates a second of the teacher algorithms: ours against plain PyTorch of the same losses, in turn.

    python benchmarks/updates.py --cores 1 2        (needs PyTorch)

Hopper's sizes, batch 256, rows on the device. Each program runs in a process of its own on the given
cores; they take turns; the medians are quoted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from apart import run_apart

ROWS, STATES, ACTIONS, BATCH, WIDTH = 100_000, 11, 3, 256, 256
GAMMA, TAU = 0.99, 0.005
COUNTS = {"rebrac": 200, "cal-ql": 30, "iql": 300, "edac": 30}  # updates in a timed call
REPEATS = 3
RESULTS = Path(__file__).parent / "results" / "updates.json"


def columns():
    import numpy as np

    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    states, actions = draw(ROWS, STATES), np.tanh(draw(ROWS, ACTIONS))
    return states, actions, draw(ROWS), np.roll(states, -1, 0), np.roll(actions, -1, 0), np.ones(ROWS, np.float32)


def ours(name: str):
    import jax
    import jax.numpy as jnp

    from potstill.config import TeachConfig
    from potstill.teachers.registry import ALGORITHMS
    from potstill.teachers.rows import Rows
    from potstill.teachers.training import run

    table = Rows(*map(jnp.asarray, columns()), jnp.full(ROWS, 5.0), jnp.ones(ROWS))
    algorithm, settings = ALGORITHMS[name], TeachConfig("", algorithm=name).settings
    fresh = algorithm.begin(jax.random.key(0), STATES, ACTIONS, settings, COUNTS[name])
    state = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), fresh)
    calls = COUNTS[name] // algorithm.batches
    how = {"update": algorithm.update, "settings": settings, "batches": algorithm.batches}
    return lambda i: jax.block_until_ready(run(state, table, jax.random.key(i), calls, **how))


class Plain:
    """What the PyTorch programs share: networks, Adam, soft targets, batches."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        self.torch = torch
        self.table = [torch.from_numpy(x) for x in columns()]

    def network(self, sizes, normed=False):
        nn = self.torch.nn
        layers = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers.append(nn.Linear(a, b))
            if i < len(sizes) - 2:
                layers += [nn.ReLU()] + ([nn.LayerNorm(b, elementwise_affine=False)] if normed else [])
        return nn.Sequential(*layers)

    def adam(self, *networks, rate):
        return self.torch.optim.Adam([p for network in networks for p in network.parameters()], lr=rate)

    def batch(self):
        index = self.torch.randint(0, ROWS, (BATCH,))
        return [column[index] for column in self.table]

    def follow(self, network, target):
        with self.torch.no_grad():
            for p, q in zip(network.parameters(), target.parameters(), strict=True):
                q.lerp_(p, TAU)

    @staticmethod
    def step(optimiser, loss):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def torch_rebrac():
    import copy

    plain = Plain()
    torch = plain.torch
    actor = plain.network((STATES, WIDTH, WIDTH, WIDTH, ACTIONS))
    critics = [plain.network((STATES + ACTIONS, WIDTH, WIDTH, WIDTH, 1), normed=True) for _ in range(2)]
    slow_actor, slow = copy.deepcopy(actor), copy.deepcopy(critics)
    of_actor, of_critics = plain.adam(actor, rate=1e-3), plain.adam(*critics, rate=1e-3)
    both = lambda networks, s, a: torch.stack([q(torch.cat([s, a], 1))[:, 0] for q in networks])  # noqa: E731

    def update(i):
        s, a, r, s2, a2, alive = plain.batch()
        with torch.no_grad():
            noise = (0.2 * torch.randn_like(a)).clamp(-0.5, 0.5)
            chosen = (torch.tanh(slow_actor(s2)) + noise).clamp(-1, 1)
            values = both(slow, s2, chosen).min(0).values - 0.5 * ((chosen - a2) ** 2).sum(1)
            target = r + GAMMA * alive * values
        plain.step(of_critics, ((both(critics, s, a) - target) ** 2).mean(1).sum())
        if i % 2:
            chosen = torch.tanh(actor(s))
            values = both(critics, s, chosen).min(0).values
            loss = (0.05 * ((chosen - a) ** 2).sum(1) - values / values.abs().mean().detach()).mean()
            plain.step(of_actor, loss)
            plain.follow(actor, slow_actor)
            for q, target_q in zip(critics, slow, strict=True):
                plain.follow(q, target_q)

    return lambda _: [update(i) for i in range(COUNTS["rebrac"])]


def torch_cal_ql():
    import copy
    import math

    plain = Plain()
    torch = plain.torch
    actor = plain.network((STATES, WIDTH, WIDTH, WIDTH, 2 * ACTIONS))
    critics = [plain.network((STATES + ACTIONS, WIDTH, WIDTH, 1)) for _ in range(2)]
    slow, log_weight = copy.deepcopy(critics), torch.zeros((), requires_grad=True)
    of_actor, of_critics = plain.adam(actor, rate=3e-5), plain.adam(*critics, rate=3e-4)
    of_weight = torch.optim.Adam([log_weight], lr=3e-5)
    both = lambda networks, s, a: torch.stack([q(torch.cat([s, a], -1))[..., 0] for q in networks])  # noqa: E731

    def draw(s, count):
        mean, log_std = actor(s).chunk(2, -1)
        noise = torch.randn(count, *mean.shape)
        log_std = log_std.clamp(-20, 2)
        u = mean + log_std.exp() * noise
        squash = 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))
        return torch.tanh(u), (-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi) - squash).sum(-1)

    def update():
        s, a, r, s2, _, alive = plain.batch()
        chosen, density = draw(s, 1)
        values = both(critics, s, chosen[0]).min(0).values
        weight = log_weight.exp().detach()
        plain.step(of_weight, -log_weight * (density.detach() - ACTIONS).mean())
        plain.step(of_actor, (weight * density[0] - values).mean())
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
        plain.step(of_critics, ((values - target) ** 2).mean(1).sum() + 10 * penalty.mean(1).sum())
        for q, target_q in zip(critics, slow, strict=True):
            plain.follow(q, target_q)

    return lambda _: [update() for _ in range(COUNTS["cal-ql"])]


TORCH = {"rebrac": torch_rebrac, "cal-ql": torch_cal_ql}


def child(program: str) -> None:
    """Time one program in this process and print its updates a second as JSON."""
    kind, name = program.split(" ")
    call = TORCH[name]() if kind == "torch" else ours(name)
    call(0)
    rates = []
    for i in range(1, 1 + REPEATS):
        started = time.perf_counter()
        call(i)
        rates.append(COUNTS[name] / (time.perf_counter() - started))
    print(json.dumps({"rate": statistics.median(rates)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    programs = [f"potstill {name}" for name in COUNTS] + [f"torch {name}" for name in TORCH]
    result = {"batch": BATCH, "versions": {name: version(name) for name in ("jax", "torch")}, "runs": []}
    for cores in options.cores:
        found = [
            {program: run_apart(__file__, program, cores)["rate"] for program in programs}
            for _ in range(options.rounds)
        ]
        rows = {p: {"rate": statistics.median(f[p] for f in found), "all": [f[p] for f in found]} for p in programs}
        for name in TORCH:
            ratios = [f[f"potstill {name}"] / f[f"torch {name}"] for f in found]
            rows[f"potstill {name}"]["times_faster_than_torch"] = statistics.median(ratios)
        result["runs"].append({"cores": cores, "updates_per_second": rows})
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["runs"], indent=2))


if __name__ == "__main__":
    main()
