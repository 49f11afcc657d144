"""The measurement of the theorems on random MDPs, its plot, and wrong input."""

import dataclasses
import json

import numpy as np
import pytest
from test_theory import EXACT, two_states

from potstill.errors import PotstillError
from potstill.reports.theory import plot_theory
from potstill.theory import (
    BoundSummary,
    DiscountResult,
    TheoryResult,
    TheorySettings,
    compute_exact_av_pbc,
    compute_pbc,
    compute_return,
    draw_mdp,
    draw_policy,
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


def test_what_was_not_measured_gets_one_line(measured, tmp_path):
    found = measured.discounts[0]
    for call, message in (
        (lambda: found.find_bound("theorem 1", 0.3), r"find_bound: \('theorem 1', 0.3\) was not measured"),
        (lambda: found.find_shift("pbc", 0.3), r"find_shift: \('pbc', 0.3\) was not measured"),
        (lambda: plot_theory(tmp_path / "x.png", measured, discount=0.3), "find_discount: 0.3 was not .*: 0.5, 0.9"),
    ):
        with pytest.raises(PotstillError, match=message):
            call()
    assert not list(tmp_path.iterdir())


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
        (
            lambda: dataclasses.replace(two_states(), discount=1.0),
            r"TabularMDP.discount 1.0: expected .* \[0, 1 − 1e-9\]",
        ),
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
        (lambda: dataclasses.replace(two_states(), discount=1 - 2**-53), "discount 0.9999999999999999: expected"),
        (lambda: two_states().shift_rewards(-1e200), "TabularMDP.rewards: 1e\\+200 in size: expected at most 1e\\+100"),
        (
            lambda: predict_shift(two_states(), uniform(), uniform(), np.array([0.5, 0.5]), float("inf")),
            r"TabularMDP.rewards\[0, 0\] is not finite",
        ),
        (lambda: two_states().shift_rewards(float("inf")), r"TabularMDP.rewards\[0, 0\] is not finite"),
        (lambda: compute_return(two_states(), uniform(3)), r"policy has shape \(3, 2\): expected \(2, 2\)"),
        (lambda: compute_return(two_states(), np.ones((2, 2))), r"policy\[0\] sums to 2: expected probabilities"),
        (
            lambda: compute_return(two_states(), [[1.0, 0.0], [0.5]]),  # type: ignore[arg-type]
            "policy.* expected an array of numbers",
        ),
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
        (
            lambda: compute_pbc(uniform().tolist(), uniform(3), [0.5, 0.5]),  # type: ignore[arg-type]
            r"student has shape \(3, 2\): expected \(2, 2\)",
        ),
        (
            lambda: compute_exact_av_pbc(uniform(), uniform(), np.array([0.5, 0.5]), np.full((2, 2), np.nan)),
            r"values\[0, 0\] is not finite",
        ),
        (lambda: mix_policies(uniform(), uniform(3), 0.5), "mix_policies: .* has shape"),
        (lambda: mix_policies(uniform(), uniform(), float("nan")), r"share is outside \[0, 1\]"),
        (lambda: draw_mdp(np.random.default_rng(0), 10**6), "draw_mdp: 1000000 states and 4 actions have 4e"),
        (lambda: draw_mdp(np.random.default_rng(0), 0), "draw_mdp: states 0: expected at least 1"),
        (lambda: draw_mdp(np.random.default_rng(0), discount=1.0), "TabularMDP.discount 1.0: expected"),
        (lambda: draw_mdp(np.random.default_rng(0), max_reward=-1.0), "draw_mdp: max_reward -1.0: expected"),
        (lambda: draw_mdp(np.random.default_rng(0), rewarded=0.0), r"draw_mdp: rewarded 0.0: expected .* \(0, 1\]"),
        (lambda: draw_policy(np.random.default_rng(0), 2, 2, 0.0), "concentration 0.0: expected a finite number"),
        (lambda: TheorySettings((1.0,)), r"TheorySettings.discounts \(1.0,\): expected values in \[0, 1 − 1e-9\]"),
        (lambda: TheorySettings(()), r"TheorySettings.discounts \(\): expected"),
        (lambda: TheorySettings(shares=(0.0,)), r"TheorySettings.shares \(0.0,\): expected values in \(0, 1\]"),
        (lambda: TheorySettings(shifts=(float("nan"),)), r"TheorySettings.shifts \(nan,\): expected numbers from"),
        (lambda: TheorySettings(actions=1), "TheorySettings.actions 1: expected at least 2"),
        (lambda: TheorySettings(states=10**5), "TheorySettings: 100000 states and 4 actions have 4e"),
        (
            lambda: measure_theory(weightings={"a": 3}),  # type: ignore[dict-item]
            "measure_theory: weighting 'a' is 3: expected a function",
        ),
        (
            lambda: measure_theory(weightings={"exact sum": np.ones_like}),
            "weighting 'exact sum': expected another name",
        ),
        (
            lambda: measure_theory(SMALL, weightings={"a": np.sum}),
            r"weighting 'a' has shape \(\): expected a non-empty",
        ),
        (lambda: TheoryResult(()), "TheoryResult.discounts is empty"),
        (
            lambda: measure_theory(3),  # type: ignore[arg-type]
            r"measure_theory: settings is 3 \(int\): expected TheorySettings",
        ),
    ],
)
def test_bad_input_gets_one_line(unchecked, call, message):
    with pytest.raises(PotstillError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
