"""The bounds of actions: who states them, in which unit, and what is done with actions outside."""

import re
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import make_columns
from test_readers import refused, write_columns

from potstill.cli import main
from potstill.config import ConvertConfig, DistillConfig, EvaluateConfig, TeachConfig
from potstill.config.distill_record import to_stored
from potstill.config.settings import command_line, read_settings, record_settings
from potstill.data.bounds import ActionBounds
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError, PotstillWarning


def heat_pump(rows=200):
    """A log in two units: a power from 0 to 3,000 W and a temperature from 15 to 35 °C."""
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(rows, 3)),
        "actions": np.stack([rng.uniform(0, 3000, rows), rng.uniform(15, 35, rows)], axis=1),
        "rewards": rng.normal(size=rows),
        "terminals": np.arange(rows) % 50 == 49,
    }


def bounds_of(data):
    return [data.action_bounds.low.tolist(), data.action_bounds.high.tolist()]


def test_each_component_has_its_own_bounds(tmp_path):
    log = heat_pump()
    low, high = log["actions"].min(axis=0), log["actions"].max(axis=0)
    with pytest.warns(PotstillWarning, match=r"the range of the data is used, \[28.17, 2986\] × \[15, 34.34\]"):
        data = load_dataset(log)
    np.testing.assert_allclose(bounds_of(data), [low, high], rtol=1e-6)
    assert data.card["action_bounds"] == "data"
    assert load_dataset(log, action_bounds="data").action_bounds == data.action_bounds  # asked for: no warning
    for source in (
        log | {"action_low": [0, 10], "action_high": [3000, 40]},
        write_columns(tmp_path / "x.npz", log | {"action_low": [0, 10], "action_high": [3000, 40]}),
    ):
        stated = load_dataset(source)
        assert (bounds_of(stated), stated.card["action_bounds"]) == ([[0, 10], [3000, 40]], "file")
    path = write_columns(tmp_path / "x.hdf5", log)
    with h5py.File(path, "a") as file:
        file.attrs.update(action_low=[0.0, 10.0], action_high=[3000.0, 40.0])
    assert bounds_of(load_dataset(path)) == [[0, 10], [3000, 40]]
    asked = load_dataset(path, action_low=(-1, 0), action_high=[4000, 50])
    assert (bounds_of(asked), asked.card["action_bounds"]) == ([[-1, 0], [4000, 50]], "options")
    assert bounds_of(load_dataset(path, action_low=0, action_high=4000.0)) == [[0, 0], [4000, 4000]]


def test_what_is_assumed_without_bounds():
    log = heat_pump()
    unit = log | {"actions": log["actions"] / [1500, 10] - [1, 2.5]}
    data = load_dataset(unit)
    assert (data.action_bounds, data.card["action_bounds"]) == (ActionBounds.unit(2), "nobody")
    with pytest.warns(PotstillWarning, match="range of the data"):  # a fiftieth of the width between −1 and 1
        small = load_dataset(unit | {"actions": unit["actions"] * [1, 0.02]})
    assert small.action_bounds.high[1] < 0.03
    constant = load_dataset(log | {"actions": np.full((200, 1), 70.0)}, action_bounds="data")
    assert bounds_of(constant) == [[69], [71]]


def test_actions_outside_are_refused_clipped_or_scaled():
    log = heat_pump() | {"action_low": [0, 15], "action_high": [1000, 35]}
    with pytest.raises(PotstillError, match=r"outside its bounds \[0, 1000\] in column actions\[0\], row 0") as caught:
        load_dataset(log)
    line = str(caught.value)
    assert "\n" not in line
    assert "out_of_bounds='scale', or clip overshoot with out_of_bounds='clip'" in line
    options = re.search(r"action_low=\[([\d.]+), ([\d.]+)\] and action_high=\[([\d.]+), ([\d.]+)\]", line)
    assert options is not None
    pasted = load_dataset(
        log, action_low=[float(options[i]) for i in (1, 2)], action_high=[float(options[i]) for i in (3, 4)]
    )
    assert pasted.card["action_bounds"] == "options"
    clipped = load_dataset(log, out_of_bounds="clip")
    assert clipped.actions[:, 0].max() == 1000
    assert clipped.card["actions_outside"] == "clipped"
    np.testing.assert_allclose(clipped.actions[:, 1], log["actions"][:, 1], rtol=1e-6)
    scaled = load_dataset(log, out_of_bounds="scale")
    np.testing.assert_allclose(scaled.actions[:, 0].max(), 1000, rtol=1e-6)
    np.testing.assert_allclose(scaled.actions[:, 1], log["actions"][:, 1], rtol=1e-6)  # it was inside
    card: Any = scaled.card
    assert card["action_scale"][1] == 1.0
    refused(
        log | {"action_low": [10, 15]}, "no factor brings actions[0]", "out_of_bounds='clip'", out_of_bounds="scale"
    )
    factors = load_dataset(log, action_scale=(0.3, 1))
    np.testing.assert_allclose(factors.actions, log["actions"] * [0.3, 1], rtol=1e-6)
    assert factors.card["action_scale"] == [0.3, 1.0]


