"""Pushing a distillate to a stand-in for the Hub: what arrives, what is refused, and what a dry run writes."""

import dataclasses
import hashlib
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from conftest import make_columns
from hub import TOKEN, running_hub
from test_cli import refused

import potstill
from potstill.bundled import find_artefact_path
from potstill.cli import main
from potstill.errors import PotstillError
from potstill.exports.hub.croissant import CONTEXT
from potstill.tasks import merge_distillates

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the library sends a file
FILES = {"README.md", "croissant.json", "distillate.safetensors", "pairs.jsonl"}
NAME, REPO = "hopper-medium-replay", "me/hopper-pairs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")


@pytest.fixture
def hub(monkeypatch):
    """The stand-in, to which the library sends what it would send to the Hub, with the account of a test."""
    library = pytest.importorskip("huggingface_hub")
    from huggingface_hub import _commit_api, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_commit_api, "is_xet_available", lambda: False)  # else the large file goes to another server
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        yield hub
        library.close_session()  # its connections


def test_all_bytes_arrive(hub, capsys):
    assert main(["push", NAME, REPO, "--private", "--licence", "cc-by-4.0"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == f"{hub.url}/datasets/{REPO}"
    assert TOKEN not in printed.out + printed.err
    dataset, [commit] = hub.datasets[REPO], hub.commits
    assert dataset["private"]
    assert commit.startswith("256 pairs, distilled with potstill ")
    files = dataset["files"]
    assert files.keys() == FILES
    assert files["distillate.safetensors"] == find_artefact_path(NAME, "distillate").read_bytes()
    for file in json.loads(files["croissant.json"])["distribution"]:
        assert file["sha256"] == hashlib.sha256(files[file["name"]]).hexdigest()
        assert file["contentUrl"] == f"{hub.url}/datasets/{REPO}/resolve/main/{file['name']}"
    assert "license: cc-by-4.0\n" in files["README.md"].decode()
    potstill.push(NAME, REPO)  # again, into the same repository
    assert len(hub.commits) == 2


def test_a_public_repository_is_not_used_as_a_private_one(hub):
    potstill.push(NAME, REPO)
    assert not hub.datasets[REPO]["private"]
    with pytest.raises(PotstillError, match=f"{REPO} exists and is public: name another repository"):
        potstill.push(NAME, REPO, private=True)
    assert len(hub.commits) == 1


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("create", 401, "does not accept the token of this account: run 'hf auth login', then 'potstill push"),
        ("create", 403, "does not let this account write to me/hopper-pairs (You have no right to do this): name a"),
        ("commit/main", 403, "run 'hf auth login' with a token that may write, then 'potstill push"),
        ("commit/main", 500, "refused me/hopper-pairs with status 500"),
    ],
)
def test_refusals_say_what_to_run(hub, capsys, word, status, said):
    hub.refuse[word] = status
    line = refused(capsys, "push", NAME, REPO, "--private")
    assert said in line
    assert f"potstill push {NAME} {REPO} --private'" in line
    assert TOKEN not in line
    assert hub.commits == []


def test_without_an_account_or_a_network_one_line_says_what_to_run(hub, capsys, monkeypatch, tmp_path):
    from huggingface_hub import constants

    again = f"potstill push {NAME} {REPO}'"
    with monkeypatch.context() as patch:
        patch.delenv("HF_TOKEN")
        patch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
        line = refused(capsys, "push", NAME, REPO)
        assert line.endswith(
            f"no account of the Hub is logged in here: run 'hf auth login' or set HF_TOKEN, then '{again}"
        )
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        line = refused(capsys, "push", NAME, REPO)
        assert line.endswith(f"HF_HUB_OFFLINE is set, so nothing was sent: unset it and run '{again}")
    assert hub.calls == []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        line = refused(capsys, "push", NAME, REPO)
    assert "cannot be reached" in line
    assert f"once online, run '{again}" in line
    assert TOKEN not in line


