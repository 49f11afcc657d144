"""Build the archives of potstill, and virtual environments, in a temporary folder that is removed at the end."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.files import ROOT

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
DIRECT = (
    "gymnasium",
    "h5py",
    "jax",
    "jaxlib",
    "jaxtyping",
    "matplotlib",
    "mujoco",
    "numpy",
    "optax",
    "safetensors",
    "scipy",
)
"""Packages whose versions are recorded."""


@functools.cache
def make_scratch() -> Path:
    """Make the temporary folder of this process, outside the checkout."""
    folder = tempfile.TemporaryDirectory(prefix="potstill-packages-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def run_checked(words: list[str], **options: object) -> str:
    """Run a program; return its output.

    Raises:
        RuntimeError: its exit code is not 0.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return str(done.stdout)


@functools.cache
def build_archives() -> dict[str, Path]:
    """Build the sdist and, from it, the wheel."""
    folder = make_scratch() / "dist"
    run_checked([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)])
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def work(self) -> Path:
        """The folder in which its programs run."""
        return self.folder / "work"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of its programs: those of this process, without paths to other packages."""
        return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")}

    def words(self, program: str, *arguments: str) -> list[str]:
        """Make a command line of one of its programs."""
        return [str(self.folder / "bin" / program), *arguments]

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs."""
        return subprocess.run(
            self.words(program, *arguments),
            cwd=self.work,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, *arguments: str) -> None:
        """Install packages with pip."""
        pip = self.words("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments)
        run_checked(pip, cwd=self.work, env=self.variables)

    def packages(self) -> dict[str, str]:
        """List the versions of its packages."""
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        found = json.loads(run_checked(self.words("python", "-c", code), cwd=self.work, env=self.variables))
        return {name.lower().replace("_", "-"): version for name, version in found.items()}

    def versions(self) -> dict[str, str]:
        """List the versions of Python and of the packages that potstill imports."""
        packages = self.packages()
        python = run_checked(self.words("python", "-c", "import platform; print(platform.python_version())"))
        return {"python": python.strip(), **{name: packages[name] for name in DIRECT}}


def make_environment(name: str, python: str) -> Environment:
    """Make an environment without packages.

    Args:
        name: the first part of the name of its folder.
        python: a version, such as 3.12.

    Raises:
        RuntimeError: this machine does not have the version.
    """
    base = sys.executable if python == RUNNING else shutil.which(f"python{python}")
    if base is None:
        raise RuntimeError(f"python{python} is not on the path")
    made = Environment(make_scratch() / f"{name}-{python}")
    run_checked([base, "-m", "venv", str(made.folder)])
    made.work.mkdir()
    return made


@functools.cache
def install_archive(kind: str, python: str) -> Environment:
    """Install the ``wheel`` or the ``sdist`` in an environment of its own."""
    made = make_environment(kind, python)
    made.install(str(build_archives()[kind]))
    return made
