"""The command ``potstill reproduce table5``: bad input, a run in small, cells that fail, and resumption."""

import dataclasses
import functools
import json
import signal
from typing import Any

import numpy as np
import pytest
from conftest import random_teacher
from paper import TINY, make_source

import potstill
from potstill.cli import main
from potstill.commands import reproduce as command
from potstill.commands.paper import grid, measuring
from potstill.commands.paper.cells import BaselineCell, CloneCell, DistillCell, PostureCell, TeacherCell, TraceCell
from potstill.commands.paper.datasets import read_sources
from potstill.commands.paper.measuring import Workplace, measure_cell
from potstill.commands.paper.running import reproduce_paper
from potstill.commands.paper.teachers import TeacherFiles
from potstill.config import TeachConfig
from potstill.errors import PotstillError
from potstill.runtime.interruption import Interrupted
from potstill.runtime.progress import Tracker

pytestmark = pytest.mark.usefixtures("few_rows")
BUNDLED_NAME, TOO_MANY = "hopper-medium-replay", 10**7
QUICK = dataclasses.replace(TINY, name="smoke", seeds=1, teacher_episodes=2, episodes=1, extends=False)


@pytest.fixture
def sizes(monkeypatch):
    """Replace the scale ``smoke`` by one of seconds, with these numbers of pairs in Table 5."""

    def replace(*numbers):
        scales = {"smoke": dataclasses.replace(QUICK, sizes=numbers)}
        monkeypatch.setattr(command, "reproduce_paper", functools.partial(reproduce_paper, scales=scales))

    return replace


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tabel1"], "tabel1 does not exist; did you mean 'table1'? Expected a run folder, or one of table1, table2"),
        (["nothere"], "nothere does not exist. Expected a run folder, or one of table1, table2"),
        (["table1", "--scale", "full"], "--scale full needs the paper's datasets, which are not bundled"),
        (["table1", "--datasets", "a.npz"], "--datasets a.npz: --scale smoke uses bundled data only"),
        (["table1", "--scale", "small", "--datasets", "hoper"], "unknown dataset 'hoper'"),
        (["table1", "--datasets", BUNDLED_NAME, BUNDLED_NAME], "--datasets: a dataset is named twice"),
        (["table1", "--seeds", "0"], "--seeds 0"),
        (["theory", "--datasets", BUNDLED_NAME], "--datasets has no effect on theory, which uses no data"),
        (["table1", "--scale", "smal"], "--scale"),
        (["table1", "--resume"], "--resume requires --out"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_made(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "s so far" not in line]  # of a slow machine
    assert said in line
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the bundled teacher, under the name of its dataset."""
    monkeypatch.chdir(tmp_path)
    teacher = potstill.load_teacher(BUNDLED_NAME)
    teacher.save(tmp_path / "given" / f"{BUNDLED_NAME}-v2.safetensors")
    random_teacher(states=3).save(tmp_path / "small" / f"{BUNDLED_NAME}.safetensors")
    random_teacher(states=3).save(tmp_path / "other" / "walker2d-medium.safetensors")
    for name in ("one", "two"):
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / f"{name}-{BUNDLED_NAME}.pt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table1", "--teachers", "nothere"], "--teachers nothere: there is no such folder, and no teacher matches"),
        (["table1", "--teachers", "."], "--teachers .: the folder contains no teacher"),
        (["table1", "--teachers", "both"], f"{BUNDLED_NAME} has 2 teachers, one-{BUNDLED_NAME}.pt and two-"),
        (["table1", "--teachers", "both/one*"], f"one-{BUNDLED_NAME}.pt: damaged, or not a PyTorch file"),
        (["table1", "--teachers", "other"], f"no teacher for {BUNDLED_NAME}: expected a file or run folder with this"),
        (["table1", "--teachers", "small/*"], f"{BUNDLED_NAME}.safetensors has 3 state and 2 action components"),
        (["theory", "--teachers", "given"], "--teachers has no effect on theory, which uses no data"),
    ],
)
def test_unsuitable_teachers_are_one_line(words, said, folder, capsys):
    assert main(["reproduce", *words, "--out", "run"]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "s so far" not in line]
    assert said in line
    assert not (folder / "run").exists()


def test_given_teachers_are_measured(folder):
    [source] = read_sources([BUNDLED_NAME], TeacherFiles.of("giv*/*.safetensors"))
    assert source.teacher == f"given/{BUNDLED_NAME}-v2.safetensors"
    at = Workplace(folder / "run", {BUNDLED_NAME: source}, QUICK)
    record = measure_cell(TeacherCell(BUNDLED_NAME), at)
    assert record["teacher"] == source.teacher
    assert record["teacher_sha256"] == source.teacher_hash == potstill.load_teacher(BUNDLED_NAME).content_hash
    at.records[TeacherCell(BUNDLED_NAME).name] = record
    found = measure_cell(BaselineCell(BUNDLED_NAME, "best-episodes", size=8), at)
    assert found["baseline"]["name"] == "best-episodes"
    pairs = potstill.load(at.place(BaselineCell(BUNDLED_NAME, "best-episodes", size=8)))
    assert (len(pairs), pairs.recipe) == (8, potstill.RECIPES["paper"])


def test_options_of_the_paper_are_refused_for_a_run(tmp_path):
    (tmp_path / "table1").mkdir()
    with pytest.raises(PotstillError, match=r"seeds= has no effect on .*table1, a run"):
        potstill.reproduce(tmp_path / "table1", seeds=2)


def test_a_dataset_without_an_environment_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"observations": rng.normal(size=(40, 3)), "actions": rng.uniform(-1, 1, (40, 1))}
    columns |= {"rewards": rng.normal(size=40), "terminations": np.arange(40) % 20 == 19}
    np.savez(tmp_path / "log.npz", truncations=np.zeros(40, bool), **columns)
    with pytest.raises(PotstillError, match=r"log\.npz: the data name no environment"):
        potstill.reproduce("table1", scale="small", datasets=(tmp_path / "log.npz",), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cell_that_fails_is_reported_and_only_it_is_repeated(sizes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    sizes(8, TOO_MANY)
    assert main(["reproduce", "table5", "--out", str(out)]) == 2
    said = capsys.readouterr()
    failure = said.err.strip().splitlines()[-1]
    assert f"2 cells failed, the first of them {BUNDLED_NAME}-paper-av-pbc-{TOO_MANY}-0: --size" in failure
    assert failure.endswith(f"repeat them with: potstill reproduce table5 --scale smoke --out {out} --resume")
    assert "reproduce 5/5 (100%), 0 s left" in said.out
    assert not any(line.startswith("distil") for line in said.out.splitlines())  # it may end the reproduction's line
    page = (out / "README.md").read_text()
    assert "## Cells that failed" in page
    assert "| 10,000,000 pairs | – |" in page
    assert not (out / "result.json").exists()

    sizes(8)
    runs = []
    monkeypatch.setattr(grid, "measure_cell", lambda cell, at: runs.append(cell))
    assert main(["reproduce", "table5", "--out", str(out), "--resume"]) == 0
    assert runs == []
    result = json.loads((out / "result.json").read_text())
    record = result["cells"][f"{BUNDLED_NAME}-paper-av-pbc-8-0-own"]
    score = result["targets"]["table5"]["sections"][0]["rows"][0]["scores"][BUNDLED_NAME]
    assert score["raw"] == pytest.approx(np.mean(record["returns"]))
    assert np.shape(record["returns"]) == (QUICK.students, QUICK.episodes)
    assert score["retention"] == pytest.approx(
        score["mean"] / result["targets"]["table5"]["datasets"][0]["teacher"]["mean"]
    )
    assert "8 pairs" in (out / "README.md").read_text()
    assert {"table5.csv", "table5.png", "cells"} <= {path.name for path in out.iterdir()}
    with pytest.raises(PotstillError, match="is finished: there is nothing to resume"):
        potstill.reproduce("table5", out=out, resume=True)

    sizes(16)
    monkeypatch.setattr(grid, "measure_cell", lambda cell, at: _interrupt())
    assert main(["reproduce", "table5", "--out", str(out), "--force"]) == 143
    stopped = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.endswith(f"resume with: potstill reproduce table5 --scale smoke --out {out} --resume")


def test_a_teacher_that_is_missing_is_trained_once(tmp_path, monkeypatch):
    """Without known reference returns, a random policy and the teacher define the scores 0 and 100."""
    rng, rows = np.random.default_rng(0), 400
    columns: dict[str, Any] = {"observations": rng.normal(size=(rows, 3)), "actions": rng.uniform(-2, 2, (rows, 1))}
    columns |= {"rewards": rng.normal(size=rows), "terminations": np.zeros(rows, bool)}
    file = tmp_path / "swing.npz"
    np.savez(file, env_id="Pendulum-v1", truncations=np.arange(1, rows + 1) % 100 == 0, **columns)

    def choose_settings(config, data, out):
        return TeachConfig(config.dataset, algorithm="bc", updates=3, fitted_updates=0, episodes=0, out=out)

    monkeypatch.setattr(measuring, "make_automatic_settings", choose_settings)
    [source] = read_sources([str(file)])
    assert (source.label, source.column, source.family, source.rows) == ("swing", None, "pendulum", rows - 4)
    first = measure_cell(TeacherCell("swing"), Workplace(tmp_path / "one", {"swing": source}, QUICK))
    assert first["teacher"] == str(tmp_path / "one" / "cells" / "swing-teacher")
    assert np.shape(first["returns"]) == (1, QUICK.teacher_episodes)
    monkeypatch.setattr(measuring, "teach_one", lambda *_: pytest.fail("it was trained before"))
    for folder in ("one", "two"):  # the same reproduction, and another one beside it
        again = measure_cell(TeacherCell("swing"), Workplace(tmp_path / folder, {"swing": source}, QUICK))
        assert again == first


def _interrupt():
    raise Interrupted("stopped", signal.SIGTERM)


def test_finished_cells_of_a_killed_run_are_used(sizes, tmp_path, monkeypatch):
    """A process can be killed after a cell's run folder is finished and before its record is written."""
    sizes(8)
    source = make_source(BUNDLED_NAME, content_hash="0")
    at = Workplace(tmp_path, {BUNDLED_NAME: source}, QUICK)
    at.records[TeacherCell(BUNDLED_NAME).name] = {"teacher": None}
    cell = DistillCell(BUNDLED_NAME, "equal-random", size=4)
    first = measure_cell(cell, at)
    monkeypatch.setattr(measuring, "run_distillation", lambda *_, **__: pytest.fail("it was finished"))
    assert measure_cell(cell, at) == first


def test_cloning_traces_and_postures_of_the_bundled_data(tmp_path):
    scale = dataclasses.replace(QUICK, clone_updates=30)
    at = Workplace(tmp_path, {BUNDLED_NAME: make_source(BUNDLED_NAME, content_hash="0")}, scale)
    at.records[TeacherCell(BUNDLED_NAME).name] = {"teacher": None}
    cell = DistillCell(BUNDLED_NAME, "potstill")
    small = dataclasses.replace(potstill.load(BUNDLED_NAME), metadata=_small_student())
    small.save(_make(at.place(cell)) / "distillate.safetensors")
    clone, trace = measure_cell(CloneCell(BUNDLED_NAME), at), measure_cell(TraceCell(cell), at)
    assert [step for step, _ in clone["losses"]] == list(range(31))
    assert clone["losses"][-1][1] < clone["losses"][0][1]
    assert np.shape(clone["returns"]) == (1, scale.episodes)
    assert trace["losses"][-1][1] < 0.5 * trace["losses"][0][1]  # the distance to the teacher, in held-out states
    assert trace["until"] == pytest.approx(trace["seconds"] * trace["converged"] / trace["updates"])
    pairs, data = measure_cell(PostureCell(BUNDLED_NAME, cell), at), measure_cell(PostureCell(BUNDLED_NAME), at)
    assert np.shape(pairs["angle"]) == (len(small), 2)
    assert np.mean(data["height"]) < 0.5


def _small_student():
    student = potstill.Recipe(width=64, layers=3, steps=60, momentum=0.9).to_metadata()
    return potstill.load(BUNDLED_NAME).metadata | {"student": student, "recipe": "custom"}


def _make(folder):
    folder.mkdir(parents=True)
    return folder


def test_a_tracker_that_covers_others_displays_them_in_its_own_line(capsys):
    with Tracker("reproduce", 2, covers=True) as outer, Tracker("distil", 30) as inner:
        inner.update(30)
        assert outer.describe().endswith("distil 30/30")
        outer.update(2)
    assert capsys.readouterr().out.count("\n") == 1
