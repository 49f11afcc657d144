import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import potstill
from potstill.commands import teach as command
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.networks.mlp import apply_critic
from potstill.networks.policy import load_policy
from potstill.runtime import storage
from potstill.runtime.files import read_json, write_json
from potstill.teachers import Iql, Rebrac, find_teacher, load_teacher
from potstill.teachers.evaluation import selection

pytestmark = pytest.mark.usefixtures("narrow_networks")


def bandit(rows=2000):
    """One state, one step: r = −(a − 0.5 s)², so that π*(s) = 0.5 s and q*(s, a) = r."""
    rng = np.random.default_rng(0)
    states = rng.uniform(-1, 1, size=(rows, 1)).astype(np.float32)
    actions = rng.uniform(-1, 1, size=(rows, 1)).astype(np.float32)
    rewards = -((actions - 0.5 * states)[:, 0] ** 2)
    ends = np.ones(rows, bool)
    return Transitions(states, actions, rewards, states, ends, ~ends, ActionBounds.unit(1))


def write_npz(path, data):
    np.savez(
        path,
        observations=data.observations,
        actions=data.actions,
        rewards=data.rewards,
        next_observations=data.next_observations,
        terminations=data.terminations,
        truncations=data.truncations,
    )
    return path


def test_same_seed_same_bytes(tmp_path):
    path = write_npz(tmp_path / "bandit.npz", bandit(200))
    runs = [potstill.teach(path, updates=20, batch=16, fitted_updates=0, seed=5, out=tmp_path / name) for name in "ab"]
    first, second = ((run / "teacher.safetensors").read_bytes() for run in runs)
    assert first == second


def test_refused_input(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "bandit.npz", bandit(50))
    with pytest.raises(PotstillError, match="did you mean 'rebrac'"):
        potstill.teach(path, algorithm="rebrack")
    with pytest.raises(PotstillError, match=r"discount 1.0: expected a value in \(0, 1\)"):
        potstill.teach(path, discount=1.0)
    for rate in (0.0, 1.5, float("nan")):
        with pytest.raises(PotstillError, match=r"target_rate .*: expected a value in \(0, 1\]"):
            potstill.teach(path, target_rate=rate)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    with pytest.raises(PotstillError, match="teach: updates is 'many'"):
        potstill.teach(path, updates="many")  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match=r"teach: algorithm is 3 \(int\): expected str or Algorithm"):
        potstill.teach(path, algorithm=3)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_divergence_is_reported(tmp_path):
    path = write_npz(tmp_path / "bandit.npz", bandit(50))
    with pytest.raises(PotstillError, match="diverged"):
        potstill.teach(
            path, algorithm=Rebrac(learning_rate=1e30), updates=600, fitted_updates=0, batch=8, out=tmp_path / "run"
        )


def test_a_teacher_on_disk_is_the_same(tmp_path, teacher):
    again = load_teacher(teacher.save(tmp_path / "t.safetensors"))
    states, actions = jnp.ones((4, 3)), jnp.zeros((4, 2))
    np.testing.assert_array_equal(again.act(states), teacher.act(states))
    np.testing.assert_array_equal(again.action_values(states, actions), teacher.action_values(states, actions))
    assert again.content_hash == teacher.content_hash
    one = [{k: v[1] for k, v in layer.items()} for layer in teacher.critics]
    np.testing.assert_allclose(
        teacher.action_values(states, actions)[1], apply_critic(one, states, actions), rtol=1e-5, atol=1e-6
    )


def test_sampled_actions_spread_about_the_mean():
    from conftest import random_teacher

    plain = random_teacher()
    head = [dict(layer) for layer in plain.policy.layers]
    head[-1] = {k: np.concatenate([v, np.zeros_like(v)], -1) for k, v in head[-1].items()}
    noisy = dataclasses.replace(plain, policy=dataclasses.replace(plain.policy, layers=head, head="tanh_gaussian"))
    states = jnp.zeros((4000, 3))
    drawn = np.arctanh(np.clip(noisy.sample(states, jax.random.key(0)), -0.999999, 0.999999))
    np.testing.assert_allclose(drawn.std(0), 1.0, atol=0.05)
    np.testing.assert_array_equal(plain.sample(states, jax.random.key(0)), plain.act(states))


