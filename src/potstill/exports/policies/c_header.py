"""A C99 header without dependencies: the weights as static arrays, and one function from observation to action."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from potstill.data.scaling import ARRAYS
from potstill.exports.policies.base import ExportedPolicy, PolicyFormat

NUMBERS_PER_LINE = 8

HEADER = """\
/* A policy, written by potstill: actions for observations, both in the units of the environment.
 *
@usage@
 *
 * C99 in float32, without allocation. Compile with -O3 and for your processor (-march=native), and link with -lm.
 *
@facts@
 */
#ifndef @NAME@_POLICY_H
#define @NAME@_POLICY_H

#include <math.h>

#define @NAME@_OBSERVATIONS @observations@
#define @NAME@_ACTIONS @actions@
"""

LAYER = """
/* y = bias + x W; negative outputs become 0 if rectify. Inputs of 0 are skipped: after a ReLU, these are about half. */
static inline void @name@_layer(int inputs, int outputs, const float *weight, const float *bias, const float *x,
                                float *y, int rectify)
{
    int active[@widest@ + 4], count = 0, i, j;
    const int *k;
    for (i = 0; i < inputs; i++) {
        active[count] = i;
        count += x[i] != 0.0f;
    }
    for (i = 0; i < 4; i++) active[count + i] = -1; /* ends the list */
    for (j = 0; j < outputs; j++) y[j] = bias[j];
    for (k = active; k[3] >= 0; k += 4) { /* four rows at a time: y is read and written less often */
        const float *a = weight + k[0] * outputs, *b = weight + k[1] * outputs;
        const float *c = weight + k[2] * outputs, *d = weight + k[3] * outputs;
        const float p = x[k[0]], q = x[k[1]], r = x[k[2]], s = x[k[3]];
        for (j = 0; j < outputs; j++) y[j] += p * a[j] + q * b[j] + r * c[j] + s * d[j];
    }
    for (; *k >= 0; k++) {
        const float *a = weight + *k * outputs, p = x[*k];
        for (j = 0; j < outputs; j++) y[j] += p * a[j];
    }
    if (rectify)
        for (j = 0; j < outputs; j++) y[j] = y[j] < 0.0f ? 0.0f : y[j];
}
"""

ACT = """
/* The mean action for an observation. */
static inline void @name@_act(const float observation[@observations@], float action[@actions@])
{
    float states[@observations@], unit[@actions@] = {0.0f}, output[@actions@]@hidden@;
    int m, t, j;
    for (j = 0; j < @observations@; j++)
        states[j] = (observation[j] - @name@_state_mean[j]) / @name@_state_scale[j];
    for (m = 0; m < @members@; m++) {
        float mean[@actions@] = {0.0f};
        for (t = m * @towers@; t < (m + 1) * @towers@; t++) {
@calls@
            for (j = 0; j < @actions@; j++) mean[j] += output[j];
        }
        for (j = 0; j < @actions@; j++) unit[j] += tanhf(mean[j] / @towers@.0f);
    }
    for (j = 0; j < @actions@; j++)
        action[j] = @name@_action_low[j]
            + (unit[j] / @members@.0f + 1.0f) * 0.5f * (@name@_action_high[j] - @name@_action_low[j]);
}

#endif
"""
USAGE = """\
 *     float observation[@NAME@_OBSERVATIONS], action[@NAME@_ACTIONS];
 *     @name@_act(observation, action);"""

CHOOSE = """
/* The number of the most probable action for an observation. */
static inline int @name@_act(const float observation[@observations@])
{
    float states[@observations@], chances[@actions@] = {0.0f}, output[@actions@]@hidden@;
    int m, t, j, best = 0;
    for (j = 0; j < @observations@; j++)
        states[j] = (observation[j] - @name@_state_mean[j]) / @name@_state_scale[j];
    for (m = 0; m < @members@; m++) {
        float mean[@actions@] = {0.0f}, largest, total = 0.0f;
        for (t = m * @towers@; t < (m + 1) * @towers@; t++) {
@calls@
            for (j = 0; j < @actions@; j++) mean[j] += output[j] / @towers@.0f;
        }
        largest = mean[0];
        for (j = 1; j < @actions@; j++) largest = mean[j] > largest ? mean[j] : largest;
        for (j = 0; j < @actions@; j++) total += mean[j] = expf(mean[j] - largest);
        for (j = 0; j < @actions@; j++) chances[j] += mean[j] / total;
    }
    for (j = 1; j < @actions@; j++) best = chances[j] > chances[best] ? j : best;
    return best;
}

