"""The dataset card of a Parquet export: what the pairs are, where they come from, and how to train on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from potstill.distillate import Distillate
from potstill.exports.metadata import NOTE, describe_model, describe_source, find_name, join_lines
from potstill.students.recipe import Recipe
from potstill.students.training import EPS_ROOT

UNCHOSEN = "unknown  # choose one"  # the licence of a card that its user completes
DATA_FILE = "data/train-00000-of-00001.parquet"
INITIALISATIONS = {  # schemes that the code in the card does not implement
    "antisymmetric": "initialises the student as the difference of two networks of half the width",
    "he": "initialises weights from a normal distribution with variance 2 / fan-in",
    "lecun": "initialises weights from a normal distribution with variance 1 / fan-in",
    "torch": "initialises layers as PyTorch does",
}
SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))  # the Hub's names

HEAD = """\
---
pretty_name: {pretty_name}
license: {licence}
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

{pairs} (state, action) pairs, distilled from an offline reinforcement learning dataset. A student network
that is trained on them by behavioural cloning imitates {model}.

**{note}**

| column | type | unit |
|---|---|---|
| `states` | {states} × float32 | that of the environment, not standardised |
| `actions` | {actions} × float32 | {unit} |{weights_row}

The metadata of the Parquet file hold, as JSON under the key `potstill`, the normaliser of the states
(`state_mean`, `state_scale`), the action bounds (`action_low`, `action_high`), the recipe and all other metadata.

## Source

{facts}

The command that made them:

    {command}

## How to train a student

1. Standardise the states: subtract `state_mean`, divide by `state_scale`.
2. {scale}{beyond}
3. Use {networks} with {hidden} hidden layers of {width} units and a {squash} on {its} output. Initialise the weights
   orthogonally with gain √2{output_gain}, and the biases with zeros.
4. Take {steps} steps of {rule} on the mean {error} of all pairs at once{weighted}, with learning rate
   {learning_rate}{and_setting}.{deviation}
5. To act, standardise observations in the same way and {act}.

The return of one student depends on its random initialisation; {together} of ten students varies less. In Python:

```python
{code}```

{licence} The licence of the original dataset may also apply
to data derived from it.
"""

CONTINUOUS = {
    "unit": "that of the environment, not scaled",
    "scale": "Scale the actions from [`action_low`, `action_high`] to [−1, 1].",
    "squash": "tanh",
    "error": "squared error",
    "act": "scale the output back to the bounds",
    "together": "the mean action",
}
DISCRETE = {
    "unit": "probabilities of the actions 0, 1, 2, …",
    "scale": "Use the probabilities as targets.",
    "squash": "softmax",
    "error": "cross-entropy",
    "act": "take the action with the highest output",
    "together": "the most probable action on average",
}

OUTSIDE_BOUNDS = """ Do not clip them: {count} of the pairs have
   targets outside the bounds, which bring students closer to the bounds in few steps. The tanh keeps actions inside."""

LICENCE = """\
## Licence

No licence is chosen yet: set `license` in the header of this file."""

CODE = """\
import json

import pyarrow.parquet
import torch
from torch import nn

table = pyarrow.parquet.read_table("{file}")
metadata = json.loads(table.schema.metadata[b"potstill"])
mean, scale = torch.tensor(metadata["state_mean"]), torch.tensor(metadata["state_scale"])
{bounds_line}states, actions = (torch.tensor(table[name].to_pylist()) for name in ("states", "actions"))
x, y = (states - mean) / scale, {targets}
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
network = lambda x: {output}
optimiser = torch.optim.{torch_rule}
for _ in range({steps}):
    loss = {loss}
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@torch.no_grad()
def policy(observation):
    unit = network((torch.as_tensor(observation, dtype=torch.float32) - mean) / scale)
    return {result}
