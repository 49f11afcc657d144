"""Teachers of other libraries: no code is run, and actions and values are unchanged."""

import io
import os
import pickle
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SHARED, SMALL_STUDENT

import potstill
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import summarise
from potstill.teachers.lookup import find_teacher

pytestmark = pytest.mark.usefixtures("few_rows")
CORL = SHARED / "teachers" / "corl-cal-ql"
CHECKPOINT = CORL / "hopper-medium-replay-v2.checkpoint.pt"
# Scores of five episodes in Gymnasium's -v4 environments (method, section 5), and those in the paper's table.
SCORES = {
    "halfcheetah-medium-replay": (46.2, 45.8),
    "halfcheetah-medium": (48.1, 47.6),
    "halfcheetah-medium-expert": (40.4, 50.8),
    "hopper-medium-replay": (87.3, 98.0),
    "hopper-medium": (50.3, 56.4),
    "hopper-medium-expert": (96.5, 107.3),
    "walker2d-medium-replay": (85.4, 87.4),
    "walker2d-medium": (69.8, 84.0),
    "walker2d-medium-expert": (108.2, 109.0),
}
BODIES = {"halfcheetah": "HalfCheetah-v4", "hopper": "Hopper-v4", "walker2d": "Walker2d-v4"}
here = pytest.mark.skipif(not CORL.exists(), reason="needs ../shared")


def arrays_of(name):
    from safetensors.numpy import load_file

    return load_file(CORL / f"{name}-v2.safetensors")


def normaliser_of(arrays):
    return Normaliser(arrays["observation_mean"], arrays["observation_std"] + np.float32(1e-3))


def as_checkpoint(path, arrays):
    """Write the arrays of a published teacher as the original checkpoint."""
    torch = pytest.importorskip("torch")
    found: dict[str, Any] = {}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        if rest:
            found.setdefault(part, {})[rest] = torch.from_numpy(value)
    torch.save(found, path)
    return path


@here
def test_published_checkpoint():
    arrays = arrays_of("hopper-medium-replay")
    teacher = potstill.import_teacher(CHECKPOINT, normaliser=normaliser_of(arrays))
    states = np.random.default_rng(0).normal(size=(5, 11)).astype(np.float32)
    x = states
    for i in (0, 2, 4, 6):
        x = x @ arrays[f"actor.base_network.{i}.weight"].T + arrays[f"actor.base_network.{i}.bias"]
        x = np.maximum(x, 0.0) if i < 6 else x
    np.testing.assert_allclose(teacher.act(jnp.asarray(states)), np.tanh(x[:, :3]), rtol=1e-4, atol=1e-5)
    scale, shift = arrays["actor.log_std_multiplier.constant"], arrays["actor.log_std_offset.constant"]
    last = teacher.policy.layers[-1]
    np.testing.assert_allclose(last["bias"][3:], arrays["actor.base_network.6.bias"][3:] * scale + shift, rtol=1e-5)
    actions = np.tanh(states[:, :3])
    y = np.concatenate([states, actions], axis=1)
    for i in (0, 2, 4):
        y = y @ arrays[f"critic2.network.{i}.weight"].T + arrays[f"critic2.network.{i}.bias"]
        y = np.maximum(y, 0.0) if i < 4 else y
    found = teacher.action_values(jnp.asarray(states), jnp.asarray(actions))
    np.testing.assert_allclose(found[1], y[:, 0], rtol=1e-4, atol=1e-2)


@here
@pytest.mark.parametrize("name", SCORES)
def test_published_teachers_reach_their_scores_pytorch(name, tmp_path):
    arrays = arrays_of(name)
    teacher = potstill.import_teacher(as_checkpoint(tmp_path / "t.pt", arrays), normaliser=normaliser_of(arrays))
    env_id = BODIES[name.split("-")[0]]
    scores = summarise(measure_policy_returns(teacher.policy, env_id, 10, seed=3), env_id)
    noise = 3.0 * max(scores["std"], 2.0) / np.sqrt(10)  # three standard errors of ten episodes
    assert min(SCORES[name]) - noise < scores["mean"] < max(SCORES[name]) + noise


