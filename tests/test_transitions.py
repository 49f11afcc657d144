import dataclasses

import jaxtyping
import numpy as np
import pytest

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError


def test_normaliser_adds_its_floor_and_inverts():
    states = np.array([[0.0, 5.0], [2.0, 5.0]], np.float32)
    n = Normaliser.of(states)
    np.testing.assert_allclose(n.scale, [1.001, 0.001], rtol=1e-5)
    np.testing.assert_allclose(n.invert(n(states)), states, rtol=1e-6)


def test_episode_returns_and_ends_by_hand(data):
    rewards = data.rewards[:3]
    three = dataclasses.replace(
        data.take(slice(0, 3)),
        rewards=rewards,
        terminations=np.array([False, True, False]),
        truncations=np.array([False, False, True]),
    )
    np.testing.assert_allclose(three.episode_returns(), [rewards[0] + rewards[1], rewards[2]], rtol=1e-6)


def test_hash_depends_only_on_content(data):
    assert dataclasses.replace(data, name="other").content_hash == data.content_hash
    changed = data.rewards.copy()
    changed[7] += 1e-3
    assert dataclasses.replace(data, rewards=changed).content_hash != data.content_hash


def spoil(data, column, index, value):
    array = getattr(data, column).copy()
    array[index] = value
    return dataclasses.replace(data, **{column: array})


@pytest.mark.parametrize(
    ("column", "index", "value", "words"),
    [
        ("observations", (5, 1), np.nan, ["nan", "observations[1]", "row 5"]),
        ("rewards", 9, np.inf, ["inf", "column rewards", "row 9"]),
        ("actions", (4, 0), 1.5, ["1.5", "actions[0]", "row 4", "[-1, 1]"]),
        ("next_observations", (2, 2), np.nan, ["next_observations[2]", "row 2"]),
    ],
)
def test_bad_values_are_named(data, column, index, value, words):
    with pytest.raises(PotstillError) as caught:
        spoil(data, column, index, value)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_shapes_must_agree(data, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    with pytest.raises(PotstillError, match="rewards has shape"):
        dataclasses.replace(data, rewards=data.rewards[:-1])


def test_rounding_at_the_bounds_is_accepted(data):
    assert isinstance(spoil(data, "actions", (0, 0), np.float32(1.00001)), Transitions)


def test_repr_of_a_dataset(data):
    assert repr(data) == (
        "Transitions('small': 300 rows, 3 state and 2 action components, no environment, actions in [-1, 1])"
    )
    bounds = ActionBounds(np.array([-1.0, 0.0], np.float32), np.array([1.0, 2.0], np.float32))
    other = dataclasses.replace(data, name="<b>", actions=np.abs(data.actions), action_bounds=bounds)
    assert "actions in [-1, 1] × [0, 2]" in repr(other)
    html = other._repr_html_()
    assert "&lt;b&gt;" in html
    assert ">300</td>" in html


def test_the_public_names_of_the_package():
    import potstill.data
    import potstill.environments

    for package in (potstill.data, potstill.environments):
        assert all(getattr(package, name) is not None for name in package.__all__)
    assert potstill.data.Transitions is Transitions
    with pytest.raises(AttributeError, match="no attribute 'Transition'"):
        potstill.data.Transition  # noqa: B018
