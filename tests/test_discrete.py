# mypy: disable-error-code="arg-type"
"""Discrete actions in objectives, solvers, students and policies, against answers computed by hand."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite import ACTIONS, best_action, finite_columns, finite_teacher
from test_objectives import make_objective
from test_solvers import KEY, finite_differences, outer

import potstill
from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.distillation import (
    OBJECTIVES,
    SOLVERS,
    OuterSettings,
    Schedule,
    StateTable,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation.labels import find_nearest_probabilities
from potstill.distillation.objectives import q_gap, weighted_loss
from potstill.distillation.objectives.cloning import ActionValueSum, compute_all_values
from potstill.distillation.solvers.kernel_descent import tangent_kernel
from potstill.distillation.stability import curvature
from potstill.errors import PotstillError
from potstill.networks.policy import Policy, load_policy
from potstill.students import Pairs, Recipe, train_students
from potstill.students.training import bc_loss

SMALL = Recipe(steps=7, momentum=0.9, width=16, layers=3, learning_rate=0.05, loss="cross-entropy")
FINITE = [name for name in SOLVERS if name not in ("ridge", "features")]


def probabilities(rng, rows, actions=ACTIONS):
    return jnp.asarray(rng.dirichlet(np.ones(actions), rows))


def finite_batch(teacher, rows=6):
    rng = np.random.default_rng(0)
    states = jnp.asarray(rng.normal(size=(rows, 4)))
    chosen = teacher.act(states)
    values = teacher.action_values(states, chosen).T
    taken = jnp.asarray(np.eye(ACTIONS)[rng.integers(0, ACTIONS, rows)])
    return StateTable(states, taken, chosen, values, jnp.linspace(0.5, 1.5, rows), values.min(-1).std())


def finite_problem(seed=0, pairs=5, states=3, queries=4):
    rng = np.random.default_rng(seed)
    drawn = Pairs(jnp.asarray(rng.normal(size=(pairs, states))), probabilities(rng, pairs))
    return drawn, jnp.asarray(rng.normal(size=(queries, states)))


def fit(objective):
    return objective.fit_to_actions(discrete=True)


# ---- objectives


@pytest.mark.parametrize("objective", [fit(make_objective(name)) for name in OBJECTIVES], ids=list(OBJECTIVES))
def test_every_objective(x64, objective):
    """Its gradient; 0 where the student acts as the teacher (or the data), and positive elsewhere."""
    teacher = finite_teacher()
    batch, rng = finite_batch(teacher), np.random.default_rng(1)
    student = probabilities(rng, 6)
    loss = lambda p: weighted_loss(objective, p, batch, teacher)  # noqa: E731
    found, step = jax.grad(loss)(student), 1e-6
    for i, j in itertools.product(range(6), range(ACTIONS)):
        away = jnp.zeros_like(student).at[i, j].set(step)
        assert (loss(student + away) - loss(student - away)) / (2 * step) == pytest.approx(float(found[i, j]), abs=1e-6)
    same = batch.teacher_actions if objective.needs_teacher else batch.actions
    np.testing.assert_allclose(objective(same, batch, teacher), 0.0, atol=1e-12)
    assert (objective(student, batch, teacher) > 0.0).all()


def enumerate_values(teacher, states):
    """q*(s, a) of both critics and all actions, by NumPy, one state and one action at a time."""
    found = np.empty((2, len(states), ACTIONS))
    for c, (i, state) in itertools.product(range(2), enumerate(np.asarray(states))):
        x = state
        for layer in teacher.critics[:-1]:
            x = np.maximum(x @ layer["weight"][c] + layer["bias"][c], 0.0)
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
        found[c, i] = x @ teacher.critics[-1]["weight"][c] + teacher.critics[-1]["bias"][c]
    return found


def test_the_sums_over_actions_are_exact(x64):
    """Both forms by enumeration: Σ_a (π* − π) q* of Theorem 2, and Σ_a w(q*) (π − π*)² of Av-PBC."""
    teacher = finite_teacher()
    batch, student = finite_batch(teacher), probabilities(np.random.default_rng(1), 6)
    values, gap = enumerate_values(teacher, batch.states), np.empty(6)
    np.testing.assert_allclose(compute_all_values(batch.states, teacher, ACTIONS), values.min(0), rtol=1e-6)
    for i in range(6):
        own, other = np.asarray(student[i]), np.asarray(batch.teacher_actions[i])
        gap[i] = sum((other[a] - own[a]) * values[:, i, a].mean() for a in range(ACTIONS))
    wanted = np.maximum(gap, 0.0) / float(batch.value_scale)
    np.testing.assert_allclose(q_gap(student, batch, teacher, "mean"), wanted, rtol=1e-5, atol=1e-9)
    assert (wanted > 0).any()
    weights = np.log1p(np.exp(values.min(0) / float(batch.value_scale)))
    summed = [
        sum(weights[i, a] * (student[i, a] - batch.teacher_actions[i, a]) ** 2 for a in range(3)) for i in range(6)
    ]
    np.testing.assert_allclose(ActionValueSum()(student, batch, teacher), np.array(summed), rtol=1e-5)


def test_av_pbc_takes_the_exact_sum_for_discrete_actions_alone():
    objective = make_objective("av-pbc")
    assert isinstance(fit(objective), ActionValueSum)
    assert objective.fit_to_actions(discrete=False) is objective


# ---- solvers and students


@pytest.mark.parametrize("name", FINITE)
def test_every_solver(x64, name):
    """Its gradient in float64; its results are probabilities, and learn the pairs; its policy acts likewise."""
    pairs, queries = finite_problem()
    solver = SOLVERS[name](SMALL)
    function = outer(solver, queries)
    gradients = (jax.tree.leaves(g) for g in (jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs)))
    for found, wanted in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)
    chances = jax.jit(solver)(pairs, queries, KEY)
    np.testing.assert_allclose(chances.sum(-1), 1.0, rtol=1e-12)
    assert (chances >= 0.0).all()
    np.testing.assert_allclose(solver.make_policy(pairs, KEY)(queries[:2]), chances[:2], rtol=1e-9)
    longer = Recipe(steps=300, momentum=0.5, learning_rate=0.2, width=64, layers=3, loss="cross-entropy")
    fitted = jax.jit(SOLVERS[name](longer))(pairs, pairs.states, KEY)
    assert float(jnp.abs(fitted - pairs.actions).max()) < 0.1


@pytest.mark.parametrize("name", ["ridge", "features"])
def test_closed_forms_are_refused(name):
    with pytest.raises(PotstillError, match="for discrete actions, choose solver='kernel'"):
        SOLVERS[name](SMALL)


def test_kernel_descent_is_the_training_of_a_linearised_network(x64):
    """With J the Jacobian of a network: f ← f − α J Jᵀ (softmax f − Y) / N, by a loop over explicit steps."""
    pairs, queries = finite_problem()
    recipe = dataclasses.replace(SMALL, momentum=0.0)
    from potstill.distillation.solvers.empirical import compute_linearised_actions
    from potstill.networks.mlp import apply_mlp
    from potstill.students.training import initialise_network

    params = initialise_network(KEY, 3, ACTIONS, recipe)
    flat, rebuild = jax.flatten_util.ravel_pytree(params)
    jacobian = lambda x: jax.jacobian(lambda p: apply_mlp(rebuild(p), x))(flat)  # noqa: E731
    here, there = jacobian(pairs.states), jacobian(queries)
    f, g = apply_mlp(params, pairs.states), apply_mlp(params, queries)
    for _ in range(recipe.steps):
        slope = (jax.nn.softmax(f) - pairs.actions) / len(f)
        change = recipe.learning_rate * jnp.einsum("iap,ia->p", here, slope)
        f, g = f - here @ change, g - there @ change
    np.testing.assert_allclose(compute_linearised_actions(params, pairs, queries, recipe), jax.nn.softmax(g), rtol=1e-9)


def test_the_loss_is_the_cross_entropy():
    pairs, _ = finite_problem()
    layers = [{"weight": jnp.zeros((3, ACTIONS)), "bias": jnp.log(jnp.array([0.5, 0.25, 0.25]))}]
    wanted = -np.mean(np.asarray(pairs.actions) @ np.log([0.5, 0.25, 0.25]))
    assert float(bc_loss(layers, pairs, None, "cross-entropy")) == pytest.approx(wanted, rel=1e-6)
    doubled = pairs._replace(weights=jnp.full(5, 2.0))
    assert float(bc_loss(layers, doubled, None, "cross-entropy")) == pytest.approx(2 * wanted, rel=1e-6)


def test_the_curvature_is_that_of_the_cross_entropy(x64):
    """With two equally probable actions, κ of the module ``stability`` is the largest eigenvalue of K H."""
    states = finite_problem(pairs=6)[0].states
    recipe = Recipe(layers=3, width=64, loss="cross-entropy")
    loss = lambda f: -jnp.mean(jax.nn.log_softmax(f)[:, 0])  # noqa: E731
    hessian = jax.hessian(loss)(jnp.zeros((6, 2))).reshape(12, 12)
    kernel = jnp.kron(tangent_kernel(states, states, recipe), jnp.eye(2))
    largest = np.linalg.eigvals(np.asarray(kernel @ hessian)).real.max()
    assert curvature(states, recipe, 2) == pytest.approx(largest, rel=1e-4)


def test_students_return_numbers_of_actions():
    """Each student its own, and the ensemble the most probable one on average; the recipe's loss is set."""
    rng = np.random.default_rng(0)
    scaling = Scaling(Normaliser.identity(1), DiscreteActions(ACTIONS))
    states = np.linspace(-1.4, 1.4, 24, dtype=np.float32)[:, None]
    pairs = Pairs(jnp.asarray(states), jnp.eye(ACTIONS)[best_action(states)])
    students = train_students(pairs, [0, 1], Recipe(steps=300, momentum=0.9, width=32), scaling)
    seen = rng.uniform(-1.4, 1.4, (40, 1)).astype(np.float32)
    each, joint = students.act_separately(np.concatenate([seen, seen])), students.act_as_ensemble(seen)
    assert each.dtype.kind == joint.dtype.kind == "i"
    assert (joint == best_action(seen)).mean() > 0.9
    policies = [students.make_policy(i) for i in range(2)]
    chances = np.mean([policy.compute_unit_actions(seen) for policy in policies], axis=0)
    np.testing.assert_allclose(chances.sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(joint, chances.argmax(-1))
    np.testing.assert_array_equal(each, np.concatenate([policy(seen) for policy in policies]))


def test_policies_sample_by_their_probabilities(tmp_path):
    layers = [{"weight": np.zeros((1, ACTIONS)), "bias": np.log([0.5, 0.3, 0.2])}]
    policy = Policy(layers, Scaling(Normaliser.identity(1), DiscreteActions(ACTIONS)), "softmax")
    drawn = policy.sample(np.zeros((20_000, 1)), np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), [0.5, 0.3, 0.2], atol=0.02)
    assert policy(np.zeros(1)) == 0
    again = load_policy(policy.save(tmp_path / "p.safetensors"))
    assert again.action_bounds == DiscreteActions(ACTIONS)
    assert (again.head, again(np.zeros(1))) == ("softmax", 0)
    for head, bounds in (("tanh", DiscreteActions(3)), ("softmax", Scaling.identity(1, 3).action_bounds)):
        with pytest.raises(PotstillError, match=f"head '{head}' cannot be used with"):
            Policy(layers, Scaling(Normaliser.identity(1), bounds), head)


