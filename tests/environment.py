"""Settings under which the tests take less time. JAX and BLAS read them when they start, in every process."""

import os
import subprocess
import sys
from pathlib import Path

# Most of the time goes into compilation: XLA leaves out what takes longest, and programs are shared on disk.
CHEAP = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
SETTINGS = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parents[1] / ".pytest_cache" / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "OPENBLAS_NUM_THREADS": "1",  # its threads spin while they wait for a core, which costs minutes
}


def missing_settings():
    """The settings that are not set yet."""
    if "XLA_FLAGS" in os.environ:
        flags = os.environ["XLA_FLAGS"]
    else:  # XLA ends a process that sets a flag which its version does not have
        probe = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.CompileOptions()"]
        done = subprocess.run(probe, env={**os.environ, "XLA_FLAGS": CHEAP}, capture_output=True, check=False)
        flags = "" if done.returncode else CHEAP
    return {name: value for name, value in SETTINGS.items() if name not in os.environ} | {"XLA_FLAGS": flags}
