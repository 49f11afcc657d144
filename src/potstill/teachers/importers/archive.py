"""PyTorch's ``.pt`` files as NumPy arrays, without PyTorch and without running anything from the file.

Such a file is a zip archive: a pickle that describes nested dictionaries, and raw storages. The pickle is
read by a machine that knows three names (ordered dictionary, tensor, parameter) and turns every other one
into an inert placeholder: no code of the file, and no module it names, is ever imported or called.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError

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
    """A dictionary that takes the attributes which a pickled one may carry."""


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


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if min(shape, default=1) < 1 or offset < 0 or min(stride, default=0) < 0 or last >= len(storage):
        raise pickle.UnpicklingError("a tensor outside its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor


def read_tensors(source: Path | bytes, *, name: Path | str) -> dict[str, Any]:
    """The nested dictionaries of a ``.pt`` file, tensors as arrays.

    Raises:
        PotstillError: no zip archive, damaged, or not a dictionary.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            papers = next((entry for entry in archive.namelist() if entry.endswith("data.pkl")), None)
            if papers is None:
                raise PotstillError(f"{name}: not a PyTorch file (no data.pkl inside)")
            root = papers.removesuffix("data.pkl")
            storage = lambda key, kind: np.frombuffer(archive.read(f"{root}data/{key}"), kind)  # noqa: E731
            found = TensorReader(archive.read(papers), storage).load()
    except PotstillError:
        raise
    except (zipfile.BadZipFile, OSError) as error:
        raise PotstillError(f"{name}: damaged, or not a PyTorch file of version 1.6 or newer ({error})") from None
    except Exception as error:  # a pickle machine fails in as many ways as there are bytes
        raise PotstillError(f"{name}: damaged ({type(error).__name__}: {error})") from None
    if not isinstance(found, dict):
        raise PotstillError(f"{name}: holds {type(found).__name__}, not a dictionary of tensors")
    return found