def test_a_token_is_never_printed(hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_geheim\x01x")  # the library for HTTP quotes a header that it refuses
    assert "geheim" not in refused(capsys, "push", NAME, REPO)


def test_a_missing_library_is_named(monkeypatch, capsys):
    monkeypatch.setattr("potstill.errors.find_spec", lambda name: None)
    assert refused(capsys, "push", NAME, REPO).endswith("huggingface_hub is not installed: pip install 'potstill[hub]'")


def test_a_dry_run_writes_the_folder(capsys):
    assert main(["push", NAME, REPO, "--dry-run"]) == 0
    folder = Path("runs/push-me-hopper-pairs")
    printed = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(f"{path.stat().st_size:,} B  {path}" in printed for path in folder.iterdir())
    assert printed.endswith("nothing was uploaded\n")
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    distillate = potstill.load(folder / "distillate.safetensors")
    for column in ("states", "actions"):
        assert np.array_equal(np.array([pair[column] for pair in pairs], np.float32), getattr(distillate, column))
    before = (folder / "README.md").read_text()
    assert main(["push", NAME, REPO, "--dry-run", "--licence", "mit"]) == 0  # replaces the earlier one
    assert (folder / "README.md").read_text() != before
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("precious")
    assert "not an export" in refused(capsys, "push", NAME, REPO, "--dry-run", "--out", "mine")
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_croissant_has_what_the_specification_requires():
    """Section by section: dataset, FileObject, RecordSet and Field of Croissant 1.0."""
    bundled = potstill.load(NAME)
    weighted = dataclasses.replace(bundled, weights=np.ones(256, np.float32))
    folder = Path(potstill.push(weighted, REPO, licence="cc-by-4.0", dry_run=True))
    found = json.loads((folder / "croissant.json").read_text())
    assert found["@context"] == CONTEXT
    assert CONTEXT["conformsTo"] == "dct:conformsTo"
    assert CONTEXT["recordSet"] == "cr:recordSet"
    assert found["@type"] == "sc:Dataset"
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for name in ("name", "description", "license", "url", "creator", "datePublished", "version"):
        assert found[name], name
    files = found["distribution"]
    for file in files:
        assert file["@type"] == "cr:FileObject"
        assert {"@id", "name", "contentUrl", "contentSize", "encodingFormat", "sha256"} <= file.keys()
        assert len(file["sha256"]) == 64
    [records] = found["recordSet"]
    assert records["@type"] == "cr:RecordSet"
    line = json.loads((folder / "pairs.jsonl").read_text().splitlines()[0])
    assert [field["name"] for field in records["field"]] == list(line) == ["states", "actions", "weights"]
    for field in records["field"]:
        assert field["@type"] == "cr:Field"
        assert field["@id"] == f"pairs/{field['name']}"
        assert field["dataType"] == "sc:Float"
        assert field.get("repeated", False) == isinstance(line[field["name"]], list)
        assert field["source"]["fileObject"]["@id"] in {file["@id"] for file in files}
        assert field["source"]["extract"] == {"column": field["name"]}


def test_the_card_has_the_header_the_scores_and_the_origin():
    yaml = pytest.importorskip("yaml")
    golden = Path(__file__).parent / "golden" / "0.1" / "distilled"
    folder = Path(potstill.push(golden, "me/own", dry_run=True))
    text = (folder / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "unknown"
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "pairs.jsonl"}]}]
    assert head["task_categories"] == ["reinforcement-learning"]
    error = json.loads((golden / "result.json").read_text())["offline"]["imitation_error"]
    metadata = potstill.load(golden).metadata
    for fact in (
        f"imitation error of one student, 1 held-out states | {error['mean']:.4g} ±",
        *('hf_hub_download("me/own"', "No licence is chosen yet", metadata["dataset"]["sha256"], "layers "),
    ):
        assert fact in text, fact
    assert "## Scores" not in (Path(potstill.push(NAME, REPO, dry_run=True)) / "README.md").read_text()


def test_rows_of_the_dataset_are_never_published(tmp_path):
    np.savez(tmp_path / "log.npz", **make_columns())
    rows = potstill.make_baseline("random-rows", tmp_path / "log.npz", size=4)
    with pytest.raises(PotstillError, match=r"rows of the dataset \(chosen by random-rows\), which are never"):
        potstill.push(rows, REPO, dry_run=True)
    initial = dataclasses.replace(rows, metadata={**rows.metadata, "baseline": None, "steps": 0})
    with pytest.raises(PotstillError, match="no outer steps were taken"):
        potstill.push(initial, REPO, dry_run=True)
    changed = {"steps": 1, "command": "potstill distill /a/b"}
    moved = dataclasses.replace(initial, states=initial.states + 1, metadata={**initial.metadata, **changed})
    mixture = merge_distillates([rows, moved], potstill.Recipe(steps=2, width=8))
    with pytest.raises(PotstillError, match=r"pairs are rows of the dataset \(chosen by random-rows\)"):
        potstill.push(mixture, REPO, dry_run=True)
    with pytest.warns(potstill.PotstillWarning, match=r"name a path on this machine, /a/b, in their command"):
        potstill.push(moved, REPO, dry_run=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([REPO, "--out", "x"], "--out has no effect without --dry-run"),
        (["pairs", "--dry-run"], "'pairs' is not a repository of the Hub: expected OWNER/NAME"),
        (["me/../pairs", "--dry-run"], "expected OWNER/NAME"),
        ([REPO, "--dry-run", "--licence", "CC\nx: y"], "expected an identifier of the Hub"),
    ],
)
def test_bad_options_write_nothing(capsys, tmp_path, options, said):
    assert said in refused(capsys, "push", NAME, *options)
    assert list(tmp_path.iterdir()) == []
