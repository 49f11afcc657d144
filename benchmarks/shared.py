"""Teachers that other people trained, read into potstill's own type (for tests and benchmarks only)."""

from __future__ import annotations

from pathlib import Path

from potstill.data.registry import load_dataset
from potstill.data.transitions import Normaliser, Transitions
from potstill.networks.policy import Policy
from potstill.teachers.base import NetworkTeacher

SHARED = Path(__file__).parents[2] / "shared"


def shared_rebrac(name: str) -> tuple[Transitions, NetworkTeacher]:
    """The dataset ``shared/datasets/NAME.hdf5`` and the ReBRAC teacher beside it."""
    from safetensors.numpy import load_file

    arrays = load_file(SHARED / "teachers" / "rebrac" / f"{name}.safetensors")
    data = load_dataset(SHARED / "datasets" / f"{name}.hdf5")

    def layers(part: str) -> list[dict[str, object]]:
        found = [{k: arrays[f"{part}.{i}.{k}"] for k in ("weight", "bias")} for i in range(4)]
        return [{"weight": x["weight"], "bias": x["bias"].reshape(*x["weight"].shape[:-2], -1)} for x in found]

    normaliser = Normaliser(arrays["observation_mean"], arrays["observation_scale"])
    policy = Policy(layers("actor"), normaliser, data.action_bounds)
    source = {"algorithm": "rebrac", "source": f"shared/teachers/rebrac/{name}", "env_id": data.env_id}
    return data, NetworkTeacher(policy, layers("critic"), source)
