"""A Python module that needs NumPy alone: the weights as text, and a function from observations to actions."""

from __future__ import annotations

import base64
import pprint
from pathlib import Path

import numpy as np

from potstill.data.scaling import ARRAYS
from potstill.exports.policies.base import ExportedPolicy, PolicyFormat
from potstill.runtime.files import to_json

WIDTH = 116

MODULE = '''\
"""A policy, written by potstill: actions for observations, both in the units of the environment. Needs only NumPy.

``act`` maps observations [..., {observations}] to {result}. ``METADATA`` describes the policy.
"""

import base64

import numpy as np

METADATA = {metadata}


def act(observations):
    """Return {result} for observations [..., {observations}]."""
    raw = np.asarray(observations, np.float32)
    if raw.shape[-1:] != ({observations},):
        raise ValueError(f"observations of shape {{raw.shape}}: expected {observations} components")
    x = ((raw - STATE_MEAN) / STATE_SCALE).reshape(-1, {observations})
    hidden = []
    for weight, bias in LAYERS[:-1]:
        x = np.maximum(x @ weight + bias, 0)
        hidden.append(x)
{skip}    weight, bias = LAYERS[-1]
    outputs = (x @ weight + bias).reshape({members}, {towers}, -1, {actions})
{decide}


def read_arrays(text, *shapes):
    """Float32 arrays of these shapes, one after another, from base64."""
    numbers = np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(numbers, ends[:-1]), shapes)]


STATE_MEAN, STATE_SCALE, {space}*ARRAYS = read_arrays(
    """
{numbers}
""",
{shapes}
)
LAYERS = list(zip(ARRAYS[::2], ARRAYS[1::2]))
'''


SCALE = """\
    unit = np.tanh(outputs.mean(axis=1)).mean(axis=0)
    return (ACTION_LOW + (unit + 1) * 0.5 * (ACTION_HIGH - ACTION_LOW)).reshape(*raw.shape[:-1], {actions})"""

CHOOSE = """\
    outputs = outputs.mean(axis=1)
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    chances = (powers / powers.sum(axis=-1, keepdims=True)).mean(axis=0)
    return np.argmax(chances, axis=-1).reshape(raw.shape[:-1])"""


def write(policy: ExportedPolicy, path: Path) -> None:
    """Write the module. Importing it executes only the code of the template."""
    sizes, networks, discrete = policy.sizes, policy.members * policy.towers, policy.action_bounds.discrete
    scaling = policy.scaling.to_arrays()
    arrays = [scaling[name] for name in ARRAYS[: 2 if discrete else 4]]
    for layer in policy.layers:
        arrays += [layer[k].reshape(networks, -1, layer[k].shape[-1]) for k in ("weight", "bias")]
    numbers = np.concatenate([np.ravel(array) for array in arrays]).astype("<f4")
    encoded = base64.b64encode(numbers.tobytes()).decode()
    text = MODULE.format(
        observations=sizes[0],
        actions=sizes[-1],
        result="the numbers of discrete actions [...]" if discrete else f"mean actions [..., {sizes[-1]}]",
        decide=CHOOSE if discrete else SCALE.format(actions=sizes[-1]),
        space="" if discrete else "ACTION_LOW, ACTION_HIGH, ",
        members=policy.members,
        towers=policy.towers,
        metadata=pprint.pformat(to_json(policy.describe()), width=WIDTH, sort_dicts=False),
        skip="    x = hidden[0] + x\n" if policy.residual else "",
        numbers="\n".join(encoded[i : i + WIDTH] for i in range(0, len(encoded), WIDTH)),
        shapes="\n".join(f"    {array.shape}," for array in arrays),
    )
    path.write_text(text, encoding="utf-8", newline="\n")


FORMAT = PolicyFormat(write, suffixes=(".py",))
