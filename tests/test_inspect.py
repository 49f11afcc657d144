"""`potstill inspect` for datasets: statistics, warnings and page, and all faults of a refused dataset."""

import dataclasses
import json

import gymnasium
import h5py
import numpy as np
import pytest
from conftest import make_columns
from pages import Page

import potstill
from potstill.cli import main
from potstill.data.bounds import ActionBounds
from potstill.data.registry import ReadOptions, load_dataset
from potstill.data.transitions import Transitions
from potstill.environments.references import RAW, REFERENCES, find_reference_returns, normalised_return
from potstill.reports.dataset import (
    find_fitting_environments,
    measure_duplicated_share,
    measure_episode_lengths,
    measure_state_coverage,
    summarise_dataset,
)
from potstill.reports.dataset_warnings import find_dataset_warnings
from potstill.reports.faults import summarise_refused
from potstill.reports.page import make_dataset_page


@pytest.fixture(scope="module")
def bundled():
    return summarise_dataset(load_dataset("hopper-medium-replay"))


def changed(data, **columns):
    return dataclasses.replace(data, **columns)


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_statistics_by_hand():
    column = lambda *values: np.array(values, np.float32)  # noqa: E731
    states = column(0, 0, 4, 8)[:, None]
    data = Transitions(
        observations=states,
        actions=np.stack([column(-1, 1, 0, 0), column(0.5, 0.5, 0.5, 0.5)], axis=1),
        rewards=column(1, 2, 3, 4),
        next_observations=states,
        terminations=np.array([False, True, False, False]),
        truncations=np.array([False, False, True, False]),
        action_bounds=ActionBounds(column(-1, -1), column(1, 1)),
    )
    statistics = summarise_dataset(data)
    assert (statistics["rows"], statistics["episodes"], statistics["duplicated_states"]) == (4, 3, 0.25)
    assert measure_episode_lengths(data).tolist() == [2, 1, 1]  # the last episode is cut, and counts
    assert [statistics["returns"][key] for key in ("min", "mean", "median", "max")] == [3.0, 10 / 3, 3.0, 4.0]
    assert statistics["ends"]["termination_share"] == statistics["ends"]["truncation_share"] == 0.5
    assert statistics["columns"][0] == {
        "name": "observations[0]", "min": 0.0, "mean": 3.0, "std": 11**0.5, "max": 8.0, "not_finite": 0
    }  # fmt: skip
    assert statistics["actions"]["at_bounds"] == [0.5, 0.0]
    assert statistics["actions"]["spans"] == [1.0, 0.0]
    assert statistics["coverage"]["components"] == 1
    assert statistics["scores"] is None


def test_dataset_statistics_the_bundled_dataset(bundled):
    assert sum(bundled["returns"]["histogram"]["counts"]) == bundled["episodes"]
    assert sum(bundled["lengths"]["histogram"]["counts"]) == bundled["episodes"]
    assert bundled["lengths"]["mean"] * bundled["episodes"] == pytest.approx(bundled["rows"])
    assert np.sum(bundled["coverage"]["cells"]) == bundled["coverage"]["states"]
    assert bundled["scores"]["mean"] == pytest.approx(normalised_return(bundled["returns"]["mean"], "Hopper-v5"))
    assert bundled["scores"]["bc"] == pytest.approx(23.3, abs=0.1)
    assert bundled["environment"] == {"declared": "Hopper-v5", "fits": []}
    assert find_dataset_warnings(bundled) == []
    json.dumps(bundled)


def test_coverage_distinguishes_lines_from_clouds(data):
    rng = np.random.default_rng(1)
    spread = lambda observations: measure_state_coverage(changed(data, observations=observations.astype(np.float32)))  # noqa: E731
    line = spread(rng.normal(size=(300, 1)) * np.ones(3))
    cloud = spread(rng.normal(size=(300, 3)))
    point = spread(np.ones((300, 3)))
    assert (line["components"], cloud["components"], point["components"]) == (1, 3, 0)
    assert line["plane"] == pytest.approx(1.0)
    assert point["distances"] == [0.0, 0.0, 0.0]
    assert 0.0 < line["distances"][1] < cloud["distances"][1]
    assert point["cells_occupied"] == pytest.approx(1 / 400)
    assert line["cells_occupied"] < cloud["cells_occupied"]
    assert spread(data.observations) == spread(data.observations)
    assert measure_state_coverage(data.take([3]))["states"] == 1


