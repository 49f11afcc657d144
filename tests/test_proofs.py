"""The proofs of benchmarks.proofs on a few inputs: files that are damaged or mutated, and pairs of options."""

import numpy as np
import pytest

from benchmarks.files import Workspace
from benchmarks.grid import Cell
from benchmarks.proofs import flips, options
from benchmarks.proofs.damaged import KINDS
from benchmarks.proofs.fuzz import Lines, read
from benchmarks.proofs.mutation import MUTATIONS, mutate


@pytest.mark.parametrize("kind", ["teacher", "hdf5", "npz", "metrics"])
def test_damaged_files(tmp_path, kind):
    found = flips.measure(Cell(kind), Workspace(tmp_path, toy=True))
    assert found["failures"] == []
    assert found["outcomes"]["refused"]


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


def test_pairs_of_options(tmp_path):
    found = options.measure(Cell("convert"), Workspace(tmp_path, toy=True))
    assert found["failures"] == []
    assert sum(found["outcomes"].values()) == options.TOY_PAIRS
