"""The dataset card of a Parquet export: what the pairs are, where they come from, how to train on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from potstill.distillate import Distillate
from potstill.exports.papers import NOTE
from potstill.students.recipe import Recipe
from potstill.students.training import EPS_ROOT

DATA_FILE = "data/train-00000-of-00001.parquet"
STARTS = {  # other ones than the card's own
    "antisymmetric": "starts from two half-wide networks subtracted",
    "he": "starts from normal weights of variance 2 / fan-in",
    "lecun": "starts from normal weights of variance 1 / fan-in",
    "torch": "starts as PyTorch's layers do",
}
SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))  # the Hub's names

HEAD = """\
---
pretty_name: {pretty_name}
license: unknown  # yours to choose
task_categories:
- reinforcement-learning
tags:
{tags}
size_categories:
- {size}
{configs}---

# {title}"""

TAGS = ("behavioural-cloning", "dataset-distillation", "synthetic")
CONFIGS = """\
configs:
- config_name: default
  data_files:
  - split: train
    path: {file}
"""

CARD = """\
{head}

{pairs} (state, action) pairs, distilled from an offline reinforcement learning dataset. A fresh policy
network trained on them by behavioural cloning imitates {model}.

**{note}**

| column | type | unit |
|---|---|---|
| `states` | {states} × float32 | the environment's own, not standardised |
| `actions` | {actions} × float32 | the environment's own, not scaled |{weights_row}

The normaliser of the states (`state_mean`, `state_scale`), the action bounds (`action_low`,
`action_high`), the recipe and all metadata are JSON under `potstill` in the Parquet file's own metadata.

## Where it comes from

{facts}

Made by

    {command}

## How to train a student

1. Standardise the states: subtract `state_mean`, divide by `state_scale`.
2. Scale the actions from [`action_low`, `action_high`] to [−1, 1].{beyond}
3. Take {networks} with {hidden} hidden layers of {width} units and tanh at {its} output. Start from
   orthogonal weights with gain √2 and zero biases.
4. Take {steps} steps of {rule} on the mean squared error of all pairs at once{weighed}, with learning rate
   {learning_rate}{and_momentum}.{deviation}
5. When it acts, standardise what it observes in the same way and scale its output back to the bounds.

One student's return varies with its random start; the mean action of ten is steadier. In Python:

```python
{code}```

{licence} The licence of the original dataset may bind
what is made from it.
"""

BEYOND = """ Do not clip them: {count} of the pairs aim beyond
   the bounds, so that students, whose tanh keeps within them, come near enough in so few steps."""

LICENCE = """\
## Licence

None is chosen yet: set `license` at the head of this file."""

CODE = """\
import json

import pyarrow.parquet
import torch
from torch import nn

table = pyarrow.parquet.read_table("{file}")
papers = json.loads(table.schema.metadata[b"potstill"])
mean, scale = torch.tensor(papers["state_mean"]), torch.tensor(papers["state_scale"])
low, high = torch.tensor(papers["action_low"]), torch.tensor(papers["action_high"])
states, actions = (torch.tensor(table[name].to_pylist()) for name in ("states", "actions"))
x, y = (states - mean) / scale, (actions - low) / (high - low) * 2 - 1
{weights_line}


def tower(sizes={sizes}):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layer = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(layer.weight, gain=2**0.5)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
{gain_line}    return nn.Sequential(*layers[:-1])


towers = nn.ModuleList(tower() for _ in range({towers}))
network = lambda x: torch.tanh(torch.stack([one(x) for one in towers]).mean(0))
optimiser = torch.optim.{torch_rule}
for _ in range({steps}):
    loss = {loss}
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@torch.no_grad()
def policy(observation):
    unit = network((torch.as_tensor(observation, dtype=torch.float32) - mean) / scale)
    return (low + (unit + 1) / 2 * (high - low)).numpy()
"""


GAIN_LINE = "    nn.init.orthogonal_(layer.weight, gain={gain:g} * 2**0.5)  # the last one starts larger\n"


def head(title: str, rows: int, tags: Iterable[str], configs: str = "") -> str:
    """The YAML head of a card, as the Hub reads it, and its title."""
    return HEAD.format(
        pretty_name=json.dumps(title),  # a JSON string is a YAML string
        tags="\n".join(f"- {tag}" for tag in ("offline-reinforcement-learning", *tags, "potstill")),
        size=next((name for name, limit in SIZES if rows < limit), "1M<n<10M"),
        configs=configs,
        title=title,
    )


