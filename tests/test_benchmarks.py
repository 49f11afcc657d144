"""The programs that benchmarks compare compute the same thing, and their tables say what was found."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.networks.policy import Policy
from potstill.runtime.run_folder import read_json, write_json
from potstill.runtime.storage import file_hash
from potstill.students import training as clone
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs


def test_pytorch_and_ours_are_the_same_mathematics(x64):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from outer_step import inputs, torch_outer

    states, actions, queries, targets = (x.astype(np.float64) for x in inputs())
    start = clone.start(jax.random.key(0), states.shape[1], actions.shape[1], RECIPES["paper"])

    def outer(pairs):
        trained = clone.descend(clone.begin(start, RECIPES["paper"]), None, pairs, RECIPES["paper"], 100).params
        return jnp.sum((clone.mean_actions(trained, jnp.asarray(queries), 3) - targets) ** 2, -1).mean()

    value, gradient = jax.value_and_grad(outer)(Pairs(jnp.asarray(states), jnp.asarray(actions)))
    give = lambda x: torch.from_numpy(np.array(x))  # noqa: E731
    params = [(give(layer["weight"]), give(layer["bias"])) for layer in start]
    pairs = (give(states).requires_grad_(), give(actions).requires_grad_())
    theirs, their_gradient = torch_outer(params, *pairs, give(queries), give(targets))
    assert float(value) == pytest.approx(theirs, rel=1e-8)
    for ours, other in zip(jax.tree.leaves(gradient), their_gradient, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), atol=1e-6 * float(jnp.abs(ours).max()))


def score_of(*scores):
    return {"mean": float(np.mean(scores)), "std": 1.0, "policies": 3, "episodes": len(scores)}


def bounds_entry(file):
    played = lambda score: {"student": score_of(score), "ensemble": score_of(score + 1.0)}  # noqa: E731
    return {
        "file": file,
        "settings": {"updates": 100, "batch": 8},
        "teacher": score_of(50.0),
        "relabelled_plain": played(40.0),
        "relabelled_default": played(44.0),
        "pairs": {size: played(20.0 + i) for i, size in enumerate(("256", "1024", "4096"))},
        "noise": {std: score_of(30.0 + i) for i, std in enumerate(("0.05", "0.1", "0.2", "0.4"))},
    }


def test_bounds_are_told_of_the_files_measured_so_far():
    from bounds_page import bounds

    files = ("walker2d-medium", "hopper-medium")
    distilled = {"method": "default", "teacher_score": 60.0, "student": score_of(54.0), "ensemble": score_of(57.0)}
    page = bounds({file: bounds_entry(file) for file in files}, [{**distilled, "file": file} for file in files])
    *_, one, other, mean = page.split("\n")
    cells = (
        "54.0 (0.90) | 57.0 (0.95) | 44.0 (0.88) | 45.0 (0.90) | 40.0 (0.80) | 41.0 (0.82) | "
        "20.0 (0.40) | 21.0 (0.42) | 22.0 (0.44) | 31.0 (0.62) | 32.0 (0.64) | 33.0 (0.66)"
    )
    assert one == f"| hopper-medium | 50.0 ± 1.0 | {cells} |"
    assert other.startswith("| walker2d-medium |")
    assert mean.startswith("| mean of 2 files | | **0.90** | **0.95** | **0.88** | **0.90** |")


def judged_run(file, algorithm, worth, score, seed=0):
    settings = {"dataset": f"{file}.hdf5", "algorithm": algorithm, "seed": seed}
    return {"settings": settings, "final": {"mean": score}} | ({} if worth is None else {"worth": worth})


def test_auto_hits_misses_and_regrets():
    from auto_page import auto

    runs = [
        judged_run("hopper-medium", "rebrac", 3.0, 90.0),
        judged_run("hopper-medium", "iql", 2.0, 80.0),
        judged_run("hopper-medium", "bc", 9.0, 40.0),
        judged_run("hopper-medium", "rebrac", 5.0, 20.0, seed=1),
        judged_run("hopper-medium", "iql", -1.0, 50.0, seed=1),
        judged_run("walker2d-medium", "rebrac", 1.0, 30.0, seed=2),
        judged_run("walker2d-medium", "iql", 4.0, 40.0, seed=2),
        judged_run("walker2d-medium", "iql", 8.0, 40.0, seed=0),
        judged_run("halfcheetah-medium", "rebrac", 3.0, 44.0),
        judged_run("halfcheetah-medium", "iql", None, 45.0),
        {"settings": {"dataset": "halfcheetah-medium.hdf5", "algorithm": "rebrac", "seed": 1}, "failed": "diverged"},
    ]
    lines = auto({str(i): run for i, run in enumerate(runs)}).split("\n")
    assert lines[-6:] == [
        "| hopper-medium | 2: 80.0; -1: 50.0 | **3: 90.0**; **5: 20.0** | 1 of 2 | 15.0 |",
        "| walker2d-medium | **4: 40.0** | 1: 30.0 | 1 of 1 | 0.0 |",
        "| all | | | 2 of 3 | 10.0 |",
        "",
        "Keeping always the same algorithm has a regret of 3.3 for IQL, 13.3 for ReBRAC; the highest worth, however "
        "close, one",
        "of 10.0. The preference for ReBRAC was chosen on this table.",
    ]
    assert auto({}).endswith("No file has two such runs yet.")


def test_a_fresh_fit_is_compared_with_the_one_in_training():
    from auto_page import fits_apart

    history = [{"update": 10, "worth": 1.0}, {"update": 20, "worth": 110.0}, {"update": 30, "worth": 9.0}]
    assert fits_apart({"history": history, "updates": 20, "worth": 100.0}) == pytest.approx(0.1)


def test_kept_weights_are_of_the_highest_return():
    from teachers_page import best

    runs = {"a": judged_run("hopper-medium", "rebrac", 1.0, 78.8), "b": judged_run("walker2d-medium", "iql", 1.0, 99.0)}
    before = {"a": judged_run("hopper-medium", "iql", 1.0, 40.0)}
    assert best(runs, before, "hopper-medium") == "ReBRAC, 78.8"
    assert best(before, runs, "hopper-medium") == "ReBRAC°, 78.8"


def test_what_the_last_evaluations_gained_is_told():
    from teachers_page import late_gain, stopping

    history = [
        {"update": 10_000 * (i + 1), "worth": worth, "fitted_value": 0.0, "mean": 1.0}
        for i, worth in enumerate([5.0, -2.0, -4.0, -3.0, -1.0, -5.0, -3.0])
    ]
    assert late_gain(history) == 0.5
    risen, flat = history, [*history[:3], *({**entry, "worth": -9.0} for entry in history[3:])]
    runs = {
        str(i): {"final": {}, "history": h, "settings": {"algorithm": "iql", "patience": 4}}
        for i, h in enumerate([risen, flat])
    }
    assert "1 of IQL, by 50.0 % in the median" in stopping(runs)


def test_noise_is_of_the_given_size_and_keeps_to_the_bounds():
    from bounds import noisy

    low, high = np.array([-2.0, -2.0]), np.array([2.0, 6.0])
    policy = Policy(
        [{"weight": np.zeros((3, 2)), "bias": np.zeros(2)}], Normaliser.identity(3), ActionBounds(low, high)
    )
    found = noisy(policy, 0.1)(np.zeros((20_000, 3), np.float32))
    np.testing.assert_allclose(found.mean(axis=0), [0.0, 2.0], atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), [0.2, 0.4], rtol=0.03)
    far = noisy(policy, 4.0)(np.zeros((100, 3), np.float32))
    assert (far.min(axis=0) == low).all()
    assert (far.max(axis=0) == high).all()


def test_students_of_all_rows_come_near_the_teacher(data, teacher):
    from bounds import clone_all, imitation_error, labelled

    from potstill.students.recipe import RECIPES

    rows = labelled(data, teacher)
    assert len(rows.pairs.states) + len(rows.held.states) == len(data)
    params, history = clone_all(0, rows, RECIPES["plain"], 1100, 32)
    assert [entry["update"] for entry in history] == [1000, 1100]
    assert history[-1]["imitation_error"] == float(imitation_error(params, rows.held))
    spread = float(jnp.sum((rows.held.actions - rows.held.actions.mean(axis=0)) ** 2, -1).mean())
    assert history[-1]["imitation_error"] < 0.2 * spread


def test_a_bound_is_measured_again_for_another_teacher_or_other_settings(tmp_path):
    from bounds import begun

    path, papers = tmp_path / "file.json", {"teacher_sha256": "a", "settings": {"updates": 2}}
    assert begun(path, papers) == papers
    write_json(path, papers | {"teacher": {}})
    assert begun(path, papers) == papers | {"teacher": {}}
    for other in ({"teacher_sha256": "b"}, {"settings": {"updates": 3}}):
        assert begun(path, papers | other) == papers | other


def test_old_runs_are_judged_by_their_own_weights_and_settings(tmp_path, monkeypatch):
    import teachers

    asked = []
    results = tmp_path / "hopper-medium-rebrac-0.json"
    monkeypatch.setattr(teachers, "RESULTS", tmp_path)
    monkeypatch.setattr(teachers, "WEIGHTS", tmp_path)
    monkeypatch.setattr(teachers, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(teachers, "load_dataset", lambda path: path)
    monkeypatch.setattr(teachers.rows, "prepare", lambda data, discount: None)
    monkeypatch.setattr(teachers.potstill, "load_teacher", lambda path: path)
    monkeypatch.setattr(teachers, "worth", lambda *given: asked.append(given) or 7.5)
    weights = tmp_path / "hopper-medium.safetensors"
    weights.write_bytes(b"best")
    settings = {"dataset": "hopper-medium.hdf5", "algorithm": "rebrac", "discount": 0.9, "command": "potstill teach"}
    write_json(results, {"settings": settings, "final": {"mean": 1.0}, "sha256": "another"})
    teachers.judge("hopper-medium", "hopper-medium-rebrac-0")
    assert not asked
    write_json(results, {"settings": settings, "final": {"mean": 1.0}, "sha256": file_hash(weights)})
    for _ in range(2):  # the second time there is nothing to do
        teachers.judge("hopper-medium", "hopper-medium-rebrac-0")
    [(teacher, _, data, config)] = asked
    assert (teacher, data) == (weights, teachers.DATASETS / "hopper-medium.hdf5")
    assert config.discount == 0.9
    assert read_json(results)["worth"] == 7.5