"""
MEAN = "torch.stack([one(x) for one in towers]).mean(0)"
CONTINUOUS_CODE = {
    "bounds_line": 'low, high = torch.tensor(metadata["action_low"]), torch.tensor(metadata["action_high"])\n',
    "targets": "(actions - low) / (high - low) * 2 - 1",
    "output": f"torch.tanh({MEAN})",
    "result": "(low + (unit + 1) / 2 * (high - low)).numpy()",
}
DISCRETE_CODE = {"bounds_line": "", "targets": "actions", "output": MEAN, "result": "unit.argmax(-1).numpy()"}


GAIN_LINE = "    nn.init.orthogonal_(layer.weight, gain={gain:g} * 2**0.5)  # the output layer\n"


def format_header(title: str, rows: int, tags: Iterable[str], configs: str = "", licence: str = UNCHOSEN) -> str:
    """Format the header of a dataset card: YAML that the Hub reads, and the title."""
    return HEAD.format(
        pretty_name=json.dumps(title),  # a JSON string is a YAML string
        tags="\n".join(f"- {tag}" for tag in ("offline-reinforcement-learning", *tags, "potstill")),
        size=next((name for name, limit in SIZES if rows < limit), "1M<n<10M"),
        configs=configs,
        title=title,
        licence=licence,
    )


def format_facts(facts: Mapping[str, object]) -> str:
    """Format facts as a Markdown list, one line each."""
    return "\n".join(f"- {label}: {join_lines(value)}" for label, value in facts.items())


def format_card(distillate: Distillate) -> str:
    """Format the dataset card of a distillate: Markdown with the YAML header that the Hugging Face Hub reads."""
    recipe, metadata = distillate.recipe, distillate.metadata
    states, actions = distillate.states.shape[1], distillate.actions.shape[1]
    title = f"{find_name(metadata['dataset'])}, distilled to {len(distillate)} pairs"
    weighted = distillate.weights is not None
    return CARD.format(
        head=format_header(title, len(distillate), TAGS, CONFIGS.format(file=DATA_FILE)),
        licence=LICENCE,
        pairs=len(distillate),
        model=describe_model(metadata),
        note=NOTE,
        states=states,
        actions=actions,
        facts=format_facts(describe_source(distillate)),
        command=join_lines(distillate.command),
        networks="a ReLU network" if recipe.towers == 1 else f"the mean of {recipe.towers} ReLU networks",
        its="its" if recipe.towers == 1 else "their mean",
        hidden=recipe.layers - 1,
        width=recipe.width,
        output_gain="" if recipe.output_gain == 1.0 else f" ({recipe.output_gain:g} √2 in the output layer)",
        deviation=_describe_deviation(recipe),
        beyond=OUTSIDE_BOUNDS.format(count=distillate.beyond_bounds) if distillate.beyond_bounds else "",
        weights_row="\n| `weights` | float32 | weight of the pair in the loss, 1 on average |" if weighted else "",
        weighted=", each multiplied by its weight" if weighted else "",
        code=_format_code(distillate),
        **(DISCRETE if distillate.action_bounds.discrete else CONTINUOUS),
        **_describe_training(recipe),
    )


def _format_code(distillate: Distillate) -> str:
    """Format PyTorch code that trains a student on the pairs."""
    recipe, weighted = distillate.recipe, distillate.weights is not None
    sizes = (distillate.states.shape[1], *[recipe.width] * (recipe.layers - 1), distillate.actions.shape[1])
    discrete = distillate.action_bounds.discrete
    loss = "(weights[:, None] * (network(x) - y) ** 2).mean()" if weighted else "nn.functional.mse_loss(network(x), y)"
    if discrete:
        loss = f"-({'weights[:, None] * ' if weighted else ''}y * network(x).log_softmax(-1)).sum(-1).mean()"
    return CODE.format(
        file=DATA_FILE,
        sizes=sizes,
        towers=recipe.towers,
        loss=loss,
        weights_line='weights = torch.tensor(table["weights"].to_pylist())\n' if weighted else "",
        gain_line="" if recipe.output_gain == 1.0 else GAIN_LINE.format(gain=recipe.output_gain),
        **(DISCRETE_CODE if discrete else CONTINUOUS_CODE),
        **_describe_training(recipe),
    )


def _describe_training(recipe: Recipe) -> dict[str, str]:
    """Describe the training of a student in words and in PyTorch."""
    if recipe.optimiser == "sgd":
        rate = recipe.learning_rate * recipe.towers
        setting, options = "momentum", {"lr": rate, "momentum": recipe.momentum}
    else:
        rate = recipe.learning_rate
        setting, options = "weight_decay", {"lr": rate, "eps": EPS_ROOT**0.5}
        if recipe.optimiser == "adamw":
            options["weight_decay"] = recipe.weight_decay
    rule = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[recipe.optimiser]
    arguments = ", ".join(f"{name}={value}" for name, value in options.items())
    return {
        "steps": str(recipe.steps),
        "learning_rate": str(rate),
        "rule": rule,
        "and_setting": f" and {setting.replace('_', ' ')} {options[setting]}" if setting in options else "",
        "torch_rule": f"{rule}(towers.parameters(), {arguments})",
    }


def _describe_deviation(recipe: Recipe) -> str:
    """Describe the parts of a recipe that the code in the card omits."""
    words = [INITIALISATIONS[recipe.initialisation]] if recipe.initialisation in INITIALISATIONS else []
    others = {
        "adds the first hidden layer to the last": recipe.residual,
        "clones with actions sampled from a tanh-Gaussian": recipe.sampled,
        f"draws {recipe.batch} pairs for each step": recipe.batch,
    }
    words += [text for text, applies in others.items() if applies]
    return f" The recipe itself also {' and '.join(words)}, which the code below omits." if words else ""
