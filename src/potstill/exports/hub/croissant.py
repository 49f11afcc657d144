"""Metadata of a published distillate in Croissant 1.0, as JSON-LD.

Source: the Croissant format specification, version 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from potstill.distillate import Distillate
from potstill.exports.hub.place import DISTILLATE, PAIRS, UNKNOWN, HubPlace
from potstill.exports.metadata import NOTE, find_name
from potstill.runtime.files import JsonObject, hash_file

_TERMS = """
    citeAs column extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key md5
    parentField path recordSet references regex repeated replace separator source subField transform
"""
CONTEXT: JsonObject = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
"""The context that the specification asks for."""
FORMATS = {DISTILLATE: "application/octet-stream", PAIRS: "application/jsonlines"}
FILES = {
    DISTILLATE: "Pairs, normaliser, action bounds, recipe and metadata, as potstill reads them (safetensors).",
    PAIRS: "The same pairs, one JSON object per line.",
}


def make_croissant(distillate: Distillate, place: HubPlace, folder: Path) -> JsonObject:
    """Make the metadata of a distillate whose files are in ``folder``."""
    name = f"{find_name(distillate.metadata['dataset'])}, distilled to {len(distillate)} pairs"
    licence = "not stated" if place.licence == UNKNOWN else place.licence
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{len(distillate)} (state, action) pairs, distilled from an offline reinforcement learning "
        f"dataset for behavioural cloning. {NOTE}",
        "license": licence,
        "url": place.url,
        "creator": {"@type": "sc:Organization", "name": place.owner, "url": f"{place.endpoint}/{place.owner}"},
        "datePublished": datetime.now(UTC).date().isoformat(),
        "version": "1.0.0",
        "keywords": ["offline reinforcement learning", "dataset distillation", "behavioural cloning"],
        "isLiveDataset": False,
        "distribution": [_describe_file(file, place, folder) for file in (DISTILLATE, PAIRS)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "pairs",
                "name": "pairs",
                "description": "The pairs. Their order has no meaning.",
                "field": _list_fields(distillate),
            }
        ],
    }


def _describe_file(name: str, place: HubPlace, folder: Path) -> JsonObject:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": FILES[name],
        "contentUrl": place.get_file_url(name),
        "contentSize": f"{(folder / name).stat().st_size} B",
        "encodingFormat": FORMATS[name],
        "sha256": hash_file(folder / name),
    }


def _list_fields(distillate: Distillate) -> list[JsonObject]:
    states, actions = distillate.states.shape[1], distillate.actions.shape[1]
    unit = "the probability of each action" if distillate.action_bounds.discrete else "in the environment's units"
    described = {
        "states": f"Observation: {states} numbers in the environment's units, not standardised.",
        "actions": f"Target action: {actions} numbers, {unit}.",
    }
    if distillate.weights is not None:
        described["weights"] = "Weight of the pair in the loss, 1 on average."
    return [
        {
            "@type": "cr:Field",
            "@id": f"pairs/{name}",
            "name": name,
            "description": text,
            "dataType": "sc:Float",
            **({} if name == "weights" else {"repeated": True}),
            "source": {"fileObject": {"@id": PAIRS}, "extract": {"column": name}},
        }
        for name, text in described.items()
    ]