def test_bounds_of_an_environment():
    log = heat_pump() | {"actions": np.random.default_rng(0).uniform(-2, 2, (200, 1)), "env_id": "Pendulum-v1"}
    assert load_dataset(log).card["action_bounds"] == "environment"
    with pytest.warns(PotstillWarning, match=r"bounds of the options, \[-3, 3\], differ from those of Pendulum-v1"):
        load_dataset(log, action_low=-3, action_high=3)
    with pytest.warns(PotstillWarning, match="range of the data"):
        assert load_dataset(log, env_id="none").env_id is None
    named = {key: value for key, value in log.items() if key != "env_id"}
    assert load_dataset(named, env_id="Pendulum-v1").content_hash == load_dataset(log).content_hash
    refused(named, "the environment states no action bounds", action_bounds="environment")
    refused(named | {"actions": np.zeros((200, 2))}, "2 actions columns, but Pendulum-v1 has 1", env_id="Pendulum-v1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"action_low": [0, 1]}, ["action_low= and action_high=", "both or neither"]),
        ({"action_low": [0, 1, 2], "action_high": [1, 2, 3]}, ["3 numbers", "2 action components"]),
        ({"action_low": [0, 0], "action_high": [3000, 0]}, ["component 1"]),
        ({"action_low": 0, "action_high": 1, "action_bounds": "data"}, ["contradicts"]),
        ({"action_bounds": "enviroment"}, ["did you mean 'environment'"]),
        ({"action_bounds": "file"}, ["the file states no action bounds"]),
        ({"action_scale": (1, 2, 3)}, ["3 numbers"]),
        ({"action_scale": (1.0, -2.0)}, ["action_scale=-2: expected a number above 0"]),
        ({"out_of_bounds": "cut"}, ["'cut'"]),
    ],
)
def test_refused_options(unchecked, options, words):
    refused(heat_pump(), *words, **options)


@pytest.mark.parametrize("stated", [{"action_low": [0, 0]}, {"action_low": ["a"], "action_high": [1]}])
def test_refused_bounds_in_a_file(stated):
    refused(heat_pump() | stated, "action_low")


def test_the_options_of_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_columns(tmp_path / "x.npz", heat_pump() | {"obs": np.arange(200.0)})
    assert main(["inspect", "x.npz", "--action-low", "0", "15", "--action-high", "3000", "35", "--out", "a"]) == 2
    assert "both 'observations' and 'obs'" in capsys.readouterr().err
    words = ["--columns", "observations=obs", "--action-low", "-1e3", "-15", "--action-high", "3000", "35"]
    assert main(["convert", "x.npz", *words, "--out", "b"]) == 0
    data = load_dataset("b")
    assert (bounds_of(data), data.state_size) == ([[-1000, -15], [3000, 35]], 1)
    assert data.card["action_bounds"] == "options"
    refused("b", "used unchanged", action_low=0, action_high=1)
    assert load_dataset("b", env_id="none") is not None
    config = ConvertConfig(
        ("x.npz",),
        columns={"observations": ["a", "b"]},
        action_low=(-1.0, 0.0),
        action_high=[1.0, 2.0],  # type: ignore[arg-type]
    )
    line = command_line("convert", config)
    assert line == ("potstill convert x.npz --columns observations=a+b --action-low -1.0 0.0 --action-high 1.0 2.0")
    teach = TeachConfig("x.npz", action_low=(0.0, 15.0), action_high=(3000.0, 35.0), out_of_bounds="clip")
    assert read_settings(TeachConfig, record_settings(teach)) == teach
    stored = to_stored(record_settings(DistillConfig("x.npz")))
    assert "columns" not in stored  # as in version 0.1, whose distillates have the same bytes
    with pytest.raises(PotstillError, match="columns= has no effect without a dataset"):
        EvaluateConfig("d", columns="actions=u")
    with pytest.raises(PotstillError, match="action_low='a': expected a number"):
        TeachConfig("x.npz", action_low="a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out-of-bounds", "clip"], "; those outside were clipped to the nearest bound"),
        (["--out-of-bounds", "scale"], "; the logged actions were multiplied by 0.4"),
        (["--action-scale", "0.1", "--action-high", "1", "--action-low", "-1"], "multiplied by 0.1"),
        (["--action-high", "3", "--action-low", "-3"], "lie at a bound"),
    ],
)
def test_inspect_says_how_actions_were_brought_inside(tmp_path, capsys, options, words):
    rows = make_columns()
    actions = np.linspace(-2.5, 2.5, len(rows["actions"]))[:, None].astype(np.float32)
    np.savez(tmp_path / "x.npz", **rows | {"actions": actions, "action_low": [-1], "action_high": [1]})
    assert main(["inspect", str(tmp_path / "x.npz"), "--out", str(tmp_path / "o"), *options]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert words in printed
    assert ("clipped" in printed, "multiplied" in printed) == ("clipped" in words, "multiplied" in words)
