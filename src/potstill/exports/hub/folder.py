"""The folder of a dataset on the Hub: the distillate, its pairs as text, a card and Croissant metadata."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from potstill.distillate import Distillate
from potstill.exports.base import Format
from potstill.exports.hub.card import format_hub_card
from potstill.exports.hub.croissant import make_croissant
from potstill.exports.hub.place import CARD, CROISSANT, DISTILLATE, PAIRS, HubPlace


@dataclass(frozen=True)
class Publication:
    """What is published, and where."""

    distillate: Distillate
    place: HubPlace
    file: Path | None = None
    """The file of the distillate, which is published byte by byte. Without one, it is written."""
    scores: Mapping[str, str] = field(default_factory=dict)
    """The measured scores, by what was scored."""


def write(content: Publication, path: Path) -> None:
    """Write the folder. Nothing but the distillate and what describes it is in it."""
    path.mkdir(parents=True)
    if content.file is None:
        content.distillate.save(path / DISTILLATE)
    else:
        shutil.copyfile(content.file, path / DISTILLATE)
    (path / PAIRS).write_text("".join(f"{line}\n" for line in _format_pairs(content.distillate)), encoding="utf-8")
    croissant = make_croissant(content.distillate, content.place, path)
    (path / CROISSANT).write_text(json.dumps(croissant, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = format_hub_card(content.distillate, content.place, content.scores)
    (path / CARD).write_text(card, encoding="utf-8")


def _format_pairs(distillate: Distillate) -> list[str]:
    """Format each pair as one line of JSON. Numbers have as few digits as float32 needs."""
    columns: dict[str, list[object]] = {
        name: [_strip_digits(row) for row in getattr(distillate, name)] for name in ("states", "actions")
    }
    if distillate.weights is not None:
        columns["weights"] = list(_strip_digits(distillate.weights))
    return [json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _strip_digits(values: np.ndarray) -> list[float]:
    return [float(str(value)) for value in values.astype(np.float32)]


FOLDER: Format[Publication] = Format(write)
