"""The theorems on tabular MDPs: equalities to 1e-10, bounds never violated, bounds reached, shifts of the reward."""

import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation.objectives import weights
from potstill.theory import (
    TabularMDP,
    compute_action_values,
    compute_av_pbc,
    compute_distance,
    compute_exact_av_pbc,
    compute_mean_q_gap,
    compute_objectives,
    compute_pbc,
    compute_return,
    compute_state_distribution,
    compute_state_values,
    draw_mdp,
    draw_policy,
    evaluate_advantage_bound,
    evaluate_corollary_1,
    evaluate_theorem_1,
    evaluate_theorem_2,
    find_optimal_policy,
    make_corollary_1_example,
    make_theorem_1_example,
    predict_shift,
)

DISCOUNTS = (0.0, 0.5, 0.9, 0.99)
SIZES = ((1, 2), (2, 2), (7, 3), (30, 5))
EXACT = 1e-10


def cases(seed=0, **options):
    """Random MDPs of several sizes and discounts, each with two random policies and an optimal one."""
    for discount in DISCOUNTS:
        for states, actions in SIZES:
            rng = np.random.default_rng((seed, states))
            mdp = draw_mdp(rng, states, actions, discount=discount, **options)
            policies = [draw_policy(rng, states, actions, 0.5) for _ in range(2)]
            yield mdp, *policies, find_optimal_policy(mdp)


def two_states():
    """γ = 1/2. State 0: action 0 stays and earns 1, action 1 leads to state 1 and earns 0.

    State 1: action 0 leads to state 0 and earns 0, action 1 stays and earns 1/4.
    """
    transitions = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    return TabularMDP(transitions, np.array([[1.0, 0.0], [0.0, 0.25]]), np.array([1.0, 0.0]), 0.5)


def test_two_states_by_hand():
    # Teacher: action 0 everywhere. v(0) = 1 + v(0)/2 = 2, v(1) = 0 + v(0)/2 = 1.
    # q(0, 1) = 0 + v(1)/2 = 1/2 and q(1, 1) = 1/4 + v(1)/2 = 3/4: below 2 and 1, so the teacher is optimal.
    # Student: action 1 with probability 1/2 in state 0, action 0 in state 1.
    # v(0) = 1/2 (1 + v(0)/2) + 1/2 v(1)/2 and v(1) = v(0)/2, so v(0) (1 - 1/4 - 1/8) = 1/2, v(0) = 4/5.
    # d(0) = 1/2 + 1/2 (d(0)/2 + d(1)) with d(1) = 1 - d(0), so d(0) = 4/5. Lost: 2 - 4/5 = 6/5.
    # Theorem 2: 2 · 4/5 · (2 - 1/2) 1/2 = 6/5. Corollary 1: 2 · 4/5 · (2 + 1/2) 1/2 = 2.
    # The teacher stays in state 0, so Theorem 1 has ε = D_TV(0) = 1/2: 2 · 1 · 1/2 · 4 = 4.
    mdp, teacher, student = two_states(), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(find_optimal_policy(mdp), teacher)
    np.testing.assert_allclose(compute_state_values(mdp, teacher), [2.0, 1.0])
    np.testing.assert_allclose(compute_action_values(mdp, teacher), [[2.0, 0.5], [1.0, 0.75]])
    np.testing.assert_allclose(compute_state_distribution(mdp, student), [0.8, 0.2])
    assert compute_return(mdp, student) == pytest.approx(0.8)
    found = evaluate_theorem_2(mdp, teacher, student)
    assert (found.left, found.right) == pytest.approx((1.2, 1.2))
    assert evaluate_theorem_1(mdp, teacher, student).bound == pytest.approx(4.0)
    corollary = evaluate_corollary_1(mdp, teacher, student)
    assert (corollary.bound, corollary.slack, corollary.factor) == pytest.approx((2.0, 0.8, 5 / 3))
    assert evaluate_advantage_bound(mdp, teacher, student).bound == pytest.approx(1.2)
    states = np.array([0.5, 0.5])
    assert compute_distance(teacher, student, states) == pytest.approx(0.25)
    assert compute_pbc(teacher, student, states) == pytest.approx(0.25)
    expected = {"pbc": 0.25, "av-pbc": 0.5, "av-pbc, exact sum": 0.3125, "corollary 1": 2.0, "q-gap": 0.375}
    assert compute_objectives(mdp, teacher, student, states) == pytest.approx(expected)


