"""What becomes of a folder: nothing is lost, whatever a command, another program or a killed process left there."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from potstill.errors import PotstillError
from potstill.runtime import run_folder
from potstill.runtime.folder_state import recover, swap
from potstill.runtime.locks import FolderLock
from potstill.runtime.run_folder import RunFolder, add_file, check_free, check_out


@dataclass(frozen=True)
class Settings:
    students: int = 2
    out: Path | None = None
    force: bool = False
    resume: bool = False


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


def make_run(path, seed=1, **options):
    """A finished run with an artefact."""
    with RunFolder(path, "teach", Settings(), **options) as folder:
        (folder.path / "teacher.safetensors").write_text(str(seed))
        folder.finish({"seed": seed})
    return folder


def content(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_what_can_be_resumed(path):
    assert not check_out(path, "teach", Settings(), resume=True)
    assert not check_out(None, "teach", Settings(), resume=True)
    with RunFolder(path, "teach", Settings()) as folder:
        folder.log(step=1)
    assert check_out(path, "teach", Settings(out=path, resume=True), resume=True)
    with RunFolder(path, "teach", Settings(), resume=True) as resumed:
        assert resumed.resumed
        assert len(resumed.run.metrics) == 1
        with pytest.raises(PotstillError, match="in use by another run"):
            check_out(path, "teach", Settings(), resume=True)
    with pytest.raises(PotstillError, match="has students 2, not 3"):
        check_out(path, "teach", Settings(students=3), resume=True)
    with pytest.raises(PotstillError, match="has command teach, not collect"):
        check_out(path, "collect", Settings(), resume=True)
    with pytest.raises(PotstillError, match=r"exists.*resume=True to continue it, force=True to replace it"):
        check_out(path, "teach", Settings())
    assert not check_out(path, "teach", Settings(), force=True)
    resumed.finish({})
    with pytest.raises(PotstillError, match="is finished"):
        check_out(path, "teach", Settings(), resume=True)


def test_a_run_is_replaced_only_when_the_new_one_is_finished(path):
    make_run(path)
    before = content(path)
    with RunFolder(path, "teach", Settings(), force=True) as folder:  # is not finished
        folder.log(step=1)
    assert {**content(path), ".potstill": before[".potstill"]} == before
    with RunFolder(path, "teach", Settings(), force=True, resume=True) as folder:
        assert folder.resumed
        assert folder.path != path
        assert len(folder.run.metrics) == 1
        folder.finish({"seed": 2})
        assert folder.path == path
    assert json.loads((path / "result.json").read_text()) == {"seed": 2}
    assert not (path / "teacher.safetensors").exists()
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


def foreign_model(path):
    """A model as another library saves it, with a config.json."""
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "bert"}')
    (path / "model.safetensors").write_text("weights")


def command_of_others(path):
    path.mkdir()
    (path / "config.json").write_text('{"command": "train", "lr": 1}')
    (path / "notes.txt").write_text("precious")


def run_with_notes(path):
    make_run(path)
    (path / "notes.txt").write_text("precious")


def run_with_pictures(path):
    make_run(path)
    (path / "figures").mkdir()
    (path / "figures" / "mine.png").write_text("precious")


def old_run_with_notes(path):
    run_with_notes(path)
    (path / ".potstill").unlink()


def linked_folder(path):
    make_run(path)
    os.symlink(path.parent, path / "link")


FOREIGN = (foreign_model, command_of_others, run_with_notes, run_with_pictures, old_run_with_notes, linked_folder)


@pytest.mark.parametrize("fill", FOREIGN)
def test_files_that_are_not_ours_are_never_lost(path, fill):
    fill(path)
    before = content(path)
    with pytest.raises(PotstillError, match=r"not a potstill run folder|which potstill did not write"):
        RunFolder(path, "teach", Settings(), force=True)
    assert content(path) == before


@pytest.mark.parametrize("suffix", [".partial", ".replaced"])
def test_folders_beside_a_run_are_not_lost_either(path, suffix):
    make_run(path)
    other = path.with_name(path.name + suffix)
    run_with_notes(other)
    with pytest.raises(PotstillError, match="which potstill did not write"):
        make_run(path, force=True)
    assert (other / "notes.txt").read_text() == "precious"
    assert (path / "teacher.safetensors").read_text() == "1"


def test_files_that_are_added_while_a_run_is_replaced_are_kept(path, capsys):
    make_run(path)
    with RunFolder(path, "teach", Settings(), force=True) as folder:
        (path / "notes.txt").write_text("precious")
        folder.finish({})
    assert "files were added" in capsys.readouterr().out
    assert (path.parent / "run.replaced" / "notes.txt").read_text() == "precious"


def test_files_of_the_run_are_ours(path):
    """Also those that a command adds after the result, and those in subfolders."""
    with RunFolder(path, "teach", Settings()) as folder:
        folder.finish({})
        (folder.path / "curve.svg").write_text("later")
        make_run(folder.path / "candidate")
    add_file(path, "reproduced.json", {"same": True})
    (path / ".DS_Store").write_text("the file manager's")
    make_run(path, force=True)
    assert not (path / "curve.svg").exists()


def test_one_of_two_runs_is_refused(path):
    """In one process, and in another one, whether the folder is new or replaced."""
    again = f"""
