"""Run calls on a Ray cluster, or on a local one that is started for them."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, describe_first_line, make_missing_extra_error, name_option
from potstill.runtime.executors.base import Executor, Pending, count_cores

PATIENCE = 4.0  # seconds in which an address must accept a connection
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # any gRPC server replies to it
PORT = 6379  # default port of the head of a cluster


class RayExecutor(Executor):
    """Runs calls on a `Ray <https://docs.ray.io>`_ cluster. The extra ``ray`` installs it.

    Every machine of the cluster needs potstill, and the paths of the data and of the run folder must be those of the
    same files on all of them. Without an address, a cluster on this machine is started, and ended with the executor.

    Args:
        workers: the number of calls that run at a time. Default: the number of cores of the cluster.
        address: ``auto`` for the running cluster that Ray finds from this machine, or ``host:port`` of its head.
        scratch: not used.

    Raises:
        PotstillError: Ray is not installed, or there is no cluster at the address.
    """

    takes_address = True

    def __init__(self, workers: int | None = None, address: str | None = None, scratch: Path | None = None) -> None:
        super().__init__(workers, address, scratch)
        if address not in (None, "auto", "local"):
            check_address(str(address))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # turns off the usage reports that Ray sends
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns if it is not set
        try:
            import ray
        except ImportError:
            raise make_missing_extra_error("ray", "ray") from None
        self._ray = ray
        started: dict[str, Any] = {"address": address}
        if address in (None, "local"):
            started = {"address": "local", "num_cpus": workers or count_cores(), "include_dashboard": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # JAX warns of forks; Ray only starts programs by them
                ray.init(**started, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except Exception as error:  # Ray raises exceptions of a dozen types
            raise PotstillError(f"{name_option('address', address)}: {describe_first_line(error)}") from None
        found = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
        self.limit = workers or max(1, int(found.get("CPU", 1)))

    def submit(self, function: Callable[..., object], *arguments: object) -> Pending:
        """Start a call on one core of the cluster. A call whose worker dies is not repeated."""
        remote = self._ray.remote(num_cpus=1, max_retries=0)(function)
        pending: Pending = remote.remote(*arguments).future()
        return pending

    def close(self, stop: bool) -> None:
        """Disconnect. Ray ends the calls that still run, and a cluster that was started here."""
        self._ray.shutdown()


def check_address(address: str) -> None:
    """Raise unless the head of a cluster accepts a connection and replies. Without this check, Ray waits for minutes.

    >>> check_address("127.0.0.1:1")
    Traceback (most recent call last):
    potstill.errors.PotstillError: address='127.0.0.1:1': nothing answers there (Connection refused)
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        host, port = port, str(PORT)
    if not port.isdecimal():
        raise PotstillError(f"{name_option('address', address)}: expected auto, or host:port of the head of a cluster")
    try:
        with contextlib.closing(socket.create_connection((host, int(port)), timeout=PATIENCE)) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(GREETING)
                if not connection.recv(1):
                    raise ConnectionError("it closes the connection")
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PotstillError(f"{name_option('address', address)}: nothing answers there ({reason})") from None
