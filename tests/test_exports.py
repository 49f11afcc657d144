"""Exports, read back by other libraries."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

import potstill
from potstill import exports
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.errors import PotstillError
from potstill.exports.card import format_card
from potstill.runtime import registry

ROOT = Path(__file__).parents[1]
ADAPTERS = ROOT / "examples" / "adapters"


@pytest.fixture(scope="module")
def distillate():
    """The bundled distillate with other action bounds, so that a mistaken ±1 shows."""
    bundled = potstill.load("hopper-medium-replay")
    bounds = ActionBounds(np.array([-1, -2, -3], np.float32), np.array([1, 2, 4], np.float32))
    return replace(bundled, scaling=Scaling(bundled.normaliser, bounds))


def check_metadata(text, distillate):
    metadata = json.loads(text)
    assert metadata["env_id"] == "Hopper-v5"
    assert metadata["metadata"] == distillate.metadata
    assert metadata["recipe"] == distillate.recipe.to_metadata()
    assert "not trajectories" in metadata["note"]
    assert metadata["recipe"]["start"] == "orthogonal"  # the key that earlier exports have
    for name, array in (
        ("state_mean", distillate.normaliser.mean),
        ("state_scale", distillate.normaliser.scale),
        ("action_low", distillate.action_bounds.low),
        ("action_high", distillate.action_bounds.high),
    ):
        np.testing.assert_array_equal(np.float32(metadata[name]), array)


def check_pairs(states, actions, distillate):
    assert np.asarray(states).dtype == np.asarray(actions).dtype == np.float32
    np.testing.assert_array_equal(states, distillate.states)
    np.testing.assert_array_equal(actions, distillate.actions)


def test_npz(tmp_path, distillate):
    path = potstill.export(distillate, tmp_path / "new" / "hopper.npz")
    with np.load(path, allow_pickle=False) as archive:
        check_pairs(archive["states"], archive["actions"], distillate)
        check_metadata(str(archive["potstill"]), distillate)
        np.testing.assert_array_equal(archive["state_scale"], distillate.normaliser.scale)
        np.testing.assert_array_equal(archive["action_high"], distillate.action_bounds.high)
    before = path.read_bytes()
    assert potstill.export(distillate, path, force=True).read_bytes() == before


def test_learned_weights_are_exported_or_refused(tmp_path, distillate):
    weights = np.linspace(0.5, 1.5, len(distillate), dtype=np.float32)
    weighted = replace(distillate, weights=weights)
    with np.load(potstill.export(weighted, tmp_path / "hopper.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["weights"], weights)
    for path, name in ((tmp_path / "hopper.hdf5", "d4rl"), (tmp_path / "hopper-v0", "minari")):
        if name == "d4rl" or importlib.util.find_spec("minari"):
            with pytest.raises(PotstillError, match=f"{name} cannot hold the learned weights"):
                potstill.export(weighted, path, name)
            assert not path.exists()
    assert "weights[:, None] *" in format_card(weighted)
    assert "`weights`" in format_card(weighted)
    assert "`weights`" not in format_card(distillate)
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    table = read_table(potstill.export(weighted, tmp_path / "hopper.parquet"))
    np.testing.assert_array_equal(table["weights"].to_numpy(), weights)


def test_actions_beyond_the_bounds_are_exported_or_refused(tmp_path, distillate):
    actions = distillate.actions.copy()
    actions[:3, 1] = -2.5
    outside = replace(distillate, actions=actions)
    assert (distillate.beyond_bounds, outside.beyond_bounds) == (0, 3)
    with np.load(potstill.export(outside, tmp_path / "hopper.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["actions"], actions)
    with pytest.raises(PotstillError, match=r"3 of 256 pairs have actions outside .* action_limit=1$"):
        potstill.export(outside, tmp_path / "hopper.hdf5")
    assert not (tmp_path / "hopper.hdf5").exists()
    assert "Do not clip them: 3 of the pairs" in format_card(outside)
    assert "Do not clip" not in format_card(distillate)


@pytest.mark.parametrize("name", ["hopper.hdf5", "hopper.h5"])
def test_d4rl(tmp_path, distillate, name):
    path = potstill.export(distillate, tmp_path / name)
    with h5py.File(path) as file:
        check_pairs(file["observations"][:], file["actions"][:], distillate)
        check_metadata(file.attrs["card"], distillate)
        assert file["terminals"][:].all()
        assert not file["timeouts"][:].any()
        assert not file["rewards"][:].any()
    # Every row terminates, so none needs a successor, not even the last one.
    rows = potstill.load_dataset(potstill.export(potstill.load("hopper-medium-replay"), tmp_path / "unit.hdf5"))
    assert len(rows) == len(distillate)
    assert rows.terminations.all()
    assert rows.env_id == "Hopper-v5"


def test_parquet_file(tmp_path, distillate):
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    table = read_table(potstill.export(distillate, tmp_path / "hopper.parquet"))
    states, actions = (np.stack(table[name].to_numpy()) for name in ("states", "actions"))
    check_pairs(states, actions, distillate)
    check_metadata(table.schema.metadata[b"potstill"], distillate)


def test_parquet_folder_is_a_hugging_face_dataset(tmp_path, distillate):
    pytest.importorskip("pyarrow")
    folder = potstill.export(distillate, tmp_path / "hopper", "parquet")
    assert [str(file.relative_to(folder)) for file in sorted(folder.rglob("*.*"))] == [
        "README.md",
        "data/train-00000-of-00001.parquet",
    ]
    assert (folder / "README.md").read_text(encoding="utf-8") == format_card(distillate)
    if importlib.util.find_spec("datasets") is None:
        pytest.skip("needs datasets")
    # In a separate process: the library emits unrelated warnings and reads its settings only once.
    code = (
        "import datasets, numpy, sys\n"
        "rows = datasets.load_dataset(sys.argv[1], split='train').with_format('numpy')\n"
        "numpy.savez(sys.argv[2], states=rows['states'][:], actions=rows['actions'][:])"
    )
    settings = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    back = tmp_path / "back.npz"
    subprocess.run([sys.executable, "-c", code, folder, back], check=True, env={**os.environ, **settings})
    with np.load(back) as archive:
        check_pairs(archive["states"], archive["actions"], distillate)


def test_minari(tmp_path, distillate, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    path = potstill.export(distillate, tmp_path / "hopper-distilled-v0", format="minari")
    dataset = minari.load_dataset("hopper-distilled-v0")
    assert minari.list_local_datasets().keys() == {"hopper-distilled-v0"}
    assert dataset.total_episodes == dataset.total_steps == len(distillate)
    episodes = list(dataset.iterate_episodes())
    assert all(len(episode.observations) == 2 and len(episode.actions) == 1 for episode in episodes)
    assert all(episode.terminations.all() and not episode.truncations.any() for episode in episodes)
    actions = np.concatenate([episode.actions for episode in episodes])
    for place in (0, 1):
        check_pairs([episode.observations[place] for episode in episodes], actions, distillate)
    assert dataset.observation_space.contains(distillate.states[0])
    np.testing.assert_array_equal(dataset.action_space.low, distillate.action_bounds.low)
    assert dataset.env_spec.id == "Hopper-v5"
    metadata = dataset.storage.metadata
    assert "not trajectories" in metadata["description"]
    check_metadata(json.dumps(metadata["potstill"]), distillate)
    potstill.export(distillate, path, "minari", force=True)
    assert minari.load_dataset("hopper-distilled-v0").total_episodes == len(distillate)


def test_minari_without_an_environment(tmp_path, distillate):
    minari = pytest.importorskip("minari")
    for env_id in (None, "NoSuchEnvironment-v0"):
        lonely = replace(distillate, metadata=distillate.metadata | {"env_id": env_id})
        path = potstill.export(lonely, tmp_path / "lonely-v0", "minari", force=True)
        dataset = minari.MinariDataset(path / "data")
        assert dataset.env_spec is None
        assert dataset[3].actions.tolist() == distillate.actions[3:4].tolist()


@pytest.mark.parametrize("name", exports.EXPORT_FORMATS)
def test_contract_of_every_format(tmp_path, distillate, name):
    form = exports.EXPORT_FORMATS[name]
    if form.package is not None:
        pytest.importorskip(form.package)

    def written(given, folder):
        path = tmp_path / folder / f"hopper-v0{(*form.suffixes, '')[0]}"
        assert potstill.export(given, path, name) == path
        with pytest.raises(PotstillError, match="exists"):
            potstill.export(given, path, name)
        assert potstill.export(given, path, name, force=True) == path
        assert list(path.parent.iterdir()) == [path]
        return [file.read_bytes() for file in sorted([path, *path.rglob("*")]) if file.is_file()]

    plain = written(distillate, "plain")
    assert all(plain)
    weighted = replace(distillate, weights=np.linspace(0.5, 1.5, len(distillate), dtype=np.float32))
    if form.steps_only:
        with pytest.raises(PotstillError, match=f"{name} cannot hold the learned weights"):
            potstill.export(weighted, tmp_path / "other", name)
    else:
        assert written(weighted, "weighted") != plain


def test_suffixes_and_extras_of_formats():
    suffixes = [suffix for name in exports.EXPORT_FORMATS for suffix in exports.EXPORT_FORMATS[name].suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") for suffix in suffixes)
    assert suffixes[:4] == [".npz", ".hdf5", ".h5", ".parquet"]
    assert not exports.EXPORT_FORMATS["minari"].suffixes


def test_other_packages_add_formats(tmp_path, distillate, monkeypatch):
    known = list(exports.EXPORT_FORMATS)
    entry = EntryPoint("csv", "other_package:CSV", "potstill.exports")
    package: Any = ModuleType("other_package")
    monkeypatch.setitem(sys.modules, "other_package", package)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == entry.group else [])
    write = lambda distillate, path: np.savetxt(path, distillate.states)  # noqa: E731
    package.CSV = exports.ExportFormat(write, suffixes=(".csv",), package="numpy")
    assert list(exports.EXPORT_FORMATS) == [*known, "csv"]
    for path, name in ((tmp_path / "hopper.csv", None), (tmp_path / "hopper", "csv")):
        potstill.export(distillate, path, name)
        np.testing.assert_allclose(np.loadtxt(path), distillate.states, rtol=1e-6)
    package.CSV = exports.ExportFormat(write, package="no_such_library")
    with pytest.raises(PotstillError, match="no_such_library is not installed: pip install no_such_library"):
        potstill.export(distillate, tmp_path / "other", "csv")


@pytest.mark.parametrize("library", ["d3rlpy", "torchrl", "imitation"])
def test_adapters(tmp_path, distillate, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    path = potstill.export(distillate, tmp_path / "hopper.npz")
    command = [sys.executable, str(ADAPTERS / f"{library}_bc.py"), str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    error = re.search(r"mean squared error on the pairs: (\S+)", done.stdout)
    assert error is not None
    assert float(error.group(1)) < 0.5 * np.var(distillate.actions, axis=0).mean()


def test_adapters_are_all_tested():
    assert {path.name for path in ADAPTERS.iterdir()} == {f"{x}_bc.py" for x in ("d3rlpy", "torchrl", "imitation")}