def test_solutions_satisfy_their_equations():
    for mdp, policy, *_ in cases():
        values, visited = compute_state_values(mdp, policy), compute_state_distribution(mdp, policy)
        actions = compute_action_values(mdp, policy)
        np.testing.assert_allclose((policy * actions).sum(axis=1), values, atol=EXACT)
        step = np.einsum("s,sa,sat->t", visited, policy, mdp.transitions)
        np.testing.assert_allclose(visited, (1 - mdp.discount) * mdp.initial + mdp.discount * step, atol=EXACT)
        assert visited.sum() == pytest.approx(1.0)
        earned = visited @ (policy * mdp.rewards).sum(axis=1) / (1 - mdp.discount)
        assert compute_return(mdp, policy) == pytest.approx(earned, abs=EXACT)


def test_return_is_the_sum_of_discounted_rewards():
    rng = np.random.default_rng(3)
    mdp, policy = draw_mdp(rng, 6, 3, discount=0.7), draw_policy(rng, 6, 3)
    states, total = mdp.initial, 0.0
    for step in range(120):
        total += 0.7**step * states @ (policy * mdp.rewards).sum(axis=1)
        states = np.einsum("s,sa,sat->t", states, policy, mdp.transitions)
    assert compute_return(mdp, policy) == pytest.approx(total, abs=EXACT)


def test_optimal_policies_are_optimal():
    for mdp, first, second, best in cases():
        values = compute_state_values(mdp, best)
        assert set(np.unique(best)) <= {0.0, 1.0}
        np.testing.assert_allclose(values, compute_action_values(mdp, best).max(axis=1), atol=EXACT)  # Bellman
        for policy in (first, second):
            assert (values >= compute_state_values(mdp, policy) - EXACT).all()


@pytest.mark.parametrize("shift", [0.0, -2.0, 3.0])
def test_theorem_2_is_an_equality(shift):
    for mdp, first, second, best in cases():
        shifted = mdp.shift_rewards(shift)
        for teacher, student in ((first, second), (best, first), (second, best), (first, first)):
            assert abs(evaluate_theorem_2(shifted, teacher, student).residual) < EXACT
    assert abs(evaluate_theorem_2(shifted, best, first).left) > 0.1  # the two sides are not both 0


@pytest.mark.parametrize("options", [{}, {"concentration": 0.02, "rewarded": 0.1}, {"max_reward": 50.0}])
def test_bounds_are_never_violated(options):
    for seed in range(2):
        for mdp, first, second, best in cases(seed, **options):
            for teacher, student in ((first, second), (best, first), (second, best), (first, first)):
                half = evaluate_theorem_1(mdp, teacher, student).bound / 2
                bounds = [
                    *(evaluate(mdp, teacher, student) for evaluate in (evaluate_theorem_1, evaluate_corollary_1)),
                    evaluate_advantage_bound(mdp.shift_rewards(-3.0), teacher, student),
                ]
                rounding = EXACT * max(1.0, mdp.rewards.max() / (1 - mdp.discount))
                assert all(bound.slack > -rounding for bound in bounds)
                assert abs(bounds[0].lost) <= half + rounding  # the sharper constant of the docstring


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("share", [1e-3, 0.3, 1.0])
def test_half_of_theorem_1_is_reached(discount, share):
    example = make_theorem_1_example(discount, share, max_reward=5.0)
    found = evaluate_theorem_1(*example)
    assert found.lost == pytest.approx(5.0 * share / (1 - discount))
    assert found.factor == pytest.approx(2.0, rel=EXACT)
    assert evaluate_corollary_1(*example).factor == pytest.approx(1.0, rel=EXACT)


def test_corollary_1_is_reached_where_the_student_adds_actions_of_value_0():
    for mdp, *_ in cases():
        example = make_corollary_1_example(mdp, share=0.3)
        more = example.student > example.teacher
        assert (compute_action_values(example.mdp, example.teacher)[more] == 0.0).all()
        found = evaluate_corollary_1(*example)
        assert found.lost > 0.01
        assert abs(found.slack) < EXACT
        np.testing.assert_allclose(find_optimal_policy(example.mdp)[:-1], example.teacher[:-1])
        loose = evaluate_corollary_1(mdp, find_optimal_policy(mdp), np.full_like(mdp.rewards, 1 / mdp.rewards.shape[1]))
        assert loose.slack > 0.01  # the same MDP without the action


def test_advantage_bound_is_the_lost_return_of_an_optimal_teacher():
    for mdp, first, second, best in cases():
        assert abs(evaluate_advantage_bound(mdp, best, first).slack) < EXACT
        if len(best) > 1:
            assert evaluate_advantage_bound(mdp, first, second).slack > 1e-3  # but not of any teacher


