"""PyTorch's ``.pt`` files as NumPy arrays, without PyTorch and without running anything from the file.

Such a file is a zip archive: a pickle that describes nested dictionaries, and raw storages. The pickle is
read by a machine that knows three names (ordered dictionary, tensor, parameter) and turns every other one
into an inert placeholder: no code of the file, and no module it names, is ever imported or called.
"""

from __future__ import annotations

import io
import math
import operator
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError

Tensors = dict[str, np.ndarray]  # by dotted names, e.g. "actor.trunk.0.weight"
STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Dictionary(dict[str, Any]):
    """A dictionary that drops the attributes which a pickled one may carry."""

    def __setstate__(self, state: Any) -> None:
        pass


class Placeholder:
    """What a file asked for that is neither a tensor nor a plain container; it does nothing."""

    def __new__(cls, *args: Any, **options: Any) -> Placeholder:
        """Take any arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Drop the value."""

    def extend(self, values: Any) -> None:
        """Drop the values."""


class TensorReader(pickle.Unpickler):
    """A pickle machine that resolves no name outside this file."""

    def __init__(self, content: bytes, storage: Callable[[str, Any], np.ndarray] | None = None) -> None:
        super().__init__(io.BytesIO(content))
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Our own stand-in for whatever the file names."""
        if (module, name) == ("collections", "OrderedDict"):
            return Dictionary
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter
        return Placeholder

    def persistent_load(self, pid: Any) -> Any:
        """The storage that a tensor is a view of."""
        _, kind, key, *_ = pid
        if self.storage is None or kind not in STORAGES.values():
            raise pickle.UnpicklingError(f"a storage of unknown kind {kind}")
        return self.storage(key, kind)


def _tensor(storage: np.ndarray, offset: int, shape: Sequence[int], stride: Sequence[int], *_: Any) -> np.ndarray:
    """A copy of a view of the storage. One that repeats elements could ask for any amount of memory: refused."""
    # Python's integers: those of NumPy, which a file may hold as well, wrap around.
    offset, *numbers = (operator.index(n) for n in (offset, *shape, *stride))
    sizes, steps = numbers[: len(shape)], numbers[len(shape) :]
    count = math.prod(sizes)
    last = offset + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    if storage.ndim != 1 or min([offset, *numbers]) < 0 or count > len(storage) or (count and last >= len(storage)):
        raise pickle.UnpicklingError("a tensor outside its storage")
    return np.lib.stride_tricks.as_strided(storage[offset:], sizes, [n * storage.itemsize for n in steps]).copy()


def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor


def unpickle(content: bytes, storage: Callable[[str, Any], np.ndarray] | None = None) -> Any:
    """What a pickle describes; nothing that it names is imported or called."""
    for operation, place, _ in pickletools.genops(content):
        # The machine reserves memory up to this place, of which a file of n bytes needs fewer than n.
        if operation.name in ("PUT", "LONG_BINPUT") and (place or 0) > len(content):
            raise pickle.UnpicklingError(f"a reference to place {place}")
    return TensorReader(content, storage).load()


@contextmanager
def taking_apart(path: Path | str, kind: str) -> Iterator[None]:
    """Whatever goes wrong with the bytes of a foreign file, as one line."""
    try:
        yield
    except PotstillError:
        raise
    except Exception as error:  # archives and pickle machines fail in as many ways as there are bytes
        raise PotstillError(f"{path}: damaged, or not {kind} ({error!r})") from None


def read_tensors(content: bytes, path: Path | str) -> Tensors:
    """The tensors of a ``.pt`` file as arrays, those of its state dictionaries as ``dictionary.name``.

    What lies deeper, or is no tensor, is left out: optimisers and settings.

    Raises:
        PotstillError: no zip archive, damaged, or not a dictionary.
    """
    with taking_apart(path, "a PyTorch file of version 1.6 or newer"), zipfile.ZipFile(io.BytesIO(content)) as archive:
        papers = next((entry for entry in archive.namelist() if entry.endswith("data.pkl")), None)
        if papers is None:
            raise PotstillError(f"{path}: not a PyTorch file (no data.pkl inside)")
        root = papers.removesuffix("data.pkl")
        found = unpickle(archive.read(papers), lambda key, kind: np.frombuffer(archive.read(f"{root}data/{key}"), kind))
    if not isinstance(found, dict):
        raise PotstillError(f"{path}: holds {type(found).__name__}, not a dictionary of tensors")
    inner = {f"{part}.{k}": v for part, values in found.items() if isinstance(values, dict) for k, v in values.items()}
    return {str(name): value for name, value in {**found, **inner}.items() if isinstance(value, np.ndarray)}
