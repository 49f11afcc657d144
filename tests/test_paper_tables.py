"""Cells, tables, figures and sentences of the paper, from known numbers."""

import csv
import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from paper import TINY, make_source, make_workplace

from potstill.commands.paper.cells import BaselineCell, CloneCell, DistillCell, StudentsCell, TeacherCell, order_cells
from potstill.commands.paper.convergence import assemble_convergence
from potstill.commands.paper.figures import assemble_curves, assemble_postures
from potstill.commands.paper.methods import METHODS, make_distill_config
from potstill.commands.paper.plans import SCORE_TABLES
from potstill.commands.paper.running import write_outcomes
from potstill.commands.paper.scales import SCALES
from potstill.commands.paper.tables import assemble_table
from potstill.commands.paper.targets import TARGETS, select_targets
from potstill.config.presets import DIFFERENCES, PRESETS
from potstill.distillation.baselines import BASELINES
from potstill.reports.paper import markdown, numbers, sentences
from potstill.reports.paper.csv_files import list_scores
from potstill.reports.paper.schema import Row, ScoreTable

HOPPER, EXPERT = "hopper-medium-replay", "hopper-medium-expert"
SCORES = {"random": 10.0, "dbc": 20.0, "pbc": 30.0, "av-pbc": 40.9, "q-gap": 50.0, "potstill": 60.0}


def known_score(cell):
    """The teacher has 80, cloning 25, and each method its own score, halved for 16 pairs and other students."""
    if isinstance(cell, TeacherCell):
        return 80.0
    if isinstance(cell, CloneCell):
        return 25.0
    of = getattr(cell, "of", cell)
    if isinstance(of, BaselineCell):
        return 35.0 if of.baseline == "medoids" else 15.0
    if not isinstance(of, DistillCell):
        return 0.0
    score = SCORES[of.method.removeprefix("equal-").removeprefix("paper-").removeprefix("student-")]
    other = getattr(cell, "student", "own") not in ("own", "paper")
    return score / 2.0 if of.size == 16 or other else score


@pytest.fixture
def at(tmp_path):
    return make_workplace(tmp_path, known_score)


def test_the_numbers_of_the_paper_have_the_averages_that_it_prints():
    for name, row in numbers.TABLE_1.items():
        wanted = 76.3 if name == "teacher" else numbers.AVERAGES_1[name]  # the paper prints 70.1
        assert np.mean(row) == pytest.approx(wanted, abs=0.051)
    assert np.mean(numbers.TABLE_3["av-pbc"]) == pytest.approx(48.1, abs=0.05)
    for column, score in numbers.TABLE_5[256].items():
        assert score == numbers.find_number(numbers.TABLE_1["av-pbc"], column)
    assert len(numbers.COLUMNS) == len(numbers.STEPS_4) == len(numbers.ROWS_4) == 9


@pytest.mark.parametrize(
    ("name", "env_id", "level", "column"),
    [
        ("hopper-medium-replay", None, None, HOPPER),
        ("mujoco/walker2d/medium-v0", None, None, "walker2d-medium"),
        ("HalfCheetah_medium_expert-v2", None, None, "halfcheetah-medium-expert"),
        ("mine", "Hopper-v4", "medium", "hopper-medium"),
        ("hopper-full-replay-v2", "Hopper-v4", "replay", None),
        ("pendulum", None, None, None),
    ],
)
def test_the_column_of_a_dataset_is_known_from_its_name_or_its_card(name, env_id, level, column):
    assert numbers.find_column(name, env_id, level) == column


def test_tables_share_cells_and_a_cell_follows_what_it_needs():
    labels = ["a", "b"]
    every = {name: target.list_cells(labels, TINY) for name, target in TARGETS.items()}
    ordered = order_cells([cell for cells in every.values() for cell in cells])
    assert len(set(ordered)) == len(ordered) == len({cell.name for cell in ordered})
    place = {cell: i for i, cell in enumerate(ordered)}
    assert all(place[needed] < place[cell] for cell in ordered for needed in cell.needs)
    assert [label for label, _ in itertools.groupby(ordered, key=lambda cell: cell.dataset)] == ["a", "b", ""]
    shared = StudentsCell(DistillCell("a", "paper-av-pbc", 256, 1))
    assert all(shared in every[name] for name in ("table1", "table2", "table3", "table4"))
    assert order_cells(every["figure1"])[0] == TeacherCell("a")
    assert all(cell.estimate_cost(TINY) > 0.0 for cell in ordered)


