"""The page of `potstill report`: its structure, what it says, names of strangers, colours, and a real browser."""

import json
import re

import numpy as np
import pytest
from conftest import random_teacher
from matplotlib.figure import Figure
from pages import BROWSER, Page, contrast, open_in_browser

import potstill
from potstill.cli import main
from potstill.errors import PotstillError
from potstill.evaluation.statistics import summarise
from potstill.reports.drawing import drawing, to_svg
from potstill.reports.markup import PALETTE, make_style
from potstill.reports.page import make_artefact_page
from potstill.reports.plots import make_figure, save_figure
from potstill.reports.runs import page as run_page
from potstill.reports.runs.record import read_record, read_records
from potstill.reports.runs.verdict import compare_runs, judge_run
from potstill.runtime.files import write_json
from potstill.runtime.run_folder import RunFolder

HOSTILE = '<img src=x onerror="alert(1)"></title><script>alert(2)</script> $\\frac{ & 日本 http://strangers.example/'
OFFLINE = {
    "imitation_error": {"mean": 0.2, "std": 0.01},
    "q_gap": {"mean": 0.05, "std": 0.01},
    "teacher_variance": 0.8,
    "states": 100,
    "students": 3,
}


def make_distillate(name, pairs=12):
    rng = np.random.default_rng(0)
    states, actions = rng.normal(size=(pairs, 3)).astype(np.float32), np.zeros((pairs, 2), np.float32)
    metadata = {"env_id": None, "dataset": {"name": name, "rows": 99, "sha256": "0"}, "command": f"potstill '{name}'"}
    metadata |= dict.fromkeys(("objective", "solver"), name) | {"recipe": "plain", "potstill": "0.1.0"}
    return potstill.Distillate(states, actions, random_teacher().policy.scaling, metadata)


def make_run(path, name="logs", *, played=True, level=60.0, points=3, **more):
    """A finished distillation, with returns or without an environment."""
    folder = RunFolder(path, "distill", {"dataset": name, "students": 3})
    make_distillate(name).save(folder.path / "distillate.safetensors")
    result = {"dataset": name, "env_id": "Hopper-v5" if played else None, "pairs": 12, "offline": OFFLINE}
    result |= dict.fromkeys(("teacher", "random", "student", "ensemble", "bc"))
    curve = [{"step": 10 * i, "held_out_loss": 1.0 / (i + 1), "seconds": 1.0 * i} for i in range(points)]
    if played:
        returns = lambda mean, policies: np.full((policies, 4), 32.5 * mean - 20.0) + np.arange(4.0)  # noqa: E731
        scores = {"teacher": (100.0, 1), "random": (5.0, 3), "student": (level, 3), "ensemble": (level, 1)}
        result |= {kind: summarise(returns(*each), "Hopper-v5") for kind, each in scores.items()}
        curve = [{**point, "student": 9.0 * i, "student_std": 1.0, "ensemble": 10.0} for i, point in enumerate(curve)]
    for step in range(20):
        folder.log(step=step, loss=1.0 / (step + 1))
    folder.finish(result | {"curve": curve, "warnings": [], "seconds": {"distilling": 2.0}} | more)
    return folder.run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of three runs, one of them with a hostile name, one without an environment."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [make_run(folder / "first"), make_run(folder / "second", HOSTILE, level=30.0)]
    figure = Figure(figsize=(4, 2))
    figure.savefig(folder / "first" / "states.png")
    runs.append(make_run(folder / "third", played=False))
    return potstill.report(runs, out=folder / "report")


@pytest.fixture(scope="module")
def text(report):
    return (report / "report.html").read_text()


def test_structure(text):
    page = Page(text)
    assert page.foreign == []
    assert page.unlabelled == []
    assert (page.tags.count("img"), page.tags.count("svg")) == (1, 2 + 2 * 4 + 3)
    assert len(page.ids) == len(set(page.ids))
    assert "width=device-width" in page.metas["viewport"]
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert len(text.encode()) < 3_000_000
    outside = re.sub(r"http://strangers\.example/", "", text)
    assert not re.search(r"https?://|@import|url\((?!#)", outside)
    assert set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text))
    used = {a or b for a, b in re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text)}
    assert used <= set(page.ids)