#endif
"""
CHOOSE_USAGE = """\
 *     float observation[@NAME@_OBSERVATIONS];
 *     int action = @name@_act(observation);"""


def write(policy: ExportedPolicy, path: Path) -> None:
    """Write the header. The file's name gives the names in C: ``hopper.h`` defines ``hopper_act``."""
    sizes, discrete = policy.sizes, policy.action_bounds.discrete
    values: dict[str, object] = {
        "name": make_c_name(path),
        "NAME": make_c_name(path).upper(),
        "facts": "\n".join(_write_facts(policy)),
        "observations": sizes[0],
        "actions": sizes[-1],
        "members": policy.members,
        "towers": policy.towers,
        "widest": max(sizes[:-1]),
        "hidden": "".join(f", {array}[{max(sizes[1:-1])}]" for array in sorted(set(_name_hidden_arrays(policy)))),
        "calls": "\n".join(f"            {line}" for line in _write_calls(policy, make_c_name(path))),
    }
    with path.open("w", encoding="utf-8", newline="\n") as file:
        usage = _fill(CHOOSE_USAGE if discrete else USAGE, values)
        file.write(_fill(HEADER, {**values, "usage": usage}))
        for name, array in _list_arrays(policy).items():
            file.write(
                f"\nstatic const float {values['name']}_{name}[{array.size}] = {{\n{_format_numbers(array)}\n}};\n"
            )
        file.write(_fill(LAYER + (CHOOSE if discrete else ACT), values))


def make_c_name(path: Path) -> str:
    """Make the name of a policy in C: that of the file, with underscores.

    >>> make_c_name(Path("out/my-hopper.v2.h")), make_c_name(Path("2d.h"))
    ('my_hopper_v2', '_2d')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", path.stem)
    return f"_{name}" if name[:1].isdigit() else name


def _fill(template: str, values: dict[str, object]) -> str:
    return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), template)


def _write_facts(policy: ExportedPolicy) -> Iterator[str]:
    """Write a line of comment for each fact. The text is ASCII and cannot end the comment."""
    for name, value in policy.describe().items():
        yield f" * {name}: {json.dumps(value)}".replace("*/", "* /")


def _list_arrays(policy: ExportedPolicy) -> dict[str, np.ndarray]:
    layers = {f"{key}{i}": array for i, layer in enumerate(policy.layers) for key, array in layer.items()}
    scaling = policy.scaling.to_arrays()
    used = ARRAYS[:2] if policy.action_bounds.discrete else ARRAYS
    return {**{name: scaling[name] for name in used}, **layers}


def _format_numbers(array: np.ndarray) -> str:
    """Format the numbers of an array in C. Nine digits determine a float32."""
    words = [f"{value:.8e}f" for value in array.ravel().tolist()]
    lines = (words[i : i + NUMBERS_PER_LINE] for i in range(0, len(words), NUMBERS_PER_LINE))
    return ",\n".join(", ".join(line) for line in lines)


def _name_hidden_arrays(policy: ExportedPolicy) -> list[str]:
    """Name the C array for the output of each hidden layer: x and y in turn, and ``first`` for a skip connection."""
    hidden = range(len(policy.layers) - 1)
    return ["first" if policy.residual and i == 0 else "xy"[i % 2] for i in hidden]


def _write_calls(policy: ExportedPolicy, name: str) -> Iterator[str]:
    """Write the statements that compute the output of network ``t``, layer by layer."""
    arrays, last = ["states", *_name_hidden_arrays(policy), "output"], len(policy.layers) - 1
    for i, (inputs, outputs) in enumerate(itertools.pairwise(policy.sizes)):
        if policy.residual and i == last:
            yield f"for (j = 0; j < {inputs}; j++) {arrays[i]}[j] += first[j];"
        weight, bias = f"{name}_weight{i} + t * {inputs * outputs}", f"{name}_bias{i} + t * {outputs}"
        yield f"{name}_layer({inputs}, {outputs}, {weight}, {bias}, {arrays[i]}, {arrays[i + 1]}, {int(i < last)});"


FORMAT = PolicyFormat(write, suffixes=(".h",))
