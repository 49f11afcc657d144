"""The theorems on tabular MDPs: equalities to 1e-10, bounds never violated, bounds reached, shifts of the reward."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation.objectives import weights
from potstill.errors import PotstillError
from potstill.reports.theory import plot_theory
from potstill.theory import (
    BoundSummary,
    DiscountResult,
    TabularMDP,
    TheoryResult,
    TheorySettings,
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
    measure_theory,
    mix_policies,
    predict_shift,
)
from potstill.theory.measurement import correlate_ranks

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
    transitions = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]
    return TabularMDP(transitions, [[1.0, 0.0], [0.0, 0.25]], [1.0, 0.0], 0.5)


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


SMALL = TheorySettings((0.5, 0.9), mdps=8, states=6, actions=3, shifts=(-2.0, 0.0, 1.0), ranked=3, students=6)


@pytest.fixture(scope="module")
def measured():
    return measure_theory(SMALL, weightings={"none": np.ones_like})


def test_measurement(measured):
    assert measured.residual < EXACT
    assert measured.shares == SMALL.shares
    assert measured.shifts == SMALL.shifts
    for found in measured.discounts:
        assert found.relative_residual == pytest.approx(found.residual * (1 - found.discount))
        assert found.shift_error < EXACT
        assert all(entry.least_slack > -EXACT for entry in found.bounds)
        assert found.find_bound("theorem 1", 0.1).factor.low > 2.0 - EXACT
        assert found.find_bound("advantages", 0.1).factor.high == pytest.approx(1.0)
        assert found.broken[0] == 1.0  # rewards below −1: the expression is negative
        assert found.broken[1:] == (0.0, 0.0)
        for shift in SMALL.shifts:
            for steady in ("pbc", "q-gap"):
                assert found.find_shift(steady, shift).correlation == found.find_shift(steady, 0.0).correlation
            assert found.find_shift("av-pbc, none", shift).correlation == found.find_shift("pbc", 0.0).correlation
        assert found.find_shift("av-pbc", -2.0).below_teacher == 1.0
        assert found.find_shift("av-pbc", 0.0).below_teacher == 0.0
    loose = [found.find_bound("corollary 1", 0.1).factor.median for found in measured.discounts]
    assert loose[1] > 2 * loose[0]  # about 1 / (1 − γ)


def test_measurement_by_hand():
    """One MDP: the medians are the values of its students."""
    settings = TheorySettings((0.9,), mdps=1, states=4, actions=2, shares=(0.5,), shifts=(0.5,), ranked=1, students=2)
    [found] = measure_theory(settings).discounts
    rng = np.random.default_rng((0, 0))
    mdp = draw_mdp(rng, 4, 2, discount=0.9)
    teacher = find_optimal_policy(mdp)
    student = mix_policies(teacher, draw_policy(rng, 4, 2), 0.5)
    bound = evaluate_corollary_1(mdp, teacher, student)
    entry = found.find_bound("corollary 1", 0.5)
    assert isinstance(entry, BoundSummary)
    assert entry.factor.median == pytest.approx(bound.factor)
    assert entry.slack.median == entry.least_slack == pytest.approx(bound.slack)
    assert entry.lost.low == pytest.approx(bound.lost)
    assert found.find_bound("theorem 1", 0.5).slack.median == pytest.approx(
        evaluate_theorem_1(mdp, teacher, student, max_reward=1.0).slack
    )


def test_measurement_repeats_and_survives_json(measured):
    assert measure_theory(SMALL, weightings={"none": np.ones_like}) == measured
    stored = json.loads(json.dumps(dataclasses.asdict(measured)))["discounts"]
    assert TheoryResult(tuple(map(DiscountResult.from_json, stored))) == measured
    assert measure_theory(dataclasses.replace(SMALL, seed=1)) != measured


@pytest.mark.parametrize("discounts", [(0.5, 0.9), (0.9,)])
def test_plot(measured, tmp_path, discounts):
    chosen = TheoryResult(tuple(found for found in measured.discounts if found.discount in discounts))
    assert plot_theory(tmp_path / "theory.png", chosen).read_bytes()[:4] == b"\x89PNG"


def test_rank_correlation():
    first, second = np.array([10.0, 30.0, 20.0, 90.0]), np.array([1.0, 2.0, 4.0, 3.0])
    assert correlate_ranks(first, second) == pytest.approx(
        1 - 6 * (0 + 1 + 4 + 1) / (4 * 15)
    )  # Σ of squared differences
    assert correlate_ranks(first, -first) == -1.0
    assert correlate_ranks(first, np.zeros(4)) == 0.0


def uniform(states=2, actions=2):
    return np.full((states, actions), 1 / actions)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dataclasses.replace(two_states(), discount=1.0), r"TabularMDP.discount 1.0: expected .* \[0, 1\)"),
        (lambda: dataclasses.replace(two_states(), discount=-0.1), "TabularMDP.discount -0.1: expected"),
        (lambda: dataclasses.replace(two_states(), discount=float("nan")), "TabularMDP.discount nan: expected"),
        (lambda: dataclasses.replace(two_states(), initial=[0.5, 0.4]), "TabularMDP.initial sums to 0.9: expected"),
        (lambda: dataclasses.replace(two_states(), initial=[1.5, -0.5]), r"initial\[1\] is -0.5: expected a probab"),
        (lambda: dataclasses.replace(two_states(), initial=[1.0]), r"TabularMDP.initial has shape \(1,\): expected"),
        (lambda: dataclasses.replace(two_states(), initial="ab"), "TabularMDP.initial is 'ab'"),
        (lambda: dataclasses.replace(two_states(), initial=["a", "b"]), "initial .*expected an array of numbers"),
        (lambda: dataclasses.replace(two_states(), rewards=np.full((2, 2), np.inf)), r"rewards\[0, 0\] is not finite"),
        (lambda: dataclasses.replace(two_states(), rewards=[[1.0], [1.0]]), r"rewards has shape \(2, 1\): expected"),
        (lambda: dataclasses.replace(two_states(), transitions=[[1.0]]), r"transitions has shape \(1, 1\): expected"),
        (
            lambda: dataclasses.replace(two_states(), transitions=0.9 * two_states().transitions),
            r"TabularMDP.transitions\[0, 0\] sums to 0.9: expected probabilities that sum to 1",
        ),
        (lambda: two_states().shift_rewards(float("inf")), r"TabularMDP.rewards\[0, 0\] is not finite"),
        (lambda: compute_return(two_states(), uniform(3)), r"policy has shape \(3, 2\): expected \(2, 2\)"),
        (lambda: compute_return(two_states(), np.ones((2, 2))), r"policy\[0\] sums to 2: expected probabilities"),
        (lambda: compute_return(two_states(), [[1.0, 0.0], [0.5]]), "policy.* expected an array of numbers"),
        (
            lambda: evaluate_theorem_2(two_states(), uniform(), np.array([[2.0, -1.0]] * 2)),
            r"student\[0, 1\] is -1: expected a probability",
        ),
        (
            lambda: evaluate_theorem_1(two_states().shift_rewards(-0.5), uniform(), uniform()),
            r"Theorem 1: rewards from -0.5 to 0.5: expected rewards in \[0, 0.5\]",
        ),
        (
            lambda: evaluate_theorem_1(two_states(), uniform(), uniform(), max_reward=0.5),
            r"Theorem 1: rewards from 0 to 1: expected rewards in \[0, 0.5\]",
        ),
        (
            lambda: evaluate_corollary_1(two_states().shift_rewards(-1.0), uniform(), uniform()),
            "Corollary 1: the lowest action value of the teacher is -1.*: expected",
        ),
        (
            lambda: make_corollary_1_example(two_states().shift_rewards(-1.0), 0.5),
            "make_corollary_1_example: a reward is -1: expected at least 0",
        ),
        (lambda: make_theorem_1_example(0.5, 1.5), r"make_theorem_1_example: share 1.5: expected .* \[0, 1\]"),
        (lambda: make_theorem_1_example(1.0, 0.5), "TabularMDP.discount 1.0: expected"),
        (lambda: make_theorem_1_example(0.5, 0.5, max_reward=-1.0), "max_reward -1.0: expected a finite number"),
        (lambda: compute_pbc(uniform(), uniform(), np.array([0.5, 0.6])), "states sums to 1.1: expected"),
        (lambda: mix_policies(uniform(), uniform(3), 0.5), "mix_policies: .* has shape"),
        (lambda: mix_policies(uniform(), uniform(), float("nan")), r"share is outside \[0, 1\]"),
        (lambda: draw_mdp(np.random.default_rng(0), 10**6), "draw_mdp: 1000000 states and 4 actions have 4e"),
        (lambda: draw_mdp(np.random.default_rng(0), 0), "draw_mdp: states 0: expected at least 1"),
        (lambda: draw_mdp(np.random.default_rng(0), discount=1.0), "TabularMDP.discount 1.0: expected"),
        (lambda: draw_mdp(np.random.default_rng(0), max_reward=-1.0), "draw_mdp: max_reward -1.0: expected"),
        (lambda: draw_mdp(np.random.default_rng(0), rewarded=0.0), r"draw_mdp: rewarded 0.0: expected .* \(0, 1\]"),
        (lambda: draw_policy(np.random.default_rng(0), 2, 2, 0.0), "concentration 0.0: expected a finite number"),
        (lambda: TheorySettings((1.0,)), r"TheorySettings.discounts \(1.0,\): expected values in \[0, 1\)"),
        (lambda: TheorySettings(()), r"TheorySettings.discounts \(\): expected"),
        (lambda: TheorySettings(shares=(0.0,)), r"TheorySettings.shares \(0.0,\): expected values in \(0, 1\]"),
        (lambda: TheorySettings(shifts=(float("nan"),)), r"TheorySettings.shifts \(nan,\): expected finite"),
        (lambda: TheorySettings(actions=1), "TheorySettings.actions 1: expected at least 2"),
        (lambda: TheorySettings(states=10**5), "TheorySettings: 100000 states and 4 actions have 4e"),
        (lambda: measure_theory(3), r"measure_theory: settings is 3 \(int\): expected TheorySettings"),
    ],
)
def test_bad_input_gets_one_line(unchecked, call, message):
    with pytest.raises(PotstillError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_float32_probabilities_are_normalised():
    rng = np.random.default_rng(0)
    mdp = draw_mdp(rng, 30, 3)
    rough = TabularMDP(mdp.transitions.astype(np.float32), mdp.rewards.tolist(), mdp.initial, 0.9)
    assert np.abs(rough.transitions.sum(axis=-1) - 1.0).max() < 1e-15
    assert np.array_equal(rough.rewards, mdp.rewards)
    assert abs(evaluate_theorem_2(rough, draw_policy(rng, 30, 3), draw_policy(rng, 30, 3)).residual) < EXACT