def test_names_of_strangers_are_text(text):
    page = Page(text)
    assert any(HOSTILE in part for part in page.text)
    assert "<script" not in text
    assert text.count("</title>") == 1 + page.tags.count("svg")


def test_words(report, text, capsys):
    page = " ".join(" ".join(Page(text).text).split())
    verdicts = report.result.verdicts
    assert [headline for headline, *_ in verdicts.values()] == [
        "12 pairs train a student to 60 % of its teacher: a normalised return of 60.0, the teacher's is 99.9.",
        "12 pairs train a student to 30 % of its teacher: a normalised return of 30.0, the teacher's is 99.9.",
        "3 students differ from the teacher on 100 held-out states by an imitation error of 0.2 ± 0.01 over students: "
        "25 % of that of the best constant action (0.8).",
    ]
    assert all(sentence in page for found in verdicts.values() for sentence in found)
    for words in (
        "potstill reproduce",
        "95 % interval",
        "± 1 std over students",
        "Versions",
        "seconds of distillation",
    ):
        assert words in page
    assert "No environment is known, so students cannot be rolled out" in page


def test_verdicts_by_hand(tmp_path):
    records = [read_record(make_run(tmp_path / f"{level}", level=level).path, f"{level}") for level in (60.0, 99.99)]
    assert any("the students are worse, beyond chance" in line for line in judge_run(records[0]))
    assert any("They overlap" in line for line in judge_run(records[1]))
    assert compare_runs(records) == [
        "logs: 99.99 has the highest interquartile mean, with a 95 % interval above all others."
    ]
    same = [read_record(make_run(tmp_path / name).path, name) for name in ("a", "b")]
    assert compare_runs(same) == [
        "logs: a has the highest interquartile mean, but its 95 % interval overlaps that of b."
    ]
    reference = {"reference": {"random": 0.0, "expert": 100.0, "source": None}}
    raw = read_record(make_run(tmp_path / "raw", **reference).path, "raw")
    assert "% of its teacher" not in judge_run(raw)[0]  # raw returns have no zero, so a share means nothing
    returns = np.array([[100.0] * 4, [3000.0] * 4])
    spread = read_record(make_run(tmp_path / "s", student=summarise(returns, "Hopper-v5")).path, "s")
    assert any("Students differ much: from 3.7 to 92.8" in line for line in judge_run(spread))


def test_an_evaluation_has_the_picture_of_its_pairs(tmp_path):
    pairs, studied = make_run(tmp_path / "pairs"), make_run(tmp_path / "studied")
    Figure(figsize=(4, 2)).savefig(pairs / "states.png")
    (studied / "distillate.safetensors").unlink()
    write_json(studied / "config.json", {"command": "evaluate", "distillate": str(pairs.path)})
    record = read_record(studied.path, "studied")
    assert (record.source, record.read_picture()) == (pairs.path, read_record(pairs.path, "pairs").read_picture())
    assert record.read_picture() is not None


def test_a_single_point_is_no_curve(tmp_path):
    single = potstill.report(make_run(tmp_path / "run", points=1), out=tmp_path / "report")
    page = Page((single / "report.html").read_text())
    assert not any("outer steps" in part for part in page.text)
    assert not list(single.path.glob("curve*"))
    assert (single / "comparison.png").is_file()