def test_methods_as_in_the_paper_are_the_presets():
    for name, preset in {"paper-dbc": "paper-dbc", "paper-pbc": "paper-pbc", "paper-av-pbc": "paper"}.items():
        config = make_distill_config(METHODS[name], SCALES["full"], "hopper", "x")
        assert {option: getattr(config, option) for option in PRESETS[preset]} == PRESETS[preset]
    assert make_distill_config(METHODS["paper-dbc"], SCALES["full"], "halfcheetah", "x").steps == 200_000
    assert make_distill_config(METHODS["paper-dbc"], SCALES["small"], "halfcheetah", "x").steps == 4_000


def test_the_documentation_lists_what_differs_from_the_paper():
    page = " ".join((Path(__file__).parents[1] / "docs/how-to/reproduce.md").read_text().split())
    assert all(f"- {text}" in page for text in DIFFERENCES[:-1])
    assert "number of steps is that for Hopper" in DIFFERENCES[-1]  # a reproduction has those of each environment
    assert all(f"`{name}`" in page for name in [*TARGETS, "all"])


def test_objectives_under_equal_conditions_differ_in_nothing_else():
    configs = [
        make_distill_config(method, SCALES["full"], "hopper", "x")
        for method in METHODS.values()
        if method.group == "equal" and not method.is_random
    ]
    assert {config.objective for config in configs} == {"dbc", "pbc", "av-pbc", "q-gap"}
    for name in ("state_noise", "initial", "initial_actions", "solver", "recipe", "steps", "batch", "optimiser"):
        assert len({getattr(config, name) for config in configs}) == 1
    assert make_distill_config(METHODS["potstill"], SCALES["full"], "hopper", "x").steps is None


def find_row(table: ScoreTable, key: str) -> Row:
    row = table.find_row(key)
    assert row is not None
    return row


def test_table_1_from_known_returns(at):
    table = assemble_table(SCORE_TABLES["table1"](TINY), at)
    score, cloned, chance = (find_row(table, key).scores[HOPPER] for key in ("paper-av-pbc", "bc", "paper-random"))
    wanted = [40.9, 40.9, 40.9, 1310.85, 40.9 / 80.0, 2, 2, 2, 40.9 * 18 / 20]
    assert score is not None
    assert list(dataclasses.asdict(score).values()) == pytest.approx(wanted, abs=0.01)
    assert chance is not None
    assert chance.seeds == 3
    teacher = table.datasets[0].teacher
    assert teacher is not None
    assert teacher.mean == pytest.approx(80.0)
    assert cloned is not None
    assert cloned.students == 1
    assert find_row(table, "equal-pbc").paper == {}
    text = markdown.format_score_table(table)
    assert "| Av-PBC | 40.9 [40.9, 40.9] / 40.9 |" in text
    assert "| DBC | 20.0 [20.0, 20.0] |\n" in text
    assert "| Av-PBC (as in the paper) | 1,311 | 0.51 [0.51, 0.51] | 0.51 | 0.51 | 0.51 |" in text
    assert "Mean over the last five points of the curves: DBC on hopper-medium-replay 18.0;" in text
    lines = list(csv.DictReader(io.StringIO(list_scores(table))))
    line = next(line for line in lines if (line["row"], line["dataset"]) == ("paper-pbc", HOPPER))
    assert (float(line["mean"]), line["paper"], line["seeds"]) == (pytest.approx(30.0), "35.6", "2")
    assert [line["dataset"] for line in lines].count("all") == len(lines) // 2


def test_sentences_say_where_numbers_agree_with_the_paper(at):
    table = assemble_table(SCORE_TABLES["table1"](TINY), at)
    assert sentences.compare_numbers(table)[0] == (
        "As in the paper, hopper-medium-replay: ours are above the paper's for DBC (20.0, paper 12.1); ours are below "
        "the paper's for random selection (10.0, paper 19.1), PBC (30.0, paper 35.6); the paper's number is inside our "
        "interval for Av-PBC (40.9, paper 40.9)."
    )
    assert sentences.compare_order(table)[1] == (
        "As in the paper, hopper-medium-replay: the paper has the order DBC 12.1 < random selection 19.1 < PBC 35.6 < "
        "Av-PBC 40.9. Ours have another order: random selection 10.0 < DBC 20.0 < PBC 30.0 < Av-PBC 40.9."
    )
    assert sentences.compare_cloning(table) == [
        "Distillate against cloning all rows, hopper-medium-replay: in the paper, Av-PBC is above BC (40.9 and 22.9); "
        "ours: Av-PBC is above BC (40.9 and 25.0; the intervals do not overlap); potstill is above BC (60.0 and 25.0; "
        "the intervals do not overlap)."
    ]
    assert sentences.compare_levels(table)[0].startswith("Medium-replay against medium-expert: the paper's students")


