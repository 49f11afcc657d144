"""Devices: how the work of one command is shared among several, of one process or of many.

The programs are those of one device. A few arrays say along which axis they are shared (:func:`spread`),
the compiler does the rest; with one device nothing changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, sync_global_devices
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from potstill.errors import PotstillError

AXIS = "devices"
COORDINATOR, PROCESSES, PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
Tree = TypeVar("Tree")


def use(devices: int | None) -> None:
    """Make ``devices`` devices visible, before JAX starts; join the other processes if there are any.

    Memory that is freed from here on stays with the process, see :func:`keep_memory`.

    On a processor each device is one of its cores. Where the environment names a coordinator
    (``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES``, ``JAX_PROCESS_ID``), the processes that were
    started with the same command share all their devices.

    Raises:
        PotstillError: JAX has started with another number of devices, or the environment is incomplete.
    """
    keep_memory()
    if devices is not None:
        with contextlib.suppress(RuntimeError):  # where JAX has started, what counts is what it found
            jax.config.update("jax_num_cpu_devices", devices)
    if COORDINATOR in os.environ and not jax.distributed.is_initialized():
        _join()
    if devices is not None and jax.local_device_count() != devices:
        raise PotstillError(f"--devices {devices}: JAX has {jax.local_device_count()}")


def keep_memory() -> bool:
    """Let glibc keep memory that is freed, rather than hand it back to the system; whether it agreed.

    On a processor XLA takes some tens of megabytes for each call and frees them after it. Handed back each time, they
    come anew as pages that the system has to clear, which takes a good part of an outer step. Elsewhere than on glibc
    nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(option, 2**31 - 1) for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))


def _join() -> None:
    missing = [name for name in (PROCESSES, PROCESS) if not os.environ.get(name, "").isdigit()]
    if missing:
        raise PotstillError(f"{COORDINATOR} is set, so {' and '.join(missing)} must be numbers too")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(os.environ[COORDINATOR], int(os.environ[PROCESSES]), int(os.environ[PROCESS]))
    sync_global_devices("joined")  # connects the devices while all processes are here


def leads() -> bool:
    """Whether this process is the one that writes files."""
    return jax.process_index() == 0


def part() -> None:
    """Let the other processes go, once nothing more is shared with them."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def agreed(value: float) -> float:
    """``value`` as the process that leads has it: what all must decide alike."""
    return value if jax.process_count() == 1 else float(broadcast_one_to_all(np.float32(value)))


def everyones() -> Mesh:
    """The devices of all processes, which must then all run the same program."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def own() -> Mesh:
    """The devices of this process."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def divides(size: int, mesh: Mesh) -> bool:
    """Whether ``size`` things can be shared out evenly."""
    return size % mesh.size == 0


def spread(tree: Tree, mesh: Mesh) -> Tree:
    """Share the leading axis of every array of ``tree``; leave them as they are where it does not divide."""
    even = all(divides(leaf.shape[0], mesh) for leaf in jax.tree.leaves(tree))
    return _constrained(tree, mesh, AXIS) if even else tree


def shared(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """``function`` with the leading axes of its first argument and of its result shared, all else whole.

    Said outright: left to the compiler, every device would draw and train all students.
    """
    if mesh.size == 1:
        return function
    lead, rest = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(function, mesh=mesh, in_specs=(lead, rest, rest), out_specs=lead, check_vma=False)


def whole(tree: Tree, mesh: Mesh) -> Tree:
    """Give every device all of ``tree``."""
    return _constrained(tree, mesh)


def _constrained(tree: Tree, mesh: Mesh, *axes: str) -> Tree:
    if mesh.size == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(*axes)))


def placed(tree: Tree, mesh: Mesh) -> Tree:
    """``tree``, which all processes hold alike, as arrays that every device has."""
    return tree if mesh.size == 1 else jax.jit(lambda arrays: whole(arrays, mesh))(tree)


def gathered(tree: Tree) -> Tree:
    """``tree``, of which every device has all, as new arrays that JAX may put on any device of this process."""
    copy = lambda leaf: jnp.copy(leaf) if len(leaf.devices()) == 1 else jnp.array(np.asarray(leaf))  # noqa: E731
    return jax.tree.map(copy, tree)