def test_teachers_that_do_not_fit(tmp_path, teacher, data):
    path = teacher.save(tmp_path / "t.safetensors")
    bigger = dataclasses.replace(
        data, observations=np.zeros((300, 4), np.float32), next_observations=np.zeros((300, 4), np.float32)
    )
    with pytest.raises(PotstillError, match=r"has 3 state and 2 action components, but small has 4 and 2"):
        find_teacher(path, "x", bigger)
    with pytest.raises(PotstillError, match="no bundled teacher"):
        find_teacher(None, "x", data)
    arrays, metadata = storage.load(path, "teacher")
    storage.save(path, "teacher", arrays | {"layers.0.weight": np.zeros((5, 16), np.float32)}, metadata)
    with pytest.raises(PotstillError, match=r"Policy\.layers\[0\]: weight has shape \(5, 16\), expected \(3, 16\)"):
        load_teacher(path)


def rewrite(path, arrays):
    """Rewrite a teacher file with other arrays, including arrays that potstill itself would not write."""
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["potstill"])
    del header["sha256"]
    spoiled = path.with_name("spoiled.safetensors")
    spoiled.write_bytes(to_bytes(arrays, metadata={"potstill": json.dumps(header)}))
    return spoiled


def test_teacher_files_with_a_spoiled_array(tmp_path, teacher):
    path = teacher.save(tmp_path / "t.safetensors")
    arrays, _ = storage.load(path, "teacher")
    assert load_teacher(rewrite(path, arrays)).content_hash == teacher.content_hash
    for name, value in arrays.items():
        with pytest.raises(PotstillError, match=r"no array|Policy\.layers|critics"):
            load_teacher(rewrite(path, {k: v for k, v in arrays.items() if k != name}))
        for number in (np.nan, np.inf, -np.inf):
            odd = value.copy()
            odd.flat[-1] = number
            for dtype in (np.float32, np.float64, jnp.bfloat16):
                with pytest.raises(PotstillError, match=f"array '{name}' (is|holds) ") as caught:
                    load_teacher(rewrite(path, arrays | {name: odd.astype(dtype)}))
                assert "\n" not in str(caught.value)
        for odd in (*(np.zeros(shape, np.float32) for shape in ((), (0,), (7,), (7, 7), (7, 7, 7))), value.astype(int)):
            with pytest.raises(PotstillError) as caught:
                load_teacher(rewrite(path, arrays | {name: odd}))
            assert "\n" not in str(caught.value)


def test_critics_with_mismatched_layers(tmp_path, teacher):
    path = teacher.save(tmp_path / "t.safetensors")
    arrays, _ = storage.load(path, "teacher")
    last = {f"critics.1.{key}": np.repeat(arrays[f"critics.1.{key}"], 2, axis=-1) for key in ("weight", "bias")}
    with pytest.raises(PotstillError, match=r"critics: the last layer has 2 × 2 outputs, expected 1"):
        load_teacher(rewrite(path, arrays | last))
    fewer = {f"critics.1.{key}": arrays[f"critics.1.{key}"][:1] for key in ("weight", "bias")}
    with pytest.raises(PotstillError, match=r"critics\[1\]: weight has shape \(1, 16, 1\), expected \(2, 16, 1\)"):
        load_teacher(rewrite(path, arrays | fewer))
    wide = {"critics.0.weight": np.zeros((2, 6, 16), np.float32)}
    with pytest.raises(PotstillError, match=r"critics\[0\]: weight has shape \(2, 6, 16\), expected \(2, 5, 16\)"):
        load_teacher(rewrite(path, arrays | wide))
    with pytest.raises(PotstillError, match=r"critics is \[\]: expected a list of layers"):
        load_teacher(rewrite(path, {k: v for k, v in arrays.items() if not k.startswith("critics.")}))


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"iql": 100.0, "rebrac-loose": 98.5, "rebrac-tight": 99.0}, "rebrac-tight"),
        ({"iql": 100.0, "rebrac-loose": 97.0}, "iql"),
        ({"iql": 90.0, "rebrac-loose": 97.0}, "rebrac-loose"),
        ({"iql": -100.0, "rebrac-loose": -101.0}, "rebrac-loose"),
        ({"iql": -100.0, "rebrac-loose": -103.0}, "iql"),
        ({"iql": 5.0}, "iql"),
    ],
)
def test_rebrac_is_preferred_among_equal_estimates(values, kept):
    assert selection.select(values) == kept
    told = selection.explain_selection(values)
    assert told.startswith(f"chose {kept}: ")
    assert ("within 2 %" in told) == (values[kept] < max(values.values()))