def test_medium_replay_against_medium_expert_needs_both(tmp_path):
    levels = {HOPPER: 0.0, EXPERT: 10.0}
    at = make_workplace(tmp_path, lambda cell: known_score(cell) - levels.get(cell.dataset, 0.0), labels=tuple(levels))
    table = assemble_table(SCORE_TABLES["table1"](TINY), at)
    assert sentences.compare_levels(table) == [
        "Medium-replay against medium-expert, hopper: in the paper, Av-PBC has 40.9 and 38.7; ours: Av-PBC on "
        "medium-replay is above medium-expert (40.9 and 30.9; the intervals do not overlap); potstill on medium-replay "
        "is above medium-expert (60.0 and 50.0; the intervals do not overlap)."
    ]
    assert "the mean of 2 datasets: the paper has the order" in sentences.compare_order(table)[0]
    sizes = assemble_table(SCORE_TABLES["table5"](TINY), at)
    assert [one.label for one in sizes.datasets] == [HOPPER]  # as in the paper
    assert list(find_row(sizes, "16").scores) == [HOPPER]
    ratios = np.array([40.9 / 80.0, 30.9 / 70.0])
    kept = find_row(table, "paper-av-pbc").retention
    assert kept is not None
    assert kept["mean_of_ratios"] == pytest.approx(ratios.mean())
    assert kept["ratio_of_means"] == pytest.approx(71.8 / 150.0)
    text = markdown.format_score_table(table)
    assert f"| Av-PBC | 40.9 [40.9, 40.9] / 40.9 | 30.9 [30.9, 30.9] / 38.7 | 35.9 / {(40.9 + 38.7) / 2:.1f} |" in text


def test_other_tables_from_known_returns(at):
    students = assemble_table(SCORE_TABLES["table2"](TINY), at)
    assert "| 3 layers | 20.4 [20.4, 20.4] | – / 41.0 † |" in markdown.format_score_table(students)
    said = sentences.compare_students(students)
    assert said[0] == "The paper's other students have 0.83 to 1.07 of the score of its default student, on average."
    assert said[1].startswith("Ours, Av-PBC sets of hopper-medium-replay: 0.50 (")
    ensembles = assemble_table(SCORE_TABLES["table3"](TINY), at)
    assert "| Av-PBC | 45.9 [45.9, 45.9] / 39.7 | – / 48.1 † |" in markdown.format_score_table(ensembles)
    assert sentences.compare_ensembles(ensembles)[1] == (
        "Ours, hopper-medium-replay: DBC +5.0, PBC +5.0, Av-PBC +5.0, potstill +5.0."
    )
    sizes = assemble_table(SCORE_TABLES["table5"](TINY), at)
    assert "| 16 pairs | 20.4 [20.4, 20.4] / 27.3 |" in markdown.format_score_table(sizes)
    assert sentences.compare_sizes(sizes)[1].endswith("hopper-medium-replay: every step up in N raises it.")


def test_baselines_are_beside_potstills_pairs_for_the_same_student(at):
    table = assemble_table(SCORE_TABLES["baselines"](TINY), at)
    text = markdown.format_score_table(table)
    assert "| k-means medoids, teacher's actions | 35.0 [35.0, 35.0] |" in text
    assert all(f"| {label} |" in text for label in ("SDR", "SDW", "HaDES (plays in the environment)"))
    assert sentences.compare_baselines(table) == [
        f"{HOPPER}: the highest of {len(BASELINES)} baselines is k-means medoids, teacher's actions; potstill is above "
        "it (60.0 and 35.0; the intervals do not overlap)."
    ]
    assert [*select_targets("all")] == [name for name in TARGETS if name != "baselines"]
    assert [*select_targets("baselines")] == ["baselines"]


