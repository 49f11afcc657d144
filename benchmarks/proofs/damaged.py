"""Write valid files of every kind that potstill reads, and read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

import potstill
from benchmarks import toy
from benchmarks.proofs.mutation import mutate
from potstill.data.formats.d4rl import write_d4rl
from potstill.runtime import storage
from potstill.runtime.files import hash_file
from potstill.runtime.run_folder import RunFolder

ROWS, STATES, ACTIONS = 60, 3, 2
Mutation = Callable[[bytes, Sequence[bytes], np.random.Generator], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    write: Callable[[Path], Path]
    """Write a valid file into a folder, and return its path."""
    read: Callable[[Path], object]
    """Read the file. Equal contents give equal values."""
    checked: bool = True
    """Whether its bytes have a checksum, so that every change is noticed."""
    package: str = "potstill"
    """A package that the kind needs."""
    mutate: Mutation = mutate
    """Changes a content, given all contents that are kept and a generator of random numbers."""


def make_columns() -> dict[str, np.ndarray]:
    """Make rows in D4RL's layout."""
    rng = np.random.default_rng(0)
    ends = np.arange(1, ROWS + 1) % 20 == 0
    return {
        "observations": rng.normal(size=(ROWS, STATES)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(ROWS, ACTIONS)).astype(np.float32),
        "rewards": rng.normal(size=ROWS).astype(np.float32),
        "terminals": ends & (np.arange(ROWS) < 20),
        "timeouts": ends & (np.arange(ROWS) >= 20),
    }


def write_npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", **make_columns())  # type: ignore[arg-type]
    return folder / "x.npz"


def write_hdf5(folder: Path) -> Path:
    write_d4rl(folder / "x.hdf5", make_columns(), env_id=None, card={"source": "toy"})
    return folder / "x.hdf5"


def write_plain_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "plain.hdf5", "w") as file:
        for key, values in make_columns().items():
            file[key] = values
    return folder / "plain.hdf5"


def write_parquet(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    lists = {key: values.tolist() if values.ndim > 1 else values for key, values in make_columns().items()}
    write_table(pa.table(lists), folder / "x.parquet", write_page_checksum=True)
    return folder / "x.parquet"


def write_converted(folder: Path) -> Path:
    potstill.convert(write_npz(folder), out=folder / "converted")
    return folder / "converted" / "rows.npy"


def write_teacher(folder: Path) -> Path:
    toy.write_teacher(folder / "teacher.safetensors")
    return folder / "teacher.safetensors"


def write_policy(folder: Path) -> Path:
    teacher = potstill.load_teacher(write_teacher(folder))
    return teacher.policy.save(folder / "policy.safetensors", {})


def write_checkpoint(folder: Path) -> Path:
    arrays = {key: values for key, values in make_columns().items() if values.dtype == np.float32}
    return storage.save(folder / "checkpoint.safetensors", "checkpoint", arrays, {"done": 3, "history": [{"a": 0.1}]})


def write_distillate(folder: Path) -> Path:
    """Write the bundled distillate into the folder of a finished run."""
    with RunFolder(folder / "run", "distill", {}) as run:
        path = potstill.load("hopper-medium-replay").save(run.path / "distillate.safetensors")
        run.finish({"sha256": hash_file(path)})
    return path


def write_result(folder: Path) -> Path:
    return write_metrics(folder).with_name("result.json")


def write_metrics(folder: Path) -> Path:
    with RunFolder(folder / "run", "distill", {}) as run:
        for step in range(9):
            run.log(step=step, loss=0.5**step)
        run.finish({"student": {"mean": 79.2, "std": 3.1, "returns": [[1.0, 2.0]]}})
    return run.path / "metrics.jsonl"


def read_artefact(path: Path) -> object:
    return [storage.hash_content(*storage.load(path, str(storage.read_kind(path))))]


def read_dataset(path: Path) -> object:
    return potstill.load_dataset(path).content_hash


def read_distillate(path: Path) -> object:
    distillate = potstill.load(path.parent)
    arrays = {"states": distillate.states, "actions": distillate.actions, **distillate.scaling.to_arrays()}
    return storage.hash_content(arrays, distillate.metadata)


def read_converted(path: Path) -> object:
    """Hash every value, because loading does not compare the values with the content hash in the header."""
    found = potstill.load_dataset(path.parent).to_columns()
    return hashlib.sha256(b"".join(np.ascontiguousarray(found[key]).tobytes() for key in sorted(found))).hexdigest()


KINDS: Mapping[str, Kind] = {
    "teacher": Kind(write_teacher, read_artefact),
    "policy": Kind(write_policy, read_artefact),
    "checkpoint": Kind(write_checkpoint, read_artefact),
    "distillate": Kind(write_distillate, read_distillate),
    "npz": Kind(write_npz, read_dataset),
    "hdf5": Kind(write_hdf5, read_dataset, checked=False),
    "plain hdf5": Kind(write_plain_hdf5, read_dataset, checked=False),
    "parquet": Kind(write_parquet, read_dataset, package="pyarrow"),
    "converted": Kind(write_converted, read_converted),
    "result": Kind(write_result, lambda path: potstill.Run(path.parent).result.to_dict()),
    "metrics": Kind(write_metrics, lambda path: potstill.Run(path.parent).metrics),
}
