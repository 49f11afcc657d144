"""Run folders, and the runs that commands return."""

import copy
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import potstill
from potstill.config import ConvertConfig
from potstill.config.settings import make_config
from potstill.errors import PotstillError
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import to_json
from potstill.runtime.html import make_html_table
from potstill.runtime.run import Record, Run, find_headlines
from potstill.runtime.run_folder import RunFolder, check_out


@dataclass(frozen=True)
class Settings:
    students: int = 2
    out: Path | None = None
    force: bool = False


RESULT = {
    "dataset": "<b>logs</b>",
    "pairs": 64,
    "student": {"mean": 79.168, "std": 24.887, "returns": [[1.0, 2.0]]},
    "offline": {"q_gap": {"mean": 0.0051, "std": 0.0}, "states": 10},
    "curve": [{"step": 0, "loss": 0.5}, {"step": 10, "loss": 0.25}],
    "in words": "64 pairs",
    "sha256": "0" * 64,
}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run", "distill", Settings())
    folder.log(step=0, loss=np.float32(0.5))
    folder.log(step=10, loss=0.25)
    folder.finish(RESULT)
    return folder.run


def test_a_run_is_a_path(run, tmp_path):
    assert Path(run) == run.path == tmp_path / "run"
    assert str(run) == f"{run}" == os.fspath(run) == str(tmp_path / "run")
    assert (run / "result.json").is_file()
    with open(run / "config.json") as file:
        assert json.load(file)["command"] == "distill"
    assert run == Run(str(run))
    assert run == Run(run)
    assert len({run, Run(str(run))}) == 1
    assert run != run.path
    assert to_json({"run": run}) == {"run": str(run)}


def test_a_run_reads_its_files(run):
    assert run.command == "distill"
    assert run.config == {"command": "distill", "students": 2, "out": None, "force": False}
    assert run.metrics == [{"step": 0, "loss": 0.5}, {"step": 10, "loss": 0.25}]
    assert run.result.student.mean == run.result["student"]["mean"] == 79.168
    assert run.result.curve[1].loss == 0.25
    assert run.result["in words"] == "64 pairs"
    (run / "result.json").write_text('{"pairs": 8}')
    assert run.result.pairs == 8


def test_a_result_is_also_a_dictionary(run):
    result = run.result
    assert list(result) == list(RESULT)
    assert result == RESULT
    assert result.student == RESULT["student"]
    assert result.to_dict() == RESULT
    assert type(result.to_dict()["offline"]["q_gap"]) is dict
    assert result.get("teacher") is None
    assert json.loads(json.dumps(result.to_dict())) == RESULT
    assert to_json(result) == RESULT


def test_a_result_completes_and_corrects_names(run):
    assert {"student", "offline", "to_dict"} <= set(dir(run.result))
    assert "in words" not in dir(run.result)
    with pytest.raises(AttributeError, match="unknown key 'studnt': did you mean 'student'"):
        _ = run.result.studnt
    assert not hasattr(run.result, "_repr_mimebundle_")
    with pytest.raises(KeyError):
        run.result["studnt"]


def test_a_result_is_read_only_and_copies(run):
    with pytest.raises(AttributeError):
        run.result.pairs = 3
    for twin in (copy.deepcopy(run.result), pickle.loads(pickle.dumps(run.result))):
        assert twin == RESULT


def test_a_run_shows_its_numbers(run):
    assert repr(run) == f"Run({str(run)!r}, distill, student 79.17 ± 24.89, offline q_gap 0.0051 ± 0)"
    page = run._repr_html_()
    assert "79.17 ± 24.89" in page
    assert "&lt;b&gt;logs&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "0000" not in page
    assert "\n" not in repr(run)
    assert len(repr(run.result)) < 500
    assert "<b>" not in run.result._repr_html_()


def test_a_run_without_scores_shows_what_it_has(tmp_path):
    folder = RunFolder(tmp_path / "run", "convert", {})
    assert repr(folder.run) == f"Run({str(tmp_path / 'run')!r}, convert, not finished)"
    assert "not finished" in folder.run._repr_html_()
    folder.finish({"rows": 300, "episodes": 3, "sources": [{}]})
    assert repr(folder.run) == f"Run({str(tmp_path / 'run')!r}, convert, rows 300, episodes 3)"
    assert folder.run.metrics == []


