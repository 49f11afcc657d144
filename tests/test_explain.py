"""`potstill explain`: leave-one-out against real refits, neighbours, maps, and the command."""

import csv
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL_STUDENT
from pages import Page

import potstill
from potstill.cli import main
from potstill.commands.explain import choose_solver
from potstill.distillation import DrawnKernelDescent, KernelDescent, KernelInterpolation, KernelRidge
from potstill.distillation.solvers.drawn_kernel import drawn_kernel
from potstill.distillation.solvers.kernel_descent import tangent_kernel
from potstill.errors import PotstillError
from potstill.evaluation.explanation import compare, find_episodes
from potstill.evaluation.influence import find_method, fit_without_each, leave_each_out, measure_influence
from potstill.evaluation.maps import Plane, find_neighbours, place_by_neighbours
from potstill.students import RECIPES, Pairs

RECIPE = dataclasses.replace(RECIPES["plain"], steps=100, width=64)
KEY = jax.random.key(3)


def make_pairs(count=12, *, weighted=False, discrete=False, seed=0):
    rng = np.random.default_rng(seed)
    actions = rng.dirichlet(np.ones(3), count) if discrete else rng.uniform(-0.9, 0.9, (count, 2))
    weights = rng.uniform(0.5, 1.5, count) if weighted else None
    arrays = rng.normal(size=(count, 4)), actions, weights
    inputs, targets, shares = (None if x is None else jnp.asarray(x, jnp.float32) for x in arrays)
    assert inputs is not None
    assert targets is not None
    return Pairs(inputs, targets, shares)


STATES = jnp.asarray(np.random.default_rng(1).normal(size=(20, 4)), jnp.float32)


def solve_by_hand(kernel, elsewhere, ridge, targets, j):
    """The function without pair j, with the ridge of all pairs: the linear system of the other pairs."""
    kept = np.delete(np.arange(len(kernel)), j)
    kernel, elsewhere, ridge, targets = (np.asarray(x, np.float64) for x in (kernel, elsewhere, ridge, targets))
    coefficients = np.linalg.solve(kernel[np.ix_(kept, kept)] + np.diag(ridge[kept]), targets[kept])
    return np.tanh(elsewhere[:, kept] @ coefficients)


@pytest.mark.parametrize("weighted", [False, True])
def test_closed_form_of_ridge_is_a_refit(weighted):
    pairs, solver = make_pairs(weighted=weighted), KernelRidge(RECIPE, penalty=0.01)
    kernel, elsewhere = (tangent_kernel(x, pairs.states, RECIPE) for x in (pairs.states, STATES))
    weights = np.ones(12) if pairs.weights is None else np.asarray(pairs.weights)
    level = 0.01 * (weights @ np.diag(kernel)) / weights.sum()
    ridge = level / (weights * weights.sum() / np.sum(weights**2))
    found = leave_each_out(solver, pairs, STATES, KEY)
    for j in range(12):
        expected = solve_by_hand(kernel, elsewhere, ridge, np.arctanh(0.99 * np.asarray(pairs.actions)), j)
        np.testing.assert_allclose(found[j], expected, atol=2e-4)
    real = fit_without_each(solver, pairs, STATES, KEY)  # its ridge is that of the other pairs
    all_pairs = np.asarray(solver(pairs, STATES, KEY))
    changes = [measure_influence(each, all_pairs, all_pairs)[0] for each in (found, real)]
    assert np.corrcoef(changes)[0, 1] > 0.999
    np.testing.assert_allclose(found, real, atol=0.03)


def test_closed_form_of_interpolation_is_a_refit():
    pairs, solver = make_pairs(weighted=True), KernelInterpolation(RECIPE, networks=2, ridge=0.01)
    both = drawn_kernel(KEY, STATES, pairs.states, RECIPE, 2)
    kernel = 0.5 * (both[:12] + both[:12].T)
    targets = np.arctanh(np.clip(np.asarray(pairs.actions), -0.97, 0.97))
    found = leave_each_out(solver, pairs, STATES, KEY)
    for j in (0, 7):
        expected = solve_by_hand(kernel, both[12:], solver.make_ridge(kernel, pairs), targets, j)
        np.testing.assert_allclose(found[j], expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["plain", "weighted", "discrete"])
def test_masked_descent_is_a_refit(kind):
    recipe = RECIPE.fit_to_actions(discrete=kind == "discrete")
    pairs, solver = make_pairs(weighted=kind == "weighted", discrete=kind == "discrete"), KernelDescent(recipe)
    assert find_method(solver) == "masked descent"
    found, real = (f(solver, pairs, STATES, KEY) for f in (leave_each_out, fit_without_each))
    np.testing.assert_allclose(found, real, atol=1e-4)
    assert np.abs(found - np.asarray(solver(pairs, STATES, KEY))[None]).max() > 0.01


