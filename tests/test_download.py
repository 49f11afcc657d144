"""`minari:ID` with `download`: Minari's own client downloads, and a failed attempt leaves no files."""

import inspect
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from potstill.cli import main
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError

GOLDEN = Path(__file__).parent / "golden"
NAME = "golden/hdf5-v0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Minari's root, which does not exist yet."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari" / "datasets"))
    return tmp_path / "minari" / "datasets"


def client(monkeypatch, download):
    """Put a stand-in for Minari's client where potstill imports it."""
    monkeypatch.setitem(sys.modules, "minari", SimpleNamespace(download_dataset=download))


def refused(*words, **options):
    with pytest.raises(PotstillError) as caught:
        load_dataset(f"minari:{NAME}", **options)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_download_on_request(root, monkeypatch):
    asked = []

    def download(dataset_id):
        asked.append(dataset_id)
        shutil.copytree(GOLDEN / dataset_id, root / dataset_id)

    client(monkeypatch, download)
    refused("download=True", f"minari download {NAME}")
    assert asked == []
    data = load_dataset(f"minari:{NAME}", download=True)
    assert data.content_hash == load_dataset(GOLDEN / NAME).content_hash
    load_dataset(f"minari:{NAME}", download=True)  # it is there
    assert asked == [NAME]


def test_a_failed_download_leaves_nothing(root, monkeypatch, tmp_path):
    def half(dataset_id):
        (root / dataset_id / "data").mkdir(parents=True)
        (root / "golden" / "namespace_metadata.json").write_text("{}")
        raise ConnectionError("no route to host\nsecond line")

    client(monkeypatch, half)
    refused("could not download it (no route to host)", f"pip install 'minari[hf]' && minari download {NAME}",
            f"copy the folder to {root / NAME}", download=True)  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    (root / "golden").mkdir(parents=True)
    refused("no route to host", download=True)
    assert (root / "golden").is_dir()  # it was there before
    assert not (root / NAME).exists()


def test_a_client_that_fetches_nothing_or_is_interrupted(root, monkeypatch, tmp_path):
    client(monkeypatch, lambda dataset_id: None)
    refused("after the download", download=True)

    def interrupted(dataset_id):
        (root / dataset_id).mkdir(parents=True)
        raise KeyboardInterrupt

    client(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_dataset(f"minari:{NAME}", download=True)
    assert list(tmp_path.iterdir()) == []


def test_missing_minari_names_the_install_command(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    refused("pip install 'potstill[minari]'", download=True)


def test_only_minari_datasets_can_be_downloaded(root):
    sources: list[str | dict[str, Any]] = ["d4rl:hopper-medium-v2", "hopper-medium-replay", {}]
    for source in sources:
        with pytest.raises(PotstillError, match="only minari:ID can be downloaded"):
            load_dataset(source, download=True)


@pytest.mark.parametrize("command", ["inspect", "teach", "distill"])
def test_commands_download(root, monkeypatch, tmp_path, capsys, command):
    def offline(dataset_id):
        raise ConnectionError("Name or service not known")

    client(monkeypatch, offline)
    monkeypatch.chdir(tmp_path)
    assert main([command, f"minari:{NAME}", "--download"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"potstill: minari:{NAME}: Minari could not download it (Name or service not known)")
    assert f"minari download {NAME}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_minaris_own_client_without_a_network(root, monkeypatch, tmp_path):
    minari = pytest.importorskip("minari")
    inspect.signature(minari.download_dataset).bind(NAME)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    refused("Minari could not download it (", f"minari download {NAME}", download=True)
    assert list(tmp_path.iterdir()) == []