def listed(facts: Mapping[str, Any]) -> str:
    """Facts as a list in Markdown, each in one line."""
    return "\n".join(f"- {label}: {_line(value)}" for label, value in facts.items())


def card(distillate: Distillate) -> str:
    """Markdown with the YAML head that the Hugging Face Hub reads."""
    recipe, metadata = distillate.recipe, distillate.metadata
    states, actions = distillate.states.shape[1], distillate.actions.shape[1]
    title = f"{_name(metadata['dataset'])}, distilled to {len(distillate)} pairs"
    training = _training(recipe)
    sizes = [states, *[recipe.width] * (recipe.layers - 1), actions]
    learned = distillate.weights is not None
    loss = "(weights[:, None] * (network(x) - y) ** 2).mean()" if learned else "nn.functional.mse_loss(network(x), y)"
    line = 'weights = torch.tensor(table["weights"].to_pylist())\n' if learned else ""
    return CARD.format(
        head=head(title, len(distillate), TAGS, CONFIGS.format(file=DATA_FILE)),
        licence=LICENCE,
        pairs=len(distillate),
        model="the teacher that was trained on all of that dataset" if metadata.get("teacher") else "that dataset",
        note=NOTE,
        states=states,
        actions=actions,
        facts=listed(_facts(distillate)),
        command=_line(metadata.get("command", "potstill distill")),
        networks="a ReLU network" if recipe.towers == 1 else f"the mean of {recipe.towers} ReLU networks",
        its="its" if recipe.towers == 1 else "their mean",
        hidden=recipe.layers - 1,
        width=recipe.width,
        deviation=_deviation(recipe),
        beyond=BEYOND.format(count=distillate.beyond_bounds) if distillate.beyond_bounds else "",
        weights_row="\n| `weights` | float32 | how much a pair counts, 1 on average |" if learned else "",
        weighed=", each times its weight" if learned else "",
        code=CODE.format(
            file=DATA_FILE,
            sizes=tuple(sizes),
            towers=recipe.towers,
            loss=loss,
            weights_line=line,
            gain_line="" if recipe.output_gain == 1.0 else GAIN_LINE.format(gain=recipe.output_gain),
            **training,
        ),
        **training,
    )


def _training(recipe: Recipe) -> dict[str, Any]:
    """A student's training, in words and in PyTorch."""
    rate, momentum = recipe.learning_rate, recipe.momentum
    rate = rate if recipe.optimiser == "adam" else rate * recipe.towers
    words = {"steps": recipe.steps, "learning_rate": rate}
    if recipe.optimiser == "adam":
        rule = f"Adam(towers.parameters(), lr={rate}, eps={EPS_ROOT**0.5})"
        return {**words, "rule": "Adam", "and_momentum": "", "torch_rule": rule}
    rule = f"SGD(towers.parameters(), lr={rate}, momentum={momentum})"
    return {**words, "rule": "SGD", "and_momentum": f" and momentum {momentum}", "torch_rule": rule}


def _facts(distillate: Distillate) -> dict[str, str]:
    metadata = distillate.metadata
    return {
        "Environment": distillate.env_id or "none",
        "Dataset": _origin(metadata["dataset"]),
        "Teacher": _origin(metadata["teacher"]) if metadata.get("teacher") else "none",
        "Objective": metadata["objective"],
        "Weighting": metadata.get("weighting", "not recorded"),
        "Solver": metadata["solver"],
        "Student recipe": metadata["recipe"],
        "potstill": metadata["potstill"],
    }


def _name(source: Any) -> str:
    """What a dataset or a teacher is called."""
    if isinstance(source, dict):
        source = source.get("name") or source.get("algorithm") or "unnamed"
    return _line(source)


def _origin(source: Any) -> str:
    """A dataset or a teacher in words: its name, its rows or updates, its hash."""
    words = [_name(source)]
    if isinstance(source, dict):
        words += [f"{source[key]:,} {key}" for key in ("rows", "updates") if isinstance(source.get(key), int)]
        words += [f"SHA-256 `{source['sha256']}`"] if "sha256" in source else []
    return ", ".join(words)


def _line(text: Any) -> str:
    return " ".join(str(text).split())


def _deviation(recipe: Recipe) -> str:
    """What a recipe does that neither the steps nor the code of the card do."""
    words = [STARTS[recipe.start]] if recipe.start in STARTS else []
    if recipe.residual:
        words.append("adds the first hidden layer to the last")
    if recipe.sampled:
        words.append("clones with actions sampled from a tanh-Gaussian")
    return f" The recipe itself also {' and '.join(words)}, which the code below leaves out." if words else ""