def test_table_4_and_the_figures_from_known_records(at):
    lines = {line.key: line for line in assemble_convergence(at)}
    score = lines["bc"].score
    assert score is not None
    assert (lines["bc"].steps, lines["bc"].paper, score.mean) == (500.0, 80_000, pytest.approx(25.0))
    assert (lines["paper-av-pbc"].steps, lines["paper-av-pbc"].paper, lines["potstill"].paper) == (10.0, 100, None)
    said = sentences.compare_convergence(list(lines.values()))
    assert said[0] == (
        "hopper-medium-replay: cloning all rows takes 500 steps and 0.2 s to converge, a student of Av-PBC, 256 pairs "
        "10 steps and 0.2 s: 50.0 times as many steps (paper: 800 times)."
    )
    curves = {curve.key: curve for curve in assemble_curves(at)}
    assert len(curves) == 8
    assert curves["paper-pbc"].seeds[1][-1] == pytest.approx(30.0)
    assert curves["paper-pbc"].steps == [float(step) for step in range(1, 21)]
    assert "Av-PBC is highest at the end (in the paper: Av-PBC)." in sentences.compare_curves(list(curves.values()))[0]
    postures = {(line.key, line.quantity): line for line in assemble_postures(at)}
    line = postures["paper-av-pbc", "height"]
    assert line.states == 2
    assert line.before == pytest.approx((0.2,) * 3)
    assert line.change == pytest.approx((-0.1,) * 3)
    assert line.excess == pytest.approx((0.1,) * 3)
    said = sentences.compare_postures(list(postures.values()))
    assert said[1] == (
        "hopper-medium-replay, pairs of Av-PBC: the error of the torso's angle is larger than that of the data's "
        "states, and one step lowers it: both parts of the claim hold for the angle."
    )


def test_theorems_are_compared_by_their_residuals_and_slacks(at):
    outcome = TARGETS["theory"].assemble(at)
    assert outcome.said[0].startswith("Theorem 2 holds on 10 MDPs: its largest residual is ")
    assert [text.split(" (")[0] for text in outcome.said[1:3]] == [
        "Theorem 1 is never violated",
        "Corollary 1 is never violated",
    ]
    assert outcome.text.count("\n| 0.") == 5
    lines = list(csv.DictReader(io.StringIO(outcome.csv)))
    assert sum(line["quantity"] == "residual" for line in lines) == 5
    broken = at.records["theory-0.9"] | {"residual": 1e-6}
    at.records["theory-0.9"] = broken
    assert TARGETS["theory"].assemble(at).said[0].startswith("Theorem 2 does not hold on 10 MDPs")


def test_curves_with_different_steps_are_compared_at_common_ones(at):
    short = DistillCell(HOPPER, "potstill", seed=1).name
    at.records[short] = {"curve": at.records[short]["curve"][:10]}
    curve = next(curve for curve in assemble_curves(at) if curve.key == "potstill")
    assert curve.steps[-1] == 10.0
    assert [scores[-1] for scores in curve.seeds] == pytest.approx([30.0, 30.0])


def test_a_page_lacks_what_failed_and_has_the_rest(tmp_path):
    lost = [f"{HOPPER}-paper-pbc-256-{seed}-own" for seed in range(2)]
    at = make_workplace(tmp_path, known_score, skip=lost)
    outcomes = {name: target.assemble(at) for name, target in TARGETS.items()}
    outcomes = {name: outcome for name, outcome in outcomes.items() if name != "figure2"}  # it renders states
    page = write_outcomes(tmp_path, outcomes, at, {lost[0]: "diverged"}).read_text()
    assert f"- {lost[0]}: diverged" in page
    assert "| PBC | – / 35.6 |" in page
    assert "| Av-PBC | 40.9 [40.9, 40.9] / 40.9 |" in page
    for name in outcomes:
        assert (tmp_path / f"{name}.csv").exists()
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert f"]({name}.png)" in page


def test_a_dataset_that_the_paper_does_not_have_is_shown_without_its_numbers(tmp_path):
    at = make_workplace(tmp_path, known_score)
    at.sources[HOPPER] = make_source(HOPPER, column=None, content_hash="0")
    table = assemble_table(SCORE_TABLES["table1"](TINY), at)
    assert "| Av-PBC | 40.9 [40.9, 40.9] |" in markdown.format_score_table(table)
    assert sentences.compare_numbers(table) == sentences.compare_order(table) == []
    assert "the paper has no such dataset; ours: Av-PBC is above BC" in sentences.compare_cloning(table)[0]