# ---- the outer loop


@pytest.mark.parametrize("labels", ["learned", "teacher", "fixed"])
def test_labels_stay_probabilities(labels):
    data = potstill.load_dataset(finite_columns(), actions="discrete")
    teacher = finite_teacher()
    table = build_state_table(data, teacher)
    pairs = make_initial_pairs(table, 8, rng=np.random.default_rng(0))
    settings = OuterSettings(batch=64, learning_rate=0.3, labels=labels)
    parts = {"objective": fit(make_objective("q-gap")), "solver": SOLVERS["kernel"](SMALL), "schedule": Schedule(20)}
    first, second, *_, last = optimise_pairs(pairs, table, teacher, **parts, settings=settings, key=KEY)
    found = np.asarray(last.pairs.actions)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)
    assert found.min() >= 0.0
    assert last.metrics["loss"] < second.metrics["loss"]
    assert not np.array_equal(last.pairs.states, first.pairs.states)
    if labels == "teacher":
        np.testing.assert_allclose(found, teacher.act(last.pairs.states), rtol=1e-4)
    if labels == "fixed":
        np.testing.assert_array_equal(found, np.eye(ACTIONS)[np.asarray(pairs.actions).argmax(-1)])


def test_the_nearest_probabilities():
    """No other vector of probabilities on a fine grid is nearer."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3))
    found = np.asarray(find_nearest_probabilities(jnp.asarray(points, jnp.float32)))
    grid = np.array([(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]) / 100
    distances = np.linalg.norm(points[:, None] - grid, axis=-1).min(axis=1)
    assert (np.linalg.norm(points - found, axis=-1) <= distances + 1e-6).all()
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)
