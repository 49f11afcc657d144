"""Split the work of one command among several devices, in one process or in several.

The programs are written for one device. :func:`shard` marks a few arrays with the axis along which they are split, and
the compiler partitions the other arrays. With one device, these functions change nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, sync_global_devices
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from potstill.errors import PotstillError, name_option

AXIS = "devices"
COORDINATOR, PROCESSES, PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
Tree = TypeVar("Tree")
Function = TypeVar("Function", bound=Callable[..., object])


def use_devices(devices: int | None) -> None:
    """Make ``devices`` devices visible before JAX starts, and join the other processes if there are any.

    On a CPU, each device is one core. If the environment variables ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES``
    and ``JAX_PROCESS_ID`` are set, the processes that were started with the same command share all their devices. This
    function also calls :func:`keep_memory`.

    Raises:
        PotstillError: JAX cannot start or has started with another number of devices, or the environment is
            incomplete.
    """
    keep_memory()
    if devices is not None:
        with contextlib.suppress(RuntimeError):  # JAX may have started already; its number of devices is checked below
            jax.config.update("jax_num_cpu_devices", devices)
    if COORDINATOR in os.environ and not jax.distributed.is_initialized():
        _join()
    start_jax()
    if devices is not None and jax.local_device_count() != devices:
        raise PotstillError(
            f"{name_option('devices', devices)}: JAX has {jax.local_device_count()} devices in this process"
        )


def start_jax() -> None:
    """Initialise JAX and its devices, if this has not happened yet.

    Raises:
        PotstillError: JAX cannot start, for example because ``JAX_PLATFORMS`` names a platform that is not installed.
    """
    try:
        jax.devices()
    except Exception as error:  # RuntimeError or AssertionError, depending on what is missing
        why = (str(error).splitlines() or [type(error).__name__])[0]
        named = os.environ.get("JAX_PLATFORMS")
        hint = f" with JAX_PLATFORMS={named}: set JAX_PLATFORMS=cpu, or unset it" if named else ""
        raise PotstillError(f"JAX cannot start{hint} ({why})") from None


def keep_memory() -> bool:
    """Make glibc keep freed memory instead of returning it to the system; return whether glibc accepted the setting.

    On a CPU, XLA allocates tens of megabytes for each call and frees them afterwards. If glibc returned this memory,
    the system would have to clear new pages for the next call, which takes a considerable share of an outer step.
    Without glibc, this function does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(option, 2**31 - 1) for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))


def _join() -> None:
    missing = [name for name in (PROCESSES, PROCESS) if not os.environ.get(name, "").isdigit()]
    if missing:
        raise PotstillError(f"{COORDINATOR} is set: expected numbers in {' and '.join(missing)}")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(os.environ[COORDINATOR], int(os.environ[PROCESSES]), int(os.environ[PROCESS]))
    sync_global_devices("joined")  # connects the devices while all processes wait here


def is_leader() -> bool:
    """Whether this process is the one that writes files."""
    return jax.process_index() == 0


def is_alone() -> bool:
    """Whether no other processes share their devices with this one."""
    return bool(jax.process_count() == 1)


def disconnect() -> None:
    """Leave the process group. Call this when no more arrays are exchanged."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def broadcast(value: float) -> float:
    """Return the leading process's ``value`` in every process, so that all processes make the same decision."""
    return value if jax.process_count() == 1 else float(broadcast_one_to_all(np.float32(value)))


def find_all_devices() -> Mesh:
    """Return a mesh of the devices of all processes, which must all run the same program."""
    return Mesh(np.array(jax.devices()), (AXIS,))


def find_local_devices() -> Mesh:
    """Return a mesh of the devices of this process."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def divides_evenly(size: int, mesh: Mesh) -> bool:
    """Whether ``size`` items can be split evenly among the devices of ``mesh``."""
    return size % mesh.size == 0


def shard(tree: Tree, mesh: Mesh) -> Tree:
    """Split the leading axis of every array among the devices; return ``tree`` unchanged if an axis does not divide."""
    even = all(divides_evenly(leaf.shape[0], mesh) for leaf in jax.tree.leaves(tree))
    return _constrain(tree, mesh, AXIS) if even else tree


def shard_calls(function: Function, mesh: Mesh) -> Function:
    """Return ``function`` with the leading axes of its first argument and of its result split among the devices.

    All other arguments are replicated. The split is explicit, because the compiler's automatic partitioning makes
    every device initialise and train all students.
    """
    if mesh.size == 1:
        return function
    lead, rest = PartitionSpec(AXIS), PartitionSpec()
    sharded: Function = jax.shard_map(function, mesh=mesh, in_specs=(lead, rest, rest), out_specs=lead, check_vma=False)
    return sharded


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Replicate ``tree`` on every device, inside a compiled function."""
    return _constrain(tree, mesh)


def _constrain(tree: Tree, mesh: Mesh, *axes: str) -> Tree:
    if mesh.size == 1:
        return tree
    constrained: Tree = jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(*axes)))
    return constrained


def place(tree: Tree, mesh: Mesh) -> Tree:
    """Copy ``tree`` to every device. It must be equal in all processes."""
    return tree if mesh.size == 1 else jax.jit(lambda arrays: replicate(arrays, mesh))(tree)


def localise(tree: Tree) -> Tree:
    """Copy a replicated ``tree`` to arrays local to this process."""
    copy = lambda leaf: jnp.copy(leaf) if len(leaf.devices()) == 1 else jnp.array(np.asarray(leaf))  # noqa: E731
    local: Tree = jax.tree.map(copy, tree)
    return local