def test_auto_selects_by_the_estimate(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(selection, "FITTED_UPDATES", 100)
    penalties = {"loose": (0.0, 0.0), "tight": (1e4, 0.0)}
    monkeypatch.setattr(command, "make_candidates", functools.partial(selection.make_candidates, penalties))
    path = write_npz(tmp_path / "bandit.npz", bandit())
    run = potstill.teach(path, algorithm="auto", updates=400, batch=64, fitted_updates=0, out=tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    names, estimates = zip(*(entry.values() for entry in result["ranking"]), strict=True)
    assert set(names) == {"iql", "rebrac-loose", "rebrac-tight"}
    assert sorted(estimates, reverse=True) == list(estimates)
    assert names.index("rebrac-loose") < names.index("rebrac-tight")  # which clones the random actions
    assert "pessimistic value estimate" in capsys.readouterr().out
    kept = (run / "teacher.safetensors").read_bytes()
    assert kept == (run / result["chosen"] / "teacher.safetensors").read_bytes()
    assert read_json(run / "config.json")["algorithm"] == "auto"
    saved = read_json(run / "rebrac-tight" / "config.json")["algorithm"]
    assert (saved["name"], saved["actor_penalty"]) == ("rebrac", 1e4)


def test_runs_of_version_0_1_are_resumed_and_reproduced(tmp_path, capsys):
    """Their config.json has a field for the settings of each algorithm."""
    path = write_npz(tmp_path / "bandit.npz", bandit(200))
    options: dict[str, Any] = {"updates": 16, "evaluate_every": 8, "batch": 16, "fitted_updates": 0}
    run = potstill.teach(path, algorithm=Iql(expectile=0.9), out=tmp_path / "run", **options)
    saved = read_json(run / "config.json")
    assert saved["algorithm"] == {"name": "iql", "expectile": 0.9}
    own = {"expectile": 0.9, "temperature": 3.0, "learning_rate": 3e-4}
    old = saved | {"algorithm": "iql", "iql": own, "bc": {"best_episodes": 1.0, "learning_rate": 3e-4}}
    write_json(run / "config.json", old)
    write_json(run / ".potstill", {})  # in which version 0.1 recorded no hashes
    potstill.reproduce(run, out=tmp_path / "again")
    assert "are byte-identical" in capsys.readouterr().out
    (run / "result.json").unlink()  # as after an interruption before the first checkpoint
    with pytest.raises(PotstillError, match=r"has algorithm .*0\.9.*, not .*0\.8"):
        potstill.teach(path, algorithm=Iql(expectile=0.8), out=run.path, resume=True, **options)
    potstill.teach(path, algorithm=Iql(expectile=0.9), out=run.path, resume=True, **options)
    assert read_json(run / "result.json")["sha256"] == read_json(tmp_path / "again" / "result.json")["sha256"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("layers.0.weight", lambda x: x[0], "2 axes"),
        ("state_mean", lambda x: x[0], "1 axes"),
        ("state_scale", lambda x: x[:-1], r"Normaliser\.scale has shape \(10,\): expected \[S\] with S = 11"),
        ("layers.0.bias", lambda x: x[:-1], "'layers.0.weight' has"),
    ],
)
def test_a_policy_whose_arrays_do_not_fit_is_refused(tmp_path, name, change, message):
    arrays = potstill.load("hopper-medium-replay").train_student(0, potstill.RECIPES["plain"]).to_arrays()
    storage.save(tmp_path / "policy.safetensors", "policy", {**arrays, name: change(arrays[name])}, {"head": "tanh"})
    with pytest.raises(PotstillError, match=message):
        load_policy(tmp_path / "policy.safetensors")


def test_an_unknown_head_is_refused(tmp_path):
    arrays = potstill.load("hopper-medium-replay").train_student(0, potstill.RECIPES["plain"]).to_arrays()
    storage.save(tmp_path / "policy.safetensors", "policy", arrays, {"head": "tahn"})
    with pytest.raises(PotstillError, match="did you mean 'tanh'"):
        load_policy(tmp_path / "policy.safetensors")
