"""Files are mutated and read by the proof `fuzz`. Toy runs of all proofs are in test_benchmarks."""

import numpy as np
import pytest

from benchmarks.proofs.damaged import KINDS
from benchmarks.proofs.fuzz import Lines, read
from benchmarks.proofs.mutation import MUTATIONS, mutate


@pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")
def test_mutated_files(tmp_path):
    kind, rng, lines = KINDS["npz"], np.random.default_rng(0), Lines()
    path = kind.write(tmp_path)
    content = path.read_bytes()
    assert read(kind, path, lines) == "read"
    assert lines.new
    for _ in range(20):
        path.write_bytes(mutate(content, [content], rng))
        assert read(kind, path, lines) in ("read", "refused")


@pytest.mark.parametrize("change", MUTATIONS)
def test_mutations_take_any_content(change):
    rng = np.random.default_rng(0)
    for content in (b"1", b"12.5" * 50):
        changed = bytearray(content)
        change(changed, [content, b""], rng)
        assert len(changed) < 1000
