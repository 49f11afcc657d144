"""stable-baselines3's SAC and TD3 zips. They act on raw observations; actions are scaled to [−1, 1]."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from potstill.errors import PotstillError
from potstill.policies import Head, Layers
from potstill.teachers.importers.archive import read_tensors
from potstill.teachers.importers.layers import linear, sequence, side_by_side, stack


def read_sb3(path: Path) -> tuple[Layers, Head, Layers, str]:
    """Policy, head, critics and algorithm of a ``.zip`` that ``model.save`` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            if "policy.pth" not in archive.namelist():
                raise PotstillError(f"{path}: no policy.pth inside: not a stable-baselines3 model")
            content = archive.read("policy.pth")
    except (zipfile.BadZipFile, OSError) as error:
        raise PotstillError(f"{path}: damaged, or not a stable-baselines3 model ({error})") from None
    tensors = read_tensors(content, name=path)
    names = sorted({match.group(1) for name in tensors if (match := re.match(r"critic\.(qf\d+)\.", name))})
    if not names:
        raise PotstillError(f"{path}: no critics 'critic.qf0': only SAC and TD3 with continuous actions are read")
    critics = stack([sequence(tensors, f"critic.{name}", path) for name in names], path)
    if "actor.log_std.weight" in tensors:
        last = side_by_side(linear(tensors, "actor.mu", path), linear(tensors, "actor.log_std", path))
        return [*sequence(tensors, "actor.latent_pi", path), last], "tanh_gaussian", critics, "sac"
    return sequence(tensors, "actor.mu", path), "tanh", critics, "td3"
