"""Run calls as jobs of Slurm, through submitit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, make_missing_extra_error, name_option
from potstill.runtime.executors.base import Executor, Pending, count_cores
from potstill.runtime.files import make_write_error

JOBS = 64  # jobs that are submitted at a time
HOURS = 12  # time limit of a job
CLUSTERS = ("slurm", "local")


class SlurmExecutor(Executor):
    """Runs each call as a job, through `submitit <https://github.com/facebookincubator/submitit>`_.

    The extra ``slurm`` installs it. The environment variables of ``sbatch``, such as ``SBATCH_PARTITION``, set the
    partition, the account and other options of the jobs. submitit writes a script, the call and its result into the
    scratch folder. It pickles the latter two, and only the jobs and this process read them.

    Args:
        workers: the number of jobs that are submitted at a time. Default: 64; with the address ``local``, the number
            of cores.
        address: ``slurm`` (default), or ``local`` for processes on this machine, to try the executor without a cluster.
        scratch: a folder on a file system that all nodes share. It is deleted at the end, unless a job failed.

    Raises:
        PotstillError: submitit is not installed, there is no Slurm on this machine, or the folder cannot be written.
    """

    takes_address = True

    def __init__(self, workers: int | None = None, address: str | None = None, scratch: Path | None = None) -> None:
        super().__init__(workers, address, scratch)
        cluster = address or "slurm"
        if cluster not in CLUSTERS:
            raise PotstillError(f"{name_option('address', address)}: the slurm executor takes {' or '.join(CLUSTERS)}")
        if scratch is None:
            raise PotstillError("the slurm executor needs a scratch folder on a file system that all nodes share")
        try:
            import submitit
        except ImportError:
            raise make_missing_extra_error("submitit", "slurm") from None
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise PotstillError(
                f"there is no Slurm on this machine (no sbatch); {name_option('address', 'local')} runs jobs here"
            )
        self.scratch = scratch
        try:
            self._submitit = submitit.AutoExecutor(folder=scratch, cluster=cluster)
        except OSError as error:
            raise make_write_error(f"to {scratch}", error) from None
        self._submitit.update_parameters(timeout_min=60 * HOURS, name="potstill", slurm_cpus_per_task=1)
        self._jobs: list[Any] = []
        self.limit = workers or (JOBS if cluster == "slurm" else count_cores())

    def submit(self, function: Callable[..., object], *arguments: object) -> Pending:
        """Submit a job."""
        job = self._submitit.submit(function, *arguments)
        self._jobs.append(job)
        pending: Pending = job
        return pending

    def close(self, stop: bool) -> None:
        """Cancel jobs that still run if ``stop``, and delete the scratch folder if all jobs have written a result."""
        for job in self._jobs:
            if stop and not job.done():
                job.cancel(check=False)
        if not stop and all(Path(job.paths.result_pickle).exists() for job in self._jobs):
            shutil.rmtree(self.scratch, ignore_errors=True)
