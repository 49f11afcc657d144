"""Exports that are refused, files that are kept, and the messages on the command line."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest

import potstill
from potstill.cli import main
from potstill.errors import PotstillError
from potstill.exports.card import format_card


@pytest.fixture(scope="module")
def distillate():
    return potstill.load("hopper-medium-replay")


def check_fails(distillate, path, *words, **options):
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(PotstillError) as caught:
        potstill.export(distillate, path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert before is None or sorted(path.parent.iterdir()) == before


def test_refused_input(tmp_path, distillate):
    check_fails(distillate, tmp_path / "hopper", "no export format", ".parquet", "minari")
    check_fails(distillate, tmp_path / "hopper.csv", "no export format has the suffix '.csv'")
    check_fails(
        distillate, tmp_path / "hopper", "unknown export format 'parket'", "did you mean 'parquet'?", format="parket"
    )
    check_fails(distillate, tmp_path / "x.npz", "suffix '.npz' is that of npz, not of d4rl", ".h5", format="d4rl")
    check_fails(distillate, tmp_path / "x.h5", "suffix '.h5' is that of d4rl, not of parquet", format="parquet")
    (tmp_path / "file").touch()
    check_fails(distillate, tmp_path / "file" / "hopper.npz", "cannot write", "file")
    broken = replace(distillate, states=distillate.states.copy())
    broken.states[3, 2] = np.nan
    check_fails(broken, tmp_path / "hopper.npz", "nan in column states[2], row 3")


def test_targets_are_checked_before_students_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(potstill.Distillate, "train_students", lambda *_: pytest.fail("students were trained"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.h").mkdir()
    for name, message in (
        ("file/x.h", "cannot write .*: Not a directory"),
        ("folder.h", "is a folder, but this format makes a file"),
        ("file", "file exists: choose another path"),
    ):
        with pytest.raises(PotstillError, match=message):
            potstill.export_policy("hopper-medium-replay", tmp_path / name, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.h"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is denied to root")
def test_folder_without_write_permission(tmp_path, distillate):
    tmp_path.chmod(0o500)
    check_fails(distillate, tmp_path / "hopper.npz", "cannot write", "Permission denied")


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("parquet", "pyarrow", "arrow"), ("minari", "minari", "minari")]
)
def test_a_missing_library(tmp_path, distillate, monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    line = f"{package} is not installed: pip install 'potstill[{extra}]'"
    check_fails(distillate, tmp_path / "hopper-v0", line, format=name)


def test_existing_files_are_kept(tmp_path, distillate):
    path = tmp_path / "hopper.npz"
    path.write_text("precious")
    check_fails(distillate, path, "exists", "force=True")
    assert path.read_text() == "precious"
    potstill.export(distillate, path, force=True)
    assert np.load(path)["states"].shape == distillate.states.shape
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    check_fails(distillate, folder, "is a folder", force=True)
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    check_fails(distillate, tmp_path / "loop.npz", "is a loop of links", force=True)


def test_foreign_folder_is_kept(tmp_path, distillate):
    pytest.importorskip("pyarrow")
    folder = tmp_path / "hopper"
    folder.mkdir()
    potstill.export(distillate, folder, "parquet")
    (folder / "notes.txt").write_text("precious")
    (folder / "README.md").write_text("old")
    check_fails(distillate, folder, "exists", format="parquet")
    potstill.export(distillate, folder, "parquet", force=True)
    assert (folder / "notes.txt").read_text() == "precious"
    assert (folder / "README.md").read_text(encoding="utf-8") == format_card(distillate)
    (folder / "data" / "train-00000-of-00001.parquet").unlink()
    check_fails(distillate, folder, "contains files that are not", format="parquet", force=True)
    (tmp_path / "file").touch()
    check_fails(distillate, tmp_path / "file", "is a file", format="parquet", force=True)


def test_a_minari_dataset_needs_a_name(tmp_path, distillate):
    pytest.importorskip("minari")
    for name in ("hopper", "hop per-v0", "hopper-v"):
        check_fails(distillate, tmp_path / name, f"'{name}'", "-v0", format="minari")


def test_failed_writes_leave_nothing(tmp_path, distillate, monkeypatch):
    potstill.export(distillate, tmp_path / "old.npz")
    before = (tmp_path / "old.npz").read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    check_fails(distillate, tmp_path / "new.npz", "cannot write", "No space left on device")
    check_fails(distillate, tmp_path / "old.npz", "No space left on device", force=True)
    assert (tmp_path / "old.npz").read_bytes() == before


def test_the_command_line_exports(tmp_path, distillate, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "hopper-medium-replay", "hopper.npz"]) == 0
    assert capsys.readouterr().out == "hopper.npz\n"
    np.testing.assert_array_equal(np.load("hopper.npz")["states"], distillate.states)
    assert potstill.export("hopper-medium-replay", "again.npz").read_bytes() == (tmp_path / "hopper.npz").read_bytes()
    before = sorted(tmp_path.iterdir())
    for arguments, words in (
        (["hopper-medium-replay", "hopper.npz"], "--force"),
        (["hopper-medium-replay", "hopper.csv"], "no export format has the suffix '.csv'"),
        (["hopper-medium-replay", "folder", "--format", "minary"], "did you mean 'minari'"),
        (["none.safetensors", "x.npz"], "none.safetensors: no such file"),
        (["hopper-medium-replay"], "--path"),
    ):
        assert main(["export", *arguments]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert words in line
    assert sorted(tmp_path.iterdir()) == before
    assert main(["export", "hopper-medium-replay", "hopper.npz", "--force"]) == 0