from potstill.runtime.run_folder import RunFolder
RunFolder({str(path)!r}, "teach", {{}}, force=True)"""
    for force in (False, True):
        with RunFolder(path, "teach", Settings(), force=force) as folder:
            if force:
                other = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=False)
                assert f"in use by another run (process {os.getpid()})" in other.stderr.splitlines()[-1]
            with pytest.raises(PotstillError, match="in use by another run"):
                check_free(path, force=True)
            folder.finish({})
    check_free(path, force=True)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder.time, "strftime", lambda form: "20260101-000000")
    made, start = [], threading.Barrier(8)
    commands = {"teach": False, "convert": True}  # whether the folder is discarded after a failure

    def make(command):
        start.wait()
        made.append(RunFolder(None, command, Settings(), discard=commands[command]))

    threads = [threading.Thread(target=make, args=(command,)) for command in 4 * [*commands]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({folder.target for folder in made}) == 8


@pytest.mark.parametrize("step", range(4))
def test_a_process_that_is_killed_while_it_swaps_loses_nothing(path, step, monkeypatch):
    """At any step of the swap: the old run or the new one is there, and ``resume`` completes the new one."""
    make_run(path)
    new = path.with_name("run.partial")
    make_run(new, seed=2)
    kill_at(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        swap(new, path)
    monkeypatch.undo()
    recover(path)
    assert json.loads((path / "result.json").read_text())["seed"] in (1, 2)
    with pytest.raises(PotstillError, match="is finished"):
        check_out(path, "teach", Settings(), resume=True)
    assert json.loads((path / "result.json").read_text())["seed"] == 2
    make_run(path, seed=3, force=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


def kill_at(step, monkeypatch):
    """Raise at the n-th renaming or deletion of a folder."""
    calls = iter(range(9))

    def stopping(function):
        def call(*args):
            if next(calls) == step:
                raise KeyboardInterrupt
            function(*args)
            if step == 3 and function.__name__ == "rmtree":
                raise KeyboardInterrupt

        return call

    monkeypatch.setattr("potstill.runtime.folder_state.os.rename", stopping(os.rename))
    monkeypatch.setattr("potstill.runtime.folder_state.shutil.rmtree", stopping(run_folder.shutil.rmtree))


def test_a_marker_that_is_no_file_is_refused(path):
    path.mkdir()
    os.mkfifo(path / ".potstill")
    with pytest.raises(PotstillError, match=r"\.potstill is not a regular file"):
        FolderLock(path)


def test_a_run_that_is_killed_at_its_start_can_be_repeated(path):
    path.mkdir()
    FolderLock(path).release()
    (path / "config.json.partial").write_text("{")
    make_run(path)
    assert "teacher.safetensors" in content(path)


def test_odd_paths(path, tmp_path, monkeypatch):
    make_run(path)
    os.symlink(path, tmp_path / "latest")
    make_run(tmp_path / "latest", seed=2, force=True)
    assert (tmp_path / "latest").is_symlink()
    assert (path / "teacher.safetensors").read_text() == "2"
    monkeypatch.chdir(path)
    make_run(".", seed=3, force=True)
    assert (path / "teacher.safetensors").read_text() == "3"


def test_parts_are_computed_once(path):
    calls = []

    def compute():
        calls.append(1)
        return {"mean": 0.1, "steps": (1, 2)}

    with RunFolder(path, "teach", Settings()) as folder:
        first = folder.compute_once("student", compute)
    with RunFolder(path, "teach", Settings(), resume=True) as folder:
        assert folder.compute_once("student", compute) == first == {"mean": 0.1, "steps": [1, 2]}
        assert len(calls) == 1
        folder.check_inputs(dataset="a", teacher=None)
        with pytest.raises(PotstillError, match="the dataset has changed since the run began"):
            folder.check_inputs(dataset="b")
        folder.finish({})
    assert sorted(content(path)) == [".potstill", "config.json", "metrics.jsonl", "result.json"]


def test_a_resumed_run_drops_a_broken_line(path):
    with RunFolder(path, "teach", Settings()) as folder:
        folder.log(step=1)
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": ')
    with RunFolder(path, "teach", Settings(), resume=True) as folder:
        folder.log(step=2)
        assert [line["step"] for line in folder.run.metrics] == [1, 2]


def test_a_full_disk_is_one_line(path, monkeypatch):
    with RunFolder(path, "teach", Settings()) as folder:
        os.symlink("/dev/full", folder.path / "result.json.partial")
        with pytest.raises(PotstillError, match=r"cannot write .*result.json: No space left on device"):
            folder.finish({"much": "text" * 10_000})
        (path / "metrics.jsonl").unlink()
        os.symlink("/dev/full", folder.path / "metrics.jsonl")
        with pytest.raises(PotstillError, match=r"cannot write .*metrics.jsonl: No space left on device"):
            folder.log(step=1)