def test_neighbour_distances_match_the_definition(data):
    states = data.normaliser(data.observations.astype(np.float64))
    pairs = np.linalg.norm(states[:, None] - states, axis=-1)
    tenth = np.sort(pairs, axis=1)[:, 10]
    np.testing.assert_allclose(measure_state_coverage(data)["distances"], np.percentile(tenth, [5, 50, 95]), rtol=1e-6)


def test_duplicated_share():
    states = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    assert measure_duplicated_share(states) == 0.25


def test_matching_environments():
    ones = np.ones(6)
    assert find_fitting_environments(17, 6, -ones, ones) == [
        "HalfCheetah-v4",
        "HalfCheetah-v5",
        "Walker2d-v4",
        "Walker2d-v5",
    ]
    assert find_fitting_environments(17, 6, -ones, 2 * ones) == []
    assert find_fitting_environments(23, 7, -2 * np.ones(7), np.ones(7)) == ["Pusher-v5"]
    assert find_fitting_environments(5, 1, -np.ones(1), np.ones(1)) == []


def test_reference_returns():
    mujoco = {name.removesuffix("-v5") for name in gymnasium.registry if name.endswith("-v5")}
    assert mujoco <= set(REFERENCES)
    assert all(reference.random < reference.expert and reference.source for reference in REFERENCES.values())
    assert find_reference_returns("Ant-v5")[:2] == (-325.6, 3879.7)
    assert normalised_return(-43.0, "Reacher-v4") == pytest.approx(0.0)
    assert find_reference_returns("Pendulum-v1") == find_reference_returns(None) == RAW
    assert normalised_return(7.0, RAW) == 7.0


def test_reference_scores_of_the_dataset_take_precedence():
    own = find_reference_returns("Hopper-v5", {"ref_min_score": -1, "ref_max_score": 3.0})
    assert (own.random, own.expert, own.source) == (-1.0, 3.0, "the dataset's own metadata")
    for odd in ({"ref_min_score": 3.0, "ref_max_score": 3.0}, {"ref_max_score": 3.0}, {"ref_min_score": "a"}):
        assert find_reference_returns("Hopper-v5", odd) == find_reference_returns("Hopper-v5")


def odd_data(data, kind):
    states, actions, rows = data.observations.copy(), data.actions.copy(), np.arange(len(data))
    if kind == "constant":
        states[:, 1] = 2.0
    elif kind == "small":
        states[:, 1] *= 1e-5
    elif kind == "large":
        states[7, 2] = -1e6
    elif kind == "copies":
        states[100:200] = states[:100]
    elif kind == "bounds":
        actions[:, 1] = np.where(rows % 3, np.sign(actions[:, 1]), 0.0)
    elif kind == "span":
        actions[:, 0] *= 0.1
    elif kind == "rewards":
        return changed(data, rewards=np.ones(len(data), np.float32))
    elif kind == "no reward":
        return changed(data, rewards=np.zeros(len(data), np.float32))
    elif kind == "no ends":
        return changed(data, terminations=np.zeros(len(data), bool), truncations=rows == len(data) - 1)
    elif kind == "few":
        return changed(data, terminations=rows % 100 == 99)
    return changed(data, observations=states, actions=actions)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("constant", ["constant columns, observations[1]:", "by 1,000"]),
        ("small", ["almost constant columns, observations[1]:", "0.001"]),
        ("large", ["observations[2] reaches 1e+06"]),
        ("copies", ["33 % of the states are exact copies"]),
        ("bounds", ["67 % of actions[1] lie at a bound"]),
        ("span", ["actions[0] use 9.9 %", "state other bounds or scale the actions"]),
        ("rewards", ["every reward is 1", "length"]),
        ("no reward", ["every reward is 0", "cloning"]),
        ("no ends", ["no row is marked as the end", "all 300 rows"]),
        ("few", ["only 3 episodes"]),
    ],
)
def test_each_problem_gives_one_warning(data, kind, words):
    usual = find_dataset_warnings(summarise_dataset(data))
    assert [line for line in usual if "do not name an environment" in line] == usual
    found = [line for line in find_dataset_warnings(summarise_dataset(odd_data(data, kind))) if line not in usual]
    assert len(found) == 1, found
    assert all(word in found[0] for word in words), found[0]


