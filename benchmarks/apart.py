"""Run one program of a benchmark in a process of its own, on a given number of cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # as the Makefile sets it: fewer page faults


def run_apart(script: str, program: str, cores: int) -> dict[str, Any]:
    """The JSON that ``script --child program`` prints last, run on the last ``cores`` of this process's cores."""
    available = sorted(os.sched_getaffinity(0))
    if cores > len(available):
        raise SystemExit(f"--cores {cores}: this process may use {len(available)}")
    chosen = set(available[-cores:])
    done = subprocess.run(
        [sys.executable, script, "--child", program],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        env={**os.environ, **HUGE_PAGES},
    )
    return json.loads(done.stdout.strip().splitlines()[-1])
