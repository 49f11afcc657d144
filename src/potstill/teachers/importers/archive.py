"""Read PyTorch's ``.pt`` files as NumPy arrays, without PyTorch and without executing code from the file.

Such a file is a zip archive: a pickle that describes nested dictionaries, and raw storages. The unpickler here
resolves three names (ordered dictionary, tensor, parameter) and replaces all others by an inert placeholder. It calls
no code and imports no module that the file names.
"""

from __future__ import annotations

import functools
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

Tensors = dict[str, np.ndarray]  # by dotted names, such as "actor.trunk.0.weight"
LoadStorage = Callable[[str, type[np.generic]], np.ndarray]  # maps a storage's key and type to its numbers
LARGEST = 1 << 26  # bytes that tensors may take in any file; larger files may hold twice their own size
STORAGES: dict[str, type[np.generic]] = {
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


class Dictionary(dict[object, object]):
    """A dictionary that ignores the attributes of a pickled one."""

    def __setstate__(self, state: object) -> None:
        pass


class Placeholder:
    """An inert stand-in for anything in the file that is neither a tensor nor a plain container."""

    def __new__(cls, *args: object, **options: object) -> Placeholder:
        """Accept any arguments."""
        return object.__new__(cls)

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Drop the value."""

    def extend(self, values: object) -> None:
        """Drop the values."""


class TensorReader(pickle.Unpickler):
    """An unpickler that resolves no name outside this module."""

    def __init__(self, content: bytes, storage: LoadStorage | None = None, limit: int = LARGEST) -> None:
        super().__init__(io.BytesIO(content))
        self.storage, self.left = storage, limit

    def find_class(self, module: str, name: str) -> object:
        """The replacement for a name in the file."""
        if (module, name) == ("collections", "OrderedDict"):
            return Dictionary
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return self.copy_tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _unwrap_parameter
        return Placeholder

    def copy_tensor(self, *arguments: Any) -> np.ndarray:
        """Copy a tensor out of its storage, as long as all of them together are not too large."""
        found = _copy_tensor(*arguments)
        self.left -= found.nbytes
        if self.left < 0:
            raise pickle.UnpicklingError("more bytes of tensors than the file can hold")
        return found

    def persistent_load(self, pid: Sequence[object]) -> np.ndarray:
        """The storage that a tensor is a view of."""
        _, named, key, *_ = pid
        kind = next((kind for kind in STORAGES.values() if kind is named), None)
        if self.storage is None or kind is None:
            raise pickle.UnpicklingError(f"unknown kind of storage {named}")
        return self.storage(str(key), kind)


def _copy_tensor(
    storage: np.ndarray, offset: int, shape: Sequence[int], stride: Sequence[int], *_: object
) -> np.ndarray:
    """Copy a view of the storage. Views that repeat elements are refused: a copy could need any amount of memory."""
    # Convert to Python's integers: NumPy's, which a file may contain, can overflow.
    offset, *numbers = (operator.index(n) for n in (offset, *shape, *stride))
    sizes, steps = numbers[: len(shape)], numbers[len(shape) :]
    count = math.prod(sizes)
    last = offset + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    if storage.ndim != 1 or min([offset, *numbers]) < 0 or count > len(storage) or (count and last >= len(storage)):
        raise pickle.UnpicklingError("a tensor outside its storage")
    return np.lib.stride_tricks.as_strided(storage[offset:], sizes, [n * storage.itemsize for n in steps]).copy()


def _unwrap_parameter(tensor: np.ndarray, *_: object) -> np.ndarray:
    return tensor


def unpickle(content: bytes, storage: LoadStorage | None = None, limit: int = LARGEST) -> object:
    """Read the objects that a pickle describes, without importing or calling anything that it names.

    Their tensors may take at most ``limit`` bytes.
    """
    for operation, place, _ in pickletools.genops(content):
        # The unpickler allocates memory up to this memo index. A file of n bytes needs fewer than n indices.
        if operation.name in ("PUT", "LONG_BINPUT") and (place or 0) > len(content):
            raise pickle.UnpicklingError(f"invalid memo index {place}")
    found: object = TensorReader(content, storage, limit).load()
    return found


def check_size(archive: zipfile.ZipFile, size: int) -> int:
    """Return the number of bytes that tensors of an archive of ``size`` bytes may take.

    Raises:
        ValueError: its members are larger.
    """
    limit, found = LARGEST + 2 * size, sum(member.file_size for member in archive.infolist())
    if found > limit:
        raise ValueError(f"{found:,} bytes in an archive of {size:,}")
    return limit


@contextmanager
def reporting_damage(path: Path | str, kind: str) -> Iterator[None]:
    """Turn any error in parsing a foreign file into a one-line :class:`PotstillError`."""
    try:
        yield
    except PotstillError:
        raise
    except Exception as error:  # damaged archives and pickles raise errors of all types
        raise PotstillError(f"{path}: damaged, or not {kind} ({error!r})") from None


def read_tensors(content: bytes, path: Path | str) -> Tensors:
    """Read the tensors of a ``.pt`` file as arrays. Those in its state dictionaries are named ``dictionary.name``.

    Deeper nested values and values that are not tensors, such as optimisers and settings, are omitted.

    Raises:
        PotstillError: the file is not a zip archive, is damaged, or does not hold a dictionary.
    """
    kind = "a PyTorch file of version 1.6 or newer"
    with reporting_damage(path, kind), zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next((entry for entry in archive.namelist() if entry.endswith("data.pkl")), None)
        if name is None:
            raise PotstillError(f"{path}: not a PyTorch file (no data.pkl inside)")
        root, limit = name.removesuffix("data.pkl"), check_size(archive, len(content))

        read = functools.cache(lambda key: archive.read(f"{root}data/{key}"))  # a pickle may name a storage often

        def find_storage(key: str, kind: type[np.generic]) -> np.ndarray:
            return np.frombuffer(read(key), kind)

        found = unpickle(archive.read(name), find_storage, limit)
    if not isinstance(found, dict):
        raise PotstillError(f"{path}: expected a dictionary of tensors, found {type(found).__name__}")
    inner = {f"{part}.{k}": v for part, values in found.items() if isinstance(values, dict) for k, v in values.items()}
    return {str(name): value for name, value in {**found, **inner}.items() if isinstance(value, np.ndarray)}
