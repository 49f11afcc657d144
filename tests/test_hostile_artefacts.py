"""Artefacts and teachers from strangers, or damaged: refused in one line, and nothing in them is executed."""

import ast
import dataclasses
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import make_columns, random_teacher
from test_hostile import circle, device, pipe, refused

import potstill
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder
from potstill.teachers.importers import archive as importers

SOURCE = Path(potstill.__file__).parent


def directory(path):
    path.mkdir()


ODD = {pipe: "FIFO", device: "device", circle: "Too many levels of symbolic links", directory: "folder"}
READERS: dict[str, Callable[[Path], object]] = {
    "distillate.safetensors": lambda path: potstill.load(path.parent),
    "teacher.safetensors": lambda path: potstill.load_teacher(path.parent),
    "policy.safetensors": potstill.load_policy,
    "config.json": lambda path: Run(path.parent).config,
    "metrics.jsonl": lambda path: Run(path.parent).metrics,
}


@pytest.mark.parametrize("kind", ODD, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", READERS)
def test_what_is_not_a_file(tmp_path, kind, name):
    """A FIFO would block for ever, and a device never end."""
    kind(tmp_path / name)
    refused(READERS[name], tmp_path / name, ODD[kind])


def test_files_do_not_import_modules(tmp_path, monkeypatch):
    """Gymnasium imports what is before the colon of an id."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("evil.py").write_text("from pathlib import Path; Path('imported').touch()")
    whole, env_id = potstill.load("hopper-medium-replay"), "evil:Evil-v0"
    whole = dataclasses.replace(whole, metadata={**whole.metadata, "env_id": env_id})
    whole.save("x.safetensors")
    columns = make_columns()
    np.savez("x.npz", **columns)
    data = potstill.convert("x.npz", out="converted")
    header = {key: value for key, value in json.loads((data / "dataset.json").read_text()).items() if key != "checksum"}
    (data / "dataset.json").write_text(json.dumps(header | {"env_id": env_id}))
    columns["actions"][3] = np.nan
    np.savez("refused.npz", **columns, env_id=np.array(env_id))
    with pytest.raises(PotstillError, match=r"x.safetensors: evil:Evil-v0 names a module, .*set env_id='evil:"):
        potstill.evaluate("x.safetensors")
    with pytest.warns(potstill.PotstillWarning, match="used without an environment: evil:Evil-v0 names a module"):
        assert potstill.load_dataset("converted").env_id is None
    with pytest.raises(PotstillError, match="nan in column actions"):
        potstill.inspect("refused.npz")
    assert not Path("imported").exists()
    with pytest.raises(PotstillError, match="Evil-v0"):
        potstill.evaluate("x.safetensors", env_id=env_id)
    assert Path("imported").exists()


OTHER = {"student": [1], "recipe": 3, "env_id": ["x"], "reference": "x", "mixture": {"sources": ["x"]}}


@pytest.mark.parametrize(("key", "value"), OTHER.items())
def test_metadata_of_other_types(tmp_path, key, value):
    whole = potstill.load("hopper-medium-replay")
    path = dataclasses.replace(whole, metadata={**whole.metadata, key: value}).save(tmp_path / "x.safetensors")
    refused(potstill.load, path, f"invalid {key}")


DEEP = "[" * 100_000


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
def test_json_that_is_nested_too_deeply(tmp_path, name):
    (tmp_path / name).write_text(f"{DEEP}\n{{}}\n")
    refused(READERS[name], tmp_path / name, "JSON")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
def test_numbers_in_json_that_no_float_holds(tmp_path, name):
    (tmp_path / name).write_text(f'{{"steps": {10**400}}}\n{{}}\n')
    refused(READERS[name], tmp_path / name, "JSON")


def test_a_whole_number_of_many_digits_as_a_float(unchecked):
    assert potstill.Recipe(learning_rate=2**70).learning_rate == 2**70  # NumPy has no integers of this size
    with pytest.raises(PotstillError, match="expected a finite number"):
        potstill.Recipe(learning_rate=10**400)


def test_json_that_is_too_large(tmp_path):
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 40)  # takes no space
    refused(READERS["config.json"], tmp_path / "config.json", "expected a JSON file of at most")


def test_safetensors(tmp_path):
    from safetensors.numpy import save

    path = tmp_path / "x.safetensors"
    arrays = {"x": np.zeros(3, np.float32)}
    valid = save(arrays, metadata={"potstill": "{}"})
    for content in (struct.pack("<Q", 2**63) + valid[8:], valid.replace(b"[3]", b"[9]"), valid[:-1], DEEP.encode()):
        path.write_bytes(content)
        refused(potstill.load_teacher, path, "damaged or not a safetensors file")
    path.write_bytes(save(arrays, metadata={"potstill": DEEP}))
    refused(potstill.load_teacher, path, "damaged metadata")


def write_pt(path, pickled, **storages):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return path


def tensors(count, size):
    """A pickle of many tensors that share one storage."""
    one = b"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nVs\nVcpu\n" + f"I{size}\n".encode()
    one += b"tQI0\n(" + f"I{size}\n".encode() + b"t(I1\nttR"
    return b"(d" + b"".join(f"Vt{i}\n".encode() + one + b"s" for i in range(count)) + b"."


def test_teachers_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(importers, "LARGEST", 1 << 16)
    bomb = write_pt(tmp_path / "bomb.pt", tensors(1, 3), s=bytes(1 << 22))
    refused(potstill.import_teacher, bomb, "bytes in an archive of")
    shared = write_pt(tmp_path / "shared.pt", tensors(50, 1000), s=np.random.default_rng(0).bytes(4000))
    refused(potstill.import_teacher, shared, "more bytes of tensors than the file can hold")
    assert (
        len(importers.read_tensors(write_pt(tmp_path / "few.pt", tensors(5, 1000), s=bytes(4000)).read_bytes(), "x"))
        == 5
    )


def test_checksums_are_compared(tmp_path):
    """Files of version 0.1 have none; those of now are refused when a bit flips."""
    path = random_teacher(states=2, actions=1).save(tmp_path / "x.safetensors")
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    refused(potstill.load_teacher, path, "does not have the checksum")
    arrays, metadata = {"x": np.zeros(3, np.float32)}, {"done": 1, "history": {2: "a"}}
    path = storage.save(tmp_path / "c.safetensors", "checkpoint", arrays, metadata)
    assert storage.load(path, "checkpoint")[1] == {"done": 1, "history": {"2": "a"}}
    path.write_bytes(path.read_bytes().replace(b'\\"done\\": 1', b'\\"done\\": 2'))
    with pytest.raises(PotstillError, match="checksum"):
        storage.load(path, "checkpoint")


def test_a_distillate_has_its_checksum_beside_it(tmp_path):
    """Its own bytes depend on nothing but the pairs and how they were made."""
    with RunFolder(tmp_path / "run", "distill", {}) as folder:
        path = potstill.load("hopper-medium-replay").save(folder.path / "distillate.safetensors")
        folder.finish({"sha256": storage.hash_file(path)})
    assert len(potstill.load(tmp_path / "run")) == 256
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    for source in (path, tmp_path / "run"):
        refused(potstill.load, source, "its SHA-256 is not the one in result.json")


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
ALLOWED = {"teachers/importers/archive.py": {"pickle"}}  # an unpickler that resolves no name outside its module


def test_nothing_is_unpickled_or_executed():
    """No eval, no pickle, no YAML, no shell; NumPy is told not to unpickle."""
    for path in SOURCE.rglob("*.py"):
        name = str(path.relative_to(SOURCE))
        check_calls(path.read_text(), name, ALLOWED.get(name, set()))


def check_calls(source, file, allowed):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not {name.partition(".")[0] for name in names} & (UNPICKLING - allowed), (
                f"{file}, line {node.lineno}"
            )
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = {keyword.arg: keyword.value for keyword in node.keywords}
        if isinstance(node.func, ast.Name):
            assert name not in FORBIDDEN_CALLS, f"{file}, line {node.lineno}: {name}"
        value = getattr(node.func, "value", None)
        owner = getattr(value, "id", "") or getattr(value, "attr", "")
        if (owner, name) in (("np", "load"), ("format", "read_array")):
            assert getattr(words.get("allow_pickle"), "value", None) is False, f"{file}, line {node.lineno}: np.load"
        assert (owner, name) not in (("torch", "load"), ("os", "system"), ("os", "popen")), (
            f"{file}, line {node.lineno}"
        )
        assert "shell" not in words, f"{file}, line {node.lineno}: a shell"