@here
def test_the_dataset_gives_the_normaliser_and_distil_takes_the_file(tmp_path):
    with pytest.raises(PotstillError, match="have no normaliser: name the dataset"):
        potstill.import_teacher(CHECKPOINT)
    options: dict[str, Any] = {"recipe": SMALL_STUDENT, "size": 4, "steps": 1, "batch": 16}
    options |= {"episodes": 0, "students": 1}
    run = potstill.distill("hopper-medium-replay", teacher=CHECKPOINT, out=tmp_path / "run", **options)
    data = potstill.load_dataset("hopper-medium-replay")
    np.testing.assert_array_equal(potstill.load(run).normaliser.mean, data.normaliser.mean)


def test_corls_arrays_as_safetensors(tmp_path, data):
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    arrays = {"observation_mean": rng.normal(size=3), "observation_std": rng.uniform(0.5, 2.0, 3)}
    arrays |= {f"actor.log_std_{name}.constant": np.ones(1) for name in ("multiplier", "offset")}
    for net, inputs, outputs in (("actor.base_network", 3, 4), ("critic1.network", 5, 1), ("critic2.network", 5, 1)):
        for i, shape in ((0, (8, inputs)), (2, (outputs, 8))):
            arrays |= {f"{net}.{i}.weight": rng.normal(size=shape), f"{net}.{i}.bias": rng.normal(size=shape[0])}
    path = tmp_path / "teacher.safetensors"
    save_file({name: value.astype(np.float32) for name, value in arrays.items()}, path)
    teacher = find_teacher(path, "small", data)
    x = (data.observations - arrays["observation_mean"]) / (arrays["observation_std"] + 1e-3)
    hidden = np.maximum(x @ arrays["actor.base_network.0.weight"].T + arrays["actor.base_network.0.bias"], 0.0)
    wanted = np.tanh(hidden @ arrays["actor.base_network.2.weight"][:2].T + arrays["actor.base_network.2.bias"][:2])
    np.testing.assert_allclose(teacher.policy(data.observations), wanted, rtol=1e-4, atol=1e-5)
    save_file({name: value for name, value in arrays.items() if not name.startswith("obs")}, path)
    with pytest.raises(PotstillError, match="have no normaliser: name the dataset"):
        potstill.import_teacher(path)
    save_file({"weights": np.ones(3)}, path)
    with pytest.raises(PotstillError, match="expected a teacher, found a file that potstill did not write"):
        find_teacher(path, "small", data)


class Evil:
    def __reduce__(self):
        return os.system, ("touch " + os.environ["EVIL"],)


@pytest.mark.parametrize("suffix", [".pt", ".zip", ".d3"])
def test_files_cannot_run_code(tmp_path, monkeypatch, suffix):
    target = tmp_path / "was-here"
    monkeypatch.setenv("EVIL", str(target))
    bomb = pickle.dumps({"actor": Evil(), "config": Evil(), "torch": Evil()})
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    content = {".pt": inside.getvalue(), ".d3": bomb}.get(suffix)
    path = tmp_path / f"evil{suffix}"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("policy.pth", inside.getvalue())
    else:
        path.write_bytes(content)
    with pytest.raises(PotstillError):
        potstill.import_teacher(path, normaliser=Normaliser.identity(3))
    assert not target.exists()


@here
def test_damaged_checkpoints_get_one_line(tmp_path):
    good, rng = CHECKPOINT.read_bytes(), np.random.default_rng(0)
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(CHECKPOINT) as archive:
        root = next(n for n in archive.namelist() if n.endswith("data.pkl")).removesuffix("data.pkl")
        pickled = archive.read(f"{root}data.pkl")
        storages = {n: archive.read(n) for n in archive.namelist() if "/data/" in n}
    for trial in range(40):
        if trial < 10:
            path.write_bytes(good[: rng.integers(len(good))])
        else:
            spoiled = bytearray(pickled)
            for _ in range(5):
                spoiled[rng.integers(len(spoiled))] = rng.integers(256)
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(f"{root}data.pkl", bytes(spoiled))
                for name, content in storages.items():
                    archive.writestr(name, content)
        try:
            potstill.import_teacher(path, normaliser=Normaliser.identity(11))
        except PotstillError as error:
            assert str(path) in str(error)


def test_unknown_kinds(tmp_path):
    with pytest.raises(PotstillError, match=r"unknown kind of teacher file '\.ptt': did you mean '\.pt'"):
        potstill.import_teacher(tmp_path / "x.ptt")
    with pytest.raises(PotstillError, match="no such file"):
        potstill.import_teacher(tmp_path / "x.pt")
