"""Checks of the teachers' weights in ``results/weights`` and of their index."""

from __future__ import annotations

import hashlib
from collections import Counter

from benchmarks.files import WEIGHTS, read_weights_index


def find_faults() -> list[str]:
    """Find weights that are missing, changed, stored twice or not in the index; one message for each."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(WEIGHTS.iterdir())}
    index = read_weights_index()
    messages = [f"weights.jsonl: {entry['weights']} is missing" for entry in index if entry["weights"] not in found]
    messages += [
        f"weights/{entry['weights']}: its hash differs from that in weights.jsonl"
        for entry in index
        if found.get(entry["weights"], entry["sha256"]) != entry["sha256"]
    ]
    named = {entry["weights"] for entry in index}
    messages += [f"weights/{name}: no entry of weights.jsonl names it" for name in found if name not in named]
    twice = [digest for digest, count in Counter(found.values()).items() if count > 1]
    return messages + [f"weights: {digest[:8]}… is stored twice" for digest in twice]