def test_other_solvers():
    pairs = make_pairs(5)
    drawn = DrawnKernelDescent(RECIPE, networks=1)
    found, real = (f(drawn, pairs, STATES, KEY) for f in (leave_each_out, fit_without_each))
    np.testing.assert_allclose(found, real, atol=0.05)  # its step size is that of the kernel of all pairs
    drawn_start = KernelDescent(RECIPE, initialisation="drawn")
    assert find_method(drawn_start) == "refits"
    assert leave_each_out(drawn_start, pairs, STATES, KEY).shape == (5, 20, 2)


def test_influence_by_hand():
    left_out = np.array([[[0.0], [0.0]], [[1.0], [2.0]]])
    actions, wanted = np.array([[1.0], [1.0]]), np.array([[1.0], [2.0]])
    changes, errors = measure_influence(left_out, actions, wanted)
    assert changes.tolist() == [1.0, 0.5]
    assert errors.tolist() == [2.0, -0.5]


def test_neighbours_match_the_definition(monkeypatch):
    monkeypatch.setattr("potstill.evaluation.maps.BLOCK", 16)
    rng = np.random.default_rng(0)
    queries, rows = rng.normal(size=(7, 3)), rng.normal(size=(50, 3))
    distances, index = find_neighbours(queries, rows, 4)
    expected = np.linalg.norm(queries[:, None] - rows, axis=-1)
    np.testing.assert_array_equal(index, np.argsort(expected, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :4])


def test_maps():
    rng = np.random.default_rng(0)
    line = np.outer(rng.normal(size=30), [3.0, 4.0])
    plane = Plane.of(line)
    np.testing.assert_allclose(plane.shares, [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(plane.axes[0], [0.6, 0.8])
    clouds = np.concatenate([rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 30.0])
    places = place_by_neighbours(clouds)
    assert places.min() == 0.0
    assert places.max() == 1.0
    first, second = places[:40, 0], places[40:, 0]
    assert first.max() < second.min() or second.max() < first.min()
    np.testing.assert_array_equal(places, place_by_neighbours(clouds))


def test_shares_and_places_in_episodes(data):
    found = compare(np.array([1.0, 1.0]), np.array([1.0, 3.0]), 0)
    assert found["share"] == 0.25
    assert found["interval"][0] <= 0.25 <= found["interval"][1]
    assert [part.tolist() for part in find_episodes(data, np.array([0, 24, 25, 299]))] == [
        [0, 0, 1, 11], [0, 24, 0, 24], [25, 25, 25, 25]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from conftest import random_teacher
    from test_teachers import bandit, write_npz

    folder = tmp_path_factory.mktemp("explain")
    path = write_npz(folder / "logs.npz", bandit(400))
    teacher = random_teacher(states=1, actions=1).save(folder / "t.safetensors")
    recipe = dataclasses.replace(SMALL_STUDENT, steps=10)
    options: dict[str, Any] = {"size": 6, "objective": "random", "students": 1, "recipe": recipe}
    return potstill.distill(path, teacher=teacher, out=folder / "run", **options)


def test_the_command(run, tmp_path, capsys):
    made = potstill.explain(run, states=16, out=run.path.parent / "explained", force=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "left out by KernelDescent (masked descent), in 16 held-out states" in said
    result = made.result
    assert result.sha256 == run.result.sha256
    assert (result.pairs, len(result.influence.action_change), len(result.neighbours.row)) == (6, 6, 6)
    assert set(result.features) == {"density", "time", "value"}
    assert 1 <= result.influence.half <= 6
    with open(made / "pairs.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["action_change"]) for row in rows] == list(result.influence.action_change)
    data, distillate = potstill.load_dataset(run.config["dataset"]), potstill.load(run)
    nearest = data.observations[np.array(result.neighbours.row)]
    distances = np.linalg.norm(distillate.normaliser(distillate.states) - distillate.normaliser(nearest), axis=1)
    np.testing.assert_allclose(distances, list(result.neighbours.distance), atol=1e-5)
    assert (made / "explanation.png").read_bytes()[:4] == b"\x89PNG"
    report = potstill.report(run, out=tmp_path / "report")
    page = Page((report / "report.html").read_text())
    assert "Which states were distilled, and which pairs matter" in page.text
    assert page.unlabelled == page.foreign == []


def test_refusals(run, tmp_path, capsys):
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run / "distillate.safetensors").read_bytes())
    assert main(["explain", str(alone), "--out", str(tmp_path / "out")]) == 2
    assert "the dataset and the teacher of these pairs are not found" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(PotstillError, match="states 4: expected at least 8"):
        potstill.explain(run, states=4)


def test_the_solver_follows_from_the_distillate():
    distillate = potstill.load("hopper-medium-replay")
    settings = distillate.metadata["settings"]
    chosen = lambda **more: choose_solver(  # noqa: E731
        dataclasses.replace(distillate, metadata=distillate.metadata | {"settings": settings | more})
    )
    assert chosen() == KernelDescent(distillate.recipe)
    assert isinstance(chosen(solver="ridge"), KernelRidge)
    assert isinstance(chosen(solver="unroll"), KernelDescent)
    assert isinstance(chosen(solver={"python": "mine"}), KernelDescent)
