"""Benchmarks: every experiment runs at toy size, compared programs compute the same, and tables match the results."""

import dataclasses
import gc
import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import grid, weights
from benchmarks.__main__ import main
from benchmarks.experiments import MODULES, load_experiment, load_results
from benchmarks.files import BUNDLED, BUNDLED_NAME, Workspace
from benchmarks.grid import Cell, Experiment, Results
from benchmarks.speed.harness import Comparison
from potstill.bundled import BUNDLED as BUNDLED_FOLDER
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.networks.policy import Policy
from potstill.runtime.executors.pool import PoolExecutor
from potstill.runtime.files import read_json
from potstill.students import training
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs


@pytest.fixture
def few_objects():
    """Hide the objects of earlier tests from the garbage collector, which runs before each timed call."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("name", MODULES)
def test_toy_runs(name, tmp_path):
    if name == "finetuning":
        pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")
    experiment, workspace = load_experiment(name), Workspace(tmp_path, toy=True)
    cells, results = experiment.toy or experiment.cells[:1], Results(tmp_path / "results.jsonl")
    assert grid.run(experiment, cells, workspace, results) == (len(cells), 0)
    assert all(experiment.fields <= record.keys() for record in results.read_records())
    assert grid.run(experiment, cells, workspace, results) == (0, 0)


@pytest.mark.parametrize("name", MODULES)
def test_committed_results_have_no_faults(name):
    experiment = load_experiment(name)
    records = load_results(name).group_by_cell(experiment)
    assert grid.find_faults(experiment, load_results(name)) == []
    assert all(grid.is_done(experiment, cell, records) for cell in experiment.cells)


def test_committed_weights_have_no_faults():
    assert weights.find_faults() == []


def test_cloning_results_match_the_bundled_ones():
    [record] = load_results("cloning").read_records()
    assert record["student"]["mean"] == read_json(BUNDLED_FOLDER / f"{BUNDLED_NAME}.bc.json")["bc"]["mean"]


def counted(calls, size=1):
    def measure(cell, workspace):
        calls.append(cell)
        return {"score": float(cell.seed)}

    cells = grid.make_product(("a", "b"), ("x",), (0, 1))
    return Experiment("counted", "counts its calls", cells, lambda cell: {"size": size}, measure, frozenset({"score"}))


def test_only_cells_without_a_record_of_their_inputs_are_run(tmp_path):
    calls: list[Any] = []
    results, workspace = Results(tmp_path / "counted.jsonl"), Workspace(tmp_path)
    experiment = counted(calls)
    assert grid.run(experiment, experiment.cells[:3], workspace, results) == (3, 0)
    assert grid.run(experiment, experiment.cells, workspace, results) == (1, 0)
    assert grid.find_faults(experiment, results) == []
    assert [json.loads(line)["method"] for line in results.path.read_text().splitlines()] == ["a", "a", "b", "b"]
    changed = counted(calls, size=2)
    assert len(grid.find_faults(changed, results)) == 4
    assert grid.run(changed, changed.cells, workspace, results) == (4, 0)
    assert len(results.read_records()) == 4


def test_a_cell_that_fails_stops_no_other(tmp_path, capsys):
    def measure(cell, workspace):
        return {"score": 1 / (cell.seed - 1)}

    cells = grid.make_product(("a",), ("x",), (0, 1, 2))
    experiment = Experiment("inverse", "fails once", cells, lambda cell: {}, measure, frozenset({"score"}))
    results = Results(tmp_path / "inverse.jsonl")
    assert grid.run(experiment, cells, Workspace(tmp_path), results) == (2, 1)
    assert [record["score"] for record in results.read_records()] == [-1, 1]
    assert "a, x, seed 1 failed: ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_cells_run_in_other_processes(tmp_path):
    theory, workspace = load_experiment("theory"), Workspace(tmp_path, toy=True)
    cells, files = theory.toy or theory.cells[:1], [Results(tmp_path / name) for name in ("here", "there")]
    assert grid.run(theory, cells, workspace, files[0]).failed == 0
    assert grid.run(theory, cells, workspace, files[1], PoolExecutor(workers=1)).failed == 0
    assert files[0].path.read_bytes() == files[1].path.read_bytes()


def test_faults_of_a_result_file_are_found(tmp_path):
    experiment, results = counted([]), Results(tmp_path / "counted.jsonl")
    grid.run(experiment, experiment.cells[:2], Workspace(tmp_path), results)
    lines = results.path.read_text().splitlines()
    for text, fault in (
        ("\n".join(reversed(lines)), "sorted"),
        (lines[0].replace('"score":0.0', '"other":0.0'), "score missing"),
        (lines[0].replace('"method":"a"', '"method":"c"'), "no such cell"),
        ("{", "unreadable"),
    ):
        results.path.write_text(text + "\n")
        assert any(fault in message for message in grid.find_faults(experiment, results)), fault


def test_missing_files_are_reported(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.__main__.DATASETS", tmp_path / "missing")
    assert main(["run", "distillates"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["run", "distillates", "--methods", "no-such-method"]) == 2


def test_list_counts_cells(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(MODULES)
    assert "197 of 197" in next(line for line in lines if line.startswith("distillates"))


def test_separate_processes_time_the_same_programs(tmp_path):
    reading = load_experiment("reading")
    comparison = sys.modules["benchmarks.speed.reading"].COMPARISON
    found = comparison._run_in_process(reading.cells[0], Workspace(tmp_path, toy=True), ["h5py", "load_dataset"], 2)
    assert {len(times["clock"]) for times in found.values()} == {2}


def test_ratios_are_medians_of_rounds():
    comparison = Comparison(__name__, lambda cell, workspace: {}, rounds=3, baseline="slow")
    times = [(1.0, 2.0), (1.0, 4.0), (3.0, 9.0)]
    rounds = [
        {name: {"clock": t, "processor": t, "peak_gb": 1.0} for name, t in zip(("fast", "slow"), pair, strict=True)}
        for pair in times
    ]
    found = comparison._summarise("fast", rounds)
    assert (found["clock"], found["times_faster"], found["times_as_long"]) == (1.0, 3.0, 1 / 3)


def test_pytorch_step_matches_potstill(x64):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.speed.exact_step import FULL, compute_torch_outer, draw_inputs

    states, actions, queries, targets = (x.astype(np.float64) for x in draw_inputs(FULL))
    start = training.initialise_network(jax.random.key(0), states.shape[1], actions.shape[1], RECIPES["paper"])

    def outer(pairs):
        untrained = training.initialise_training(start, RECIPES["paper"])
        trained = training.train_steps(untrained, None, pairs, RECIPES["paper"], 100).params
        return jnp.sum((training.compute_mean_actions(trained, jnp.asarray(queries), 3) - targets) ** 2, -1).mean()

    value, gradient = jax.value_and_grad(outer)(Pairs(jnp.asarray(states), jnp.asarray(actions)))
    give = lambda x: torch.from_numpy(np.array(x))  # noqa: E731
    params = [(give(layer["weight"]), give(layer["bias"])) for layer in start]
    pairs = (give(states).requires_grad_(), give(actions).requires_grad_())
    theirs, their_gradient = compute_torch_outer(params, *pairs, give(queries), give(targets), 100)
    assert float(value) == pytest.approx(theirs, rel=1e-8)
    for ours, other in zip(jax.tree.leaves(gradient), their_gradient, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), atol=1e-6 * float(jnp.abs(ours).max()))


def run_of(file, algorithm, estimate, score, seed=0):
    found = {"file": file, "method": algorithm, "seed": seed, "final": {"mean": score}}
    return found | ({} if estimate is None else {"estimate": estimate})


def test_auto_table():
    from benchmarks.pages.auto import make_auto_table

    runs = [
        run_of("hopper-medium", "rebrac", 3.0, 90.0),
        run_of("hopper-medium", "iql", 2.0, 80.0),
        run_of("hopper-medium", "bc", 9.0, 40.0),
        run_of("hopper-medium", "rebrac", 5.0, 20.0, seed=1),
        run_of("hopper-medium", "iql", -1.0, 50.0, seed=1),
        run_of("walker2d-medium", "rebrac", 1.0, 30.0, seed=2),
        run_of("walker2d-medium", "iql", 4.0, 40.0, seed=2),
        run_of("walker2d-medium", "iql", 8.0, 40.0, seed=0),
        run_of("halfcheetah-medium", "rebrac", 3.0, 44.0),
        run_of("halfcheetah-medium", "iql", None, 45.0),
        {"file": "halfcheetah-medium", "method": "rebrac", "seed": 1, "failed": "diverged"},
    ]
    lines = make_auto_table(runs).split("\n")
    assert lines[-6:] == [
        "| hopper-medium | 2: 80.0; -1: 50.0 | **3: 90.0**; **5: 20.0** | 1 of 2 | 15.0 |",
        "| walker2d-medium | **4: 40.0** | 1: 30.0 | 1 of 1 | 0.0 |",
        "| all | | | 2 of 3 | 10.0 |",
        "",
        "Always selecting the same algorithm has a regret of 3.3 for IQL, 13.3 for ReBRAC; selecting the highest "
        "estimate",
        "without a preference has one of 10.0. The preference for ReBRAC was chosen on this table.",
    ]
    assert make_auto_table([]) == "No file has two such runs."


def test_fit_difference():
    from benchmarks.pages.auto import fit_difference

    estimates = {10: 1.0, 20: 110.0, 30: 9.0}
    history = [{"update": update, "estimate": value} for update, value in estimates.items()]
    assert fit_difference({"history": history, "updates": 20, "estimate": 100.0}) == pytest.approx(0.1)


def test_late_gain():
    from benchmarks.pages.teachers import compute_late_gain

    history = [{"estimate": value} for value in (5.0, -2.0, -4.0, -3.0, -1.0, -5.0, -3.0)]
    assert compute_late_gain(history) == 0.5


def test_marks_are_filled_on_any_page(tmp_path):
    from benchmarks.pages.blocks import fill_page

    blocks = {"a": lambda: "![x](images/x.png)", "page-b": lambda: "two"}
    page = tmp_path / "deep" / "page.md"
    page.parent.mkdir()
    page.write_text(
        "<!-- a:start -->\nold\n<!-- a:end -->\n<!-- b:start -->\n<!-- b:end -->\n<!-- c:start -->\n<!-- c:end -->"
    )
    filled = fill_page(page, blocks, tmp_path / "images")
    assert "![x](../images/x.png)" in filled
    assert "<!-- b:start -->\ntwo\n<!-- b:end -->" in filled
    assert filled.endswith("<!-- c:start -->\n<!-- c:end -->")


def test_options_that_change_the_pairs():
    from benchmarks.pages.distillates import describe_options

    assert describe_options("potstill distill a.hdf5 --teacher t.safetensors --size 64 --seed 1") == "--size 64"
    assert describe_options("potstill distill a.hdf5 --teacher t.safetensors --curve-points 1") == "none"


def test_action_noise_has_the_given_size_and_stays_within_bounds():
    from benchmarks.experiments.bounds import add_action_noise

    low, high = np.array([-2.0, -2.0]), np.array([2.0, 6.0])
    scaling = Scaling(Normaliser.identity(3), ActionBounds(low, high))
    policy = Policy([{"weight": np.zeros((3, 2)), "bias": np.zeros(2)}], scaling)
    found = add_action_noise(policy, 0.1)(np.zeros((20_000, 3), np.float32))
    np.testing.assert_allclose(found.mean(axis=0), [0.0, 2.0], atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), [0.2, 0.4], rtol=0.03)
    far = add_action_noise(policy, 4.0)(np.zeros((100, 3), np.float32))
    assert (far.min(axis=0) == low).all()
    assert (far.max(axis=0) == high).all()


def test_students_trained_on_all_rows_approach_the_teacher(data, teacher):
    from benchmarks.experiments.bounds import label_states
    from benchmarks.experiments.cloning import train_clone

    rows = label_states(data, teacher, np.arange(len(data)))
    recipe = dataclasses.replace(RECIPES["plain"], width=32)
    params = train_clone(jax.random.key(0), rows, recipe, 500, 32, True)
    error = jnp.sum((training.compute_mean_actions(params, rows.states, 2) - rows.actions) ** 2, -1).mean()
    spread = jnp.sum((rows.actions - rows.actions.mean(axis=0)) ** 2, -1).mean()
    assert error < 0.2 * spread


def test_each_kind_of_experiment_has_a_bundled_cell():
    for name in ("demo", "distillates", "teachers", "devices"):
        experiment = load_experiment(name)
        assert any(cell.file == BUNDLED for cell in (*experiment.cells, *experiment.extra)), name
    assert Cell("rebrac", BUNDLED) in load_experiment("teachers").extra