def test_folder_without_a_run(tmp_path):
    run = Run(tmp_path)
    assert repr(run) == f"Run({str(tmp_path)!r}, not a run folder, not finished)"
    assert run.metrics == []
    with pytest.raises(PotstillError, match=r"config\.json does not exist"):
        _ = run.config
    with pytest.raises(PotstillError, match=r"result\.json does not exist"):
        _ = run.result


def test_a_broken_last_line_of_metrics_is_dropped(run):
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 2')
    assert [line["step"] for line in run.metrics] == [0, 10]
    with open(run / "metrics.jsonl", "a") as file:
        file.write('\n{"step": 3}\n')
    with pytest.raises(PotstillError, match=r"metrics\.jsonl: line 3 is not a JSON object"):
        _ = run.metrics


def test_headlines_by_hand():
    assert find_headlines({"teacher": None, "a": {"mean": "x", "std": 1.0}, "b": {"mean": 1, "std": 2}}) == {
        "b": "1 ± 2"
    }
    assert find_headlines({"runs": {"one": {"student": {"mean": 3.0, "std": 0.5}}}}) == {"one student": "3 ± 0.5"}


def test_records_of_any_json():
    record = Record({"items": 3, "a": [1, [2, {"b": None}]]})
    assert record["items"] == 3
    assert record.a[1][1].b is None


def test_tables_escape_all_text():
    page = make_html_table("<i>", {"<script>": "a & b", "rate": 0.123456, "none": None})
    assert "<i>" not in page
    assert "<script>" not in page
    assert "a &amp; b" in page
    assert "0.1235" in page


def test_report_takes_one_run_or_several(tmp_path, capsys):
    runs = []
    for name in ("first", "second"):
        folder = RunFolder(tmp_path / name, "evaluate", {})
        folder.finish(
            {"env_id": "Hopper-v5", "pairs": 8, "student": summarise(np.array([[100.0, 300.0]]), "Hopper-v5")}
        )
        runs.append(folder.run)
    first, second = runs
    ways: list[tuple[tuple[Any, ...], int]] = [
        ((str(first),), 1),
        ((first,), 1),
        ((first.path, second), 2),
        (([first, str(second)],), 2),
    ]
    for arguments, count in ways:
        made = potstill.report(*arguments, out=tmp_path / "report", force=True)
        assert len(made.result.runs) == count
        assert made.command == "report"
        assert made.result.runs[str(first)].student.mean == pytest.approx(first.result.student.mean)
        assert (made / "comparison.png").is_file()
    assert capsys.readouterr().out.count(": Hopper-v5") == sum(count for _, count in ways)
    with pytest.raises(PotstillError, match="no runs given"):
        potstill.report()
    with pytest.raises(PotstillError, match="has no scores"):
        potstill.report(made, out=tmp_path / "other")


def test_commands_take_runs_for_paths(run):
    config = make_config(ConvertConfig, (run,), {"out": run})
    assert (config.datasets, config.out) == (run.path, run.path)
    assert make_config(ConvertConfig, ((run, "logs.npz"),), {}).datasets == (run.path, "logs.npz")
    assert make_config(ConvertConfig, ("logs.npz",), {}).datasets == "logs.npz"


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl"])
def test_a_changed_record_of_a_finished_run_is_refused(tmp_path, name):
    path = tmp_path / "run"
    with RunFolder(path, "teach", {"seed": 1}) as folder:
        folder.log(step=1)
        folder.finish({"mean": 10})
    run = folder.run
    assert (run.config["seed"], run.result.mean, run.metrics) == (1, 10, [{"step": 1}])
    (path / name).write_text((path / name).read_text().replace("1", "3"))
    with pytest.raises(PotstillError, match=f"{name}: damaged or changed"):
        _ = (run.config, run.result, run.metrics)


@pytest.mark.parametrize("finished", [True, False])
def test_a_replacement_that_was_killed_before_it_wrote_anything_can_be_resumed(tmp_path, finished):
    path = tmp_path / "run"
    RunFolder(path, "teach", Settings()).finish({"seed": 1})
    if not finished:
        (path / "result.json").unlink()
    other = Settings(students=3)
    with pytest.raises(PotstillError, match=r"nothing to resume|has students 2, not 3"):
        check_out(path, "teach", other, resume=True)
    assert not check_out(path, "teach", other, force=True, resume=True)
    with RunFolder(path, "teach", other, force=True, resume=True) as folder:
        assert not folder.resumed
        assert json.loads((path / "config.json").read_text())["students"] == 2
        folder.finish({"seed": 2})
    assert json.loads((path / "config.json").read_text())["students"] == 3
    assert json.loads((path / "result.json").read_text()) == {"seed": 2}