def test_data_without_an_environment_list_matching_ones(tmp_path, capsys):
    columns = make_columns(rows=400, states=11, actions=3)
    np.savez(tmp_path / "logs.npz", **columns)
    run = potstill.inspect(tmp_path / "logs.npz", out=tmp_path / "run")
    result = result_of(run)
    assert result["environment"] == {"declared": None, "fits": ["Hopper-v4", "Hopper-v5"]}
    assert any("match Hopper-v4, Hopper-v5" in line for line in result["warnings"])
    out = " ".join(capsys.readouterr().out.split())
    assert "no reference returns are known without an environment" in out
    assert "rolls out a random policy and the teacher" in out
    assert "histogram of returns" in out
    assert "observations[10]" in out


def test_page_is_self_contained(bundled):
    text = make_dataset_page(bundled | {"name": "<b>mine</b>"}, ["odd & <i>strange</i>"])
    page = Page(text)
    assert page.foreign == []
    assert page.unlabelled == []
    assert page.tags.count("svg") == 4
    assert not {"b", "i", "link", "script"} & set(page.tags)
    assert "<b>mine</b>" in page.text
    assert "odd & <i>strange</i>" in page.text
    assert {"actions[2]", "return of an episode"} <= {line.strip() for line in page.text}
    assert make_dataset_page(bundled | {"name": "<b>mine</b>"}, ["odd & <i>strange</i>"]) == text


def test_pages_of_artefacts(teacher, tmp_path):
    run = potstill.inspect(teacher.save(tmp_path / "t.safetensors"), out=tmp_path / "run")
    assert "algorithm" in Page((run / "inspect.html").read_text()).text


@pytest.mark.parametrize("suffix", ["npz", "hdf5"])
def test_all_faults_of_a_refused_file(tmp_path, capsys, suffix):
    columns = make_columns(rows=200, states=11, actions=3)
    columns["observations"][17, 2] = np.nan
    columns["actions"][:, 1] *= 5.0
    path = tmp_path / f"bad.{suffix}"
    if suffix == "npz":
        np.savez(path, env_id="Hopper-v5", **columns)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["env_id"] = "Hopper-v5"
            for key, values in columns.items():
                file[key] = values
    assert main(["inspect", str(path), "--out", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "row 17" in captured.err
    assert "inspect.html" in captured.err
    first, second = result_of(tmp_path / "run")["faults"]
    assert first.startswith("observations[2]: 1 values are NaN or infinite in 1 of 200 rows, the first in row 17")
    assert second.startswith("actions[1] lie in [-")
    assert "the bounds of Hopper-v5 are [-1, 1]" in second
    assert "convert another unit with --out-of-bounds scale, or clip overshoot with --out-of-bounds clip" in second
    text = (tmp_path / "run" / "inspect.html").read_text()
    assert first in "".join(Page(text).text)
    assert second in "".join(Page(text).text)
    assert "<code>--out-of-bounds scale</code>" in text


def faults_in(path, columns, options=None, **metadata):
    np.savez(path, **columns, **metadata)
    return summarise_refused(path, "the reader's message", options)["faults"]  # type: ignore[index]


def test_every_kind_of_fault(tmp_path):
    columns = make_columns(rows=40)
    path = tmp_path / "x.npz"
    words = columns | {"rewards": np.array(["a"] * 40), "actions": columns["actions"][:, :1]}
    del words["terminals"]
    missing, text = faults_in(path, words)
    assert missing == "no column 'terminations'"
    assert "column 'rewards' holds" in text
    assert faults_in(path, columns | {"rewards": columns["rewards"][:-1]})[0].startswith(
        "the columns have different numbers of rows"
    )
    assert "3 observations columns, but Hopper-v5 has 11" in faults_in(path, columns, env_id="Hopper-v5")[0]
    assert "did you mean 'Hopper-v5'" in faults_in(path, columns, env_id="Hoper-v5")[0]
    whole = faults_in(path, columns | {"actions": np.full((40, 2), np.nan)})
    assert whole == [
        "actions[0], actions[1]: 80 values are NaN or infinite in 40 of 40 rows, the first in row 0: repair or remove "
        "these rows"
    ]
    for unit, options in ((1, None), (10, ReadOptions.of(action_scale=0.1))):  # a fault that only the reader knows
        assert faults_in(path, columns | {"actions": unit * columns["actions"]}, options) == ["the reader's message"]


def test_unreadable_files_leave_no_page(tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"PK")
    (tmp_path / "bad.hdf5").write_text("not HDF5")
    np.savez(tmp_path / "object.npz", observations=np.array([{}], dtype=object))
    for name in ("bad.npz", "bad.hdf5", "object.npz"):
        assert main(["inspect", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()