@pytest.mark.parametrize("shift", [-1.5, 0.25, 4.0])
def test_shift_of_the_reward(shift):
    for mdp, first, second, best in cases():
        states, shifted = compute_state_distribution(mdp, second), mdp.shift_rewards(shift)
        for teacher, student in ((best, first), (second, first)):
            before, after = (compute_objectives(which, teacher, student, states) for which in (mdp, shifted))
            change = predict_shift(mdp, teacher, student, states, shift)
            for name, value in change.items():
                assert after[name] - before[name] == pytest.approx(value, rel=EXACT, abs=EXACT), name
            assert change["pbc"] == change["q-gap"] == 0.0
            assert change["av-pbc"] == change["av-pbc, exact sum"] != 0.0
            lost = [evaluate_theorem_2(which, teacher, student).left for which in (mdp, shifted)]
            assert lost[0] == pytest.approx(lost[1], abs=EXACT)
            advantages = [evaluate_advantage_bound(which, teacher, student).bound for which in (mdp, shifted)]
            assert advantages[0] == pytest.approx(advantages[1], abs=EXACT)
        np.testing.assert_allclose(find_optimal_policy(shifted), best)


def test_theorem_1_grows_with_a_shift():
    mdp, teacher, student, _ = list(cases())[10]
    bounds = [evaluate_theorem_1(which, teacher, student).bound for which in (mdp, mdp.shift_rewards(2.0))]
    distance = compute_distance(teacher, student, compute_state_distribution(mdp, teacher))
    assert bounds[1] - bounds[0] == pytest.approx(2 * 2.0 * distance / (1 - mdp.discount) ** 2)


def test_negative_weights_prefer_other_policies_to_the_teacher():
    mdp = two_states().shift_rewards(-1.5)  # q* of the teacher: 2 - 3 and 1 - 3
    teacher, student, states = find_optimal_policy(mdp), np.full((2, 2), 0.5), np.array([0.5, 0.5])
    found = compute_objectives(mdp, teacher, student, states)
    assert all(found[name] < 0.0 for name in ("av-pbc", "av-pbc, exact sum", "corollary 1"))
    assert found["pbc"] > 0.0
    assert found["q-gap"] > 0.0
    assert all(value == 0.0 for value in compute_objectives(mdp, teacher, teacher, states).values())
    assert evaluate_theorem_2(mdp, teacher, student).left > 0.0


def test_effects_of_a_shift_on_the_weightings_of_distillation():
    """The column "if all rewards are shifted" of the page on weights."""
    mdp, *_, best = list(cases())[11]
    values = [compute_state_values(which, best) for which in (mdp, mdp.shift_rewards(0.5))]
    ordered = [jnp.asarray(value, jnp.float32) for value in values]
    for name, changes in {
        "shifted": False,
        "ranged": False,
        "clipped": True,
        "softplus": True,
        "unscaled": True,
    }.items():
        before, after = (np.asarray(weights.normalise_mean(getattr(weights, name)(value))) for value in ordered)
        assert np.allclose(before, after, atol=1e-3) != changes, name


def test_losses_are_weighted_means():
    rng = np.random.default_rng(0)
    teacher, student, states = draw_policy(rng, 4, 3), draw_policy(rng, 4, 3), rng.dirichlet(np.ones(4))
    values, heavy = rng.normal(size=(4, 3)), rng.uniform(size=4)
    expected = {"av": 0.0, "exact": 0.0, "gap": 0.0}
    for s in range(4):
        for a in range(3):
            difference = teacher[s, a] - student[s, a]
            expected["av"] += states[s] * heavy[s] * difference**2
            expected["exact"] += states[s] * values[s, a] * difference**2
            expected["gap"] += states[s] * values[s, a] * difference
    assert compute_av_pbc(teacher, student, states, heavy) == pytest.approx(expected["av"])
    assert compute_exact_av_pbc(teacher, student, states, values) == pytest.approx(expected["exact"])
    assert compute_mean_q_gap(teacher, student, states, values) == pytest.approx(expected["gap"])


def test_float32_probabilities_are_normalised():
    rng = np.random.default_rng(0)
    mdp = draw_mdp(rng, 30, 3)
    rough = TabularMDP(mdp.transitions.astype(np.float32), mdp.rewards.tolist(), mdp.initial, 0.9)
    assert np.abs(rough.transitions.sum(axis=-1) - 1.0).max() < 1e-15
    assert np.array_equal(rough.rewards, mdp.rewards)
    assert abs(evaluate_theorem_2(rough, draw_policy(rng, 30, 3), draw_policy(rng, 30, 3)).residual) < EXACT
