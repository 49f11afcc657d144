"""Batches of a mapped dataset equal those of the same data in memory."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL_STUDENT
from lqr import OPTIONS, lqr_logs, tuned
from test_teachers import write_npz

import potstill
from potstill.data import split
from potstill.data.registry import load_dataset
from potstill.teachers import sampling
from potstill.teachers.rows import TrainingTable, load_rows
from potstill.teachers.sampling import DeviceSource, FileSource, make_source

pytestmark = pytest.mark.usefixtures("narrow_networks")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same data in a file that is read into memory and in a folder that is mapped."""
    path = tmp_path_factory.mktemp("both")
    source = write_npz(path / "lqr.npz", lqr_logs(60))
    return source, potstill.convert(source, out=path / "mapped")


@pytest.mark.parametrize("algorithm", ["rebrac", "bc"])
def test_mapped_and_in_memory_training_are_byte_identical(both, algorithm, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "READ_ROWS", 200)  # of 64: 3 calls a piece, 1 of rebrac's
    options = {**OPTIONS, "algorithm": tuned(algorithm), "updates": 16, "evaluate_every": 8}
    runs = [
        potstill.teach(data, fitted_updates=2, out=tmp_path / name, **options)
        for data, name in zip(both, ("memory", "mapped"), strict=True)
    ]
    first, second = (potstill.load_teacher(run / "teacher.safetensors") for run in runs)
    assert first.content_hash == second.content_hash
    assert first.metadata["dataset_hash"] == second.metadata["dataset_hash"]
    lines = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
    for one, other in zip(*lines, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:
            assert one[name] == pytest.approx(other[name], rel=1e-5), name


@pytest.mark.parametrize("algorithm", ["rebrac", "bc", "cal-ql", "iql"])
def test_rows_read_are_the_rows_drawn(both, algorithm):
    shape, key = (2, 32), jax.random.key(3)
    device, file = (make_source(tuned(algorithm).prepare(load_dataset(data), 0.9), shape) for data in both)
    assert isinstance(device, DeviceSource)
    assert isinstance(file, FileSource)
    file.calls = 3
    ((rows, _, _),) = device.iterate_pieces(key, 7)
    pieces = list(file.iterate_pieces(key, 7))
    assert [(start, count) for _, start, count in pieces] == [(0, 3), (3, 3), (6, 1)]
    for piece, start, count in pieces:
        for place in map(jnp.asarray, range(count)):
            wanted = device.pick(rows, sampling.split_call_key(key, start + place)[0], place, shape)
            found = file.pick(piece, key, place, shape)
            for name, one, other in zip(rows._fields, wanted, found, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=name)


def test_excluded_rows_are_skipped(data):
    out = np.array([0, 1, 5, 150, 151, 298, 299])
    table = TrainingTable(data, excluded=out, reward_scale=2.0)
    kept = np.setdiff1d(np.arange(300), out)
    assert len(table) == 293
    np.testing.assert_array_equal(table.read(np.arange(293)).rewards, 2.0 * data.rewards[kept])
    assert load_rows(table).states.shape == (293, 3)
    assert table.largest_reward == pytest.approx(2.0 * np.abs(data.rewards).max())


def test_distillation_of_many_rows_takes_a_sample(both, tmp_path, teacher, monkeypatch):
    assert len(split.select_training_rows(2000)) == 1900
    monkeypatch.setattr(split, "TRAINING_MOST", 200)
    rows = split.select_training_rows(600)
    assert len(set(rows)) == 200
    assert (np.diff(rows) > 0).all()
    assert not set(rows) & set(split.select_held_out_rows(600))
    made = potstill.teach(both[0], algorithm="bc", updates=4, fitted_updates=0, batch=8, out=tmp_path / "teacher")
    options: dict[str, Any] = {
        "teacher": made / "teacher.safetensors",
        "recipe": SMALL_STUDENT,
        "size": 8,
        "steps": 2,
        "batch": 16,
        "students": 1,
    }
    runs = [
        potstill.distill(data, out=tmp_path / name, **options)
        for data, name in zip(both, ("memory", "mapped"), strict=True)
    ]
    first, second = (potstill.load(run) for run in runs)
    np.testing.assert_array_equal(first.states, second.states)
    np.testing.assert_array_equal(first.actions, second.actions)
