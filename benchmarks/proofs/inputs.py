"""Make the files for the command lines of proofs, and keep compiled programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.files import Workspace


@contextmanager
def keep_compiled(folder: Path) -> Iterator[None]:
    """Keep what JAX compiles in ``folder``, for this process and for processes started within this context.

    A proof runs the same small command many times. Most of its time would be the compilation of the same programs.
    """
    settings = {
        "jax_compilation_cache_dir": str(folder.resolve()),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    environment = dict(os.environ)
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        os.environ.clear()
        os.environ.update(environment)


def prepare_inputs(
    workspace: Workspace, lines: Iterable[str], made: Mapping[str, str], run: Callable[[list[str], Path], bool]
) -> dict[str, str]:
    """Make the files for ``{dataset}``, ``{teacher}`` and other names in braces; return their paths by name.

    Args:
        workspace: the folder for the files.
        lines: the command lines. Only runs that occur in them are made.
        made: for each name of a run, the command line that makes it.
        run: runs the words of a command line with a run folder, and returns whether it succeeded.
    """
    workspace.runs.mkdir(parents=True, exist_ok=True)
    toy, text = Workspace(workspace.runs, toy=True), " ".join(lines)
    paths = {"dataset": str(toy.find_dataset("").resolve()), "teacher": str(toy.find_teacher("").resolve())}  # type: ignore[union-attr]
    for name, line in made.items():
        if f"{{{name}}}" not in text:
            continue
        folder = (workspace.runs / name).resolve()
        paths[name] = str(folder)
        if not (folder / "result.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            if not run(line.format(**paths).split(), folder):
                raise RuntimeError(f"{line}: failed, see {workspace.runs}")
    return paths