def test_damaged_runs(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    (run / "states.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    make_distillate("others", pairs=5).save(run / "distillate.safetensors")
    made = potstill.report(run, out=tmp_path / "report")
    assert "states.png" in (made / "report.html").read_text()
    odd = make_run(tmp_path / "odd", student={"mean": "<b>", "std": 1.0})
    before = (made / "report.html").read_bytes()
    assert main(["report", str(odd), "--out", str(made), "--force"]) == 2
    assert "result.json has no mean and standard deviation for 'student'" in capsys.readouterr().err
    assert (made / "report.html").read_bytes() == before


def test_pairs_of_another_run_are_not_shown(tmp_path):
    run = make_run(tmp_path / "run", sha256="0" * 64)
    assert read_record(run.path, "run").distillate is None


def test_runs_that_are_shown_with_others(tmp_path):
    """An audit or an explanation is found beside the run of the same pairs, or refused."""
    make_run(tmp_path / "run", sha256="1" * 64)
    for name, sha256 in (("own", "1" * 64), ("strange", "2" * 64)):
        with RunFolder(tmp_path / name, "audit", {}) as folder:
            folder.finish({"sha256": sha256})
    [record] = read_records([tmp_path / "run"])
    assert {command: run.path.name for command, run in record.added.items()} == {"audit": "own"}
    with pytest.raises(PotstillError, match="strange: belongs to other pairs"):
        read_records([tmp_path / "run", tmp_path / "strange"])
    with pytest.raises(PotstillError, match="own: give the run of potstill distill"):
        read_records([tmp_path / "own"])


def test_large_pages_leave_pictures_out(tmp_path, monkeypatch):
    records = read_records([make_run(tmp_path / "run", played=False).path])
    monkeypatch.setattr(run_page, "MOST_BYTES", 30_000)
    text = run_page.make_report_page(records)
    assert "the pictures of each run are not shown" in text
    assert "svg" not in Page(text).tags


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_have_contrast(scheme):
    """4.5 for text, 3 for lines and areas of pictures (WCAG 2.2, AA)."""
    colours = {name: pair[scheme] for name, pair in PALETTE.items()}
    for ink in ("ink", "soft"):
        for ground in ("page", "panel", "amber", "red"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for drawn in ("blue", "orange", "green", "grey", "violet", "edge", "fault"):
        assert contrast(colours[drawn], colours["page"]) >= 3.0, drawn
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    light, dark = make_style().split("@media screen and (prefers-color-scheme: dark)")
    shown = dark.partition("}")[0] if scheme else light
    assert all(f"--{name}: {colour}" in shown for name, colour in colours.items())


def test_drawings_take_the_colours_of_the_page(text):
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.S)
    assert not any(re.search(r": #[0-9a-f]{6}\b", drawing) for drawing in drawings)
    assert all("var(--ink)" in drawing for drawing in drawings)
    with drawing():
        figure, axis = make_figure()
        axis.plot([0, 1], color="#123456")
    with pytest.raises(PotstillError, match="#123456 of a picture is not in the palette"):
        to_svg(figure, "x", "a line")


def test_inspect_fits_phones():
    page = Page(make_artefact_page("x", "distillate", [("a", "b")]))
    assert "width=device-width" in page.metas["viewport"]


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_in_a_browser(report, tmp_path, width, dark):
    """No console errors, every picture is there, nothing is wider than the window, and nothing is fetched."""
    found, console = open_in_browser(report / "report.html", tmp_path, width=width, dark=dark)
    assert console == []
    assert {name: found[name] for name in ("errors", "broken", "empty", "pictures", "drawings", "resources")} == {
        "errors": [], "broken": 0, "empty": 0, "pictures": 1, "drawings": 13, "resources": 0
    }  # fmt: skip
    assert found["wide"] <= 0
    expected = PALETTE["page"][dark]
    assert found["page"] == f"rgb({', '.join(str(int(expected[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_the_result_is_beside_the_page(report):
    result = json.loads((report / "result.json").read_text())
    assert result["runs"][str(report.path.parent / "third")] == {
        "imitation_error": {"mean": 0.2, "std": 0.01},
        "q_gap": {"mean": 0.05, "std": 0.01},
    }


def test_a_full_disk_names_the_plot(tmp_path):
    (tmp_path / "curve.png.partial").symlink_to("/dev/full")
    with pytest.raises(PotstillError, match=r"cannot write .*curve.png: No space left on device"):
        save_figure(make_figure()[0], tmp_path / "curve.png")
    assert not list(tmp_path.iterdir())
    assert save_figure(make_figure()[0], tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
