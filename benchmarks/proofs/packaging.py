"""Test installations: from either archive, without extras, with the oldest and newest packages, and in parallel."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmarks import toy
from benchmarks.files import BUNDLED_NAME, ROOT, Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs.environments import (
    RUNNING,
    Environment,
    build_archives,
    install_archive,
    make_environment,
    run_checked,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHORT = "--size 8 --steps 2 --batch 64 --students 1"
INFORMATION = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
SDIST = ("src", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "arrow": (
        "inspect log.parquet",
        "inspect folder",
        "inspect lerobot",
        "inspect imitation",
        f"export {BUNDLED_NAME} new.parquet",
    ),
    "collect": ("collect Pendulum-v1 --level medium --medium-return -600",),
    "encoder": ("convert images.npz --encoder onnx --encoder.path encoder.onnx --out encoded",),
    "hub": (f"push {BUNDLED_NAME} me/pairs",),
    "minari": (
        "inspect minari:mujoco/hopper/medium-v0 --download",
        f"export {BUNDLED_NAME} pairs-v0 --format minari",
        "collect Pendulum-v1 --level random --steps 10 --format minari",
    ),
    "ray": ("reproduce theory --executor ray",),
    **{name: (f"distill {BUNDLED_NAME} --track {name}",) for name in ("tensorboard", "trackio", "wandb")},
    "slurm": ("reproduce theory --executor slurm",),
    "private": (f"distill {BUNDLED_NAME} --private-noise 1",),
    "onnx": (f"export-policy {BUNDLED_NAME} new.onnx",),
    "video": (f"evaluate {BUNDLED_NAME} --video new.mp4",),
}
"""Command lines that need an extra."""
LEROBOT = {
    "codebase_version": "v2.1",
    "total_frames": 1,
    "features": {"observation.state": {"dtype": "float32", "shape": [2]}, "action": {"dtype": "float32", "shape": [1]}},
}
SAME = f"distill {BUNDLED_NAME} --states data --size 64 --steps 40 --students 2 --episodes 1"
PROCESSES, TOY_PROCESSES, CORES = 8, 2, 2
SUITES = {  # an old package may call what a new one deprecates
    "oldest": ("-W", "ignore::DeprecationWarning"),
    "newest": (),
}


def read_tracked(*paths: str) -> dict[str, bytes]:
    """Read the tracked files below paths of the checkout, with their content."""
    names = run_checked(["git", "-C", str(ROOT), "ls-files", "-z", *paths]).split("\0")
    return {name: (ROOT / name).read_bytes() for name in names if name}


def compare_files(found: Mapping[str, bytes], wanted: Mapping[str, bytes], generated: set[str]) -> list[str]:
    """Compare the files of an archive with those of the checkout; one text for each difference.

    >>> compare_files({"a": b"1", "b": b"", "made": b""}, {"a": b"2", "c": b""}, {"made"})
    ['a differs', 'b is too much', 'c is missing']
    """
    differing = [f"{name} differs" for name in found.keys() & wanted.keys() if found[name] != wanted[name]]
    extra = [f"{name} is too much" for name in found.keys() - wanted.keys() - generated]
    missing = [f"{name} is missing" for name in (wanted.keys() | generated) - found.keys()]
    return sorted([*differing, *extra, *missing])


def read_archive(path: Path) -> dict[str, bytes]:
    """Read the names and the content of all files in an archive; names in an sdist without its top folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(path) as sdist:
        members = [member for member in sdist.getmembers() if member.isfile()]
        return {m.name.partition("/")[2]: sdist.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def find_archive_faults(kind: str, files: Mapping[str, bytes]) -> list[str]:
    """Find files that an archive contains in excess, lacks, or has with other content."""
    if kind == "sdist":
        return compare_files(files, read_tracked(*SDIST), {"PKG-INFO"})
    package = {name.removeprefix("src/"): content for name, content in read_tracked("src").items()}
    information = {f"potstill-{PROJECT['version']}.dist-info/{name}" for name in INFORMATION}
    return compare_files(files, package, information)


def measure_archive(cell: Cell, workspace: Workspace) -> Record:
    """Compare an archive with the checkout, install it, and run the commands and the code of the README."""
    path = build_archives()[cell.method]
    files, environment = read_archive(path), install_archive(cell.method, cell["python"])
    failures = find_archive_faults(cell.method, files)
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines: list[tuple[str, ...]] = [
        ("potstill", "--version"),
        ("potstill", "inspect", BUNDLED_NAME),
        ("potstill", "distill", BUNDLED_NAME, *SHORT.split(), "--episodes", "1", "--out", "run"),
        ("potstill", "inspect", "run"),
        ("python", "-c", block),
        ("python", str(ROOT / "examples" / "first_steps.py")),
        ("python", "-m", "pip", "check"),
    ]
    for line in lines:
        done = environment.run(*line)
        if done.returncode:
            failures.append(f"{' '.join(line)[:60]}: exit code {done.returncode}: {done.stderr[-300:]}")
    place = environment.run("python", "-c", "import potstill; print(potstill.__version__, potstill.__file__)").stdout
    if not place.startswith(f"{PROJECT['version']} {environment.folder}"):
        failures.append(f"another potstill is imported: {place}")
    found = {"files": len(files), "bytes": path.stat().st_size, "commands": len(lines)}
    return {**found, "versions": environment.versions(), "failures": failures}


def write_images(path: Path) -> None:
    """Write two short episodes whose observations are images."""
    ends = np.arange(8) % 4 == 3
    arrays = {"actions": np.linspace(-1.0, 1.0, 8)[:, None], "rewards": np.ones(8), "terminals": ends}
    np.savez(path, observations=np.zeros((8, 12, 12, 3), np.uint8), timeouts=np.zeros_like(ends), **arrays)


def measure_extras(cell: Cell, workspace: Workspace) -> Record:
    """Run commands without the extra that they need. They must print one line and exit with code 2."""
    environment = install_archive("wheel", cell["python"])
    work, failures = environment.work, []
    for name in ("log.parquet", "folder/a.parquet", "lerobot/data/a.parquet", "imitation/a.arrow", "encoder.onnx"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).touch()
    (work / "lerobot" / "meta").mkdir(exist_ok=True)
    (work / "lerobot" / "meta" / "info.json").write_text(json.dumps(LEROBOT))
    write_images(work / "images.npz")
    (work / "imitation" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))
    for extra, lines in NEEDS.items():
        for line in lines:
            done = environment.run("potstill", *line.split())
            errors = [text for text in done.stderr.splitlines() if text.startswith("potstill: ")]
            named = errors and errors[0].endswith(f"is not installed: pip install 'potstill[{extra}]'")
            if done.returncode != 2 or len(errors) != 1 or not named or "Traceback" in done.stderr:
                failures.append(f"{line}: exit code {done.returncode}: {done.stderr[-300:]}")
    commands = {extra: len(lines) for extra, lines in NEEDS.items()}
    return {"commands": commands, "versions": environment.versions(), "failures": failures}


def measure_bill(cell: Cell, workspace: Workspace) -> Record:
    """Write a software bill of materials of an environment with the wheel, and compare it with the packages there."""
    environment, path = make_environment("sbom", cell["python"]), ROOT / "build" / "sbom.json"
    environment.install(str(build_archives()["wheel"]))
    environment.run("python", "-m", "pip", "uninstall", "--yes", "setuptools", "pip")  # an empty environment has them
    path.parent.mkdir(exist_ok=True)
    writer = [sys.executable, "-m", "cyclonedx_py", "environment", "--validate", "--output-reproducible"]
    form = ["--output-format", "JSON", "--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "library"]
    run_checked([*writer, *form, "--output-file", str(path), environment.words("python")[0]])
    bill, installed = json.loads(path.read_text()), environment.packages()
    root = bill["metadata"]["component"]
    listed = {part["name"].lower().replace("_", "-"): part["version"] for part in (root, *bill["components"])}
    differing = sorted(name for name in installed.keys() | listed.keys() if installed.get(name) != listed.get(name))
    return {
        "format": f"{bill['bomFormat']} {bill['specVersion']}",
        "components": len(bill["components"]),
        "licensed": sum("licenses" in part for part in bill["components"]),
        "versions": environment.versions(),
        "failures": [f"{name}: installed or listed only, or in another version" for name in differing],
    }


def measure_processes(cell: Cell, workspace: Workspace) -> Record:
    """Run the same distillation alone and then several times at once, and compare the bytes; a conversion if toy."""
    count = TOY_PROCESSES if workspace.toy else PROCESSES
    folder = (workspace.runs / "processes").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = toy.ensure_files(folder)
    words = [sys.executable, "-m", "potstill"]
    line, artefact = SAME, "distillate.safetensors"
    variables = dict(os.environ)
    if workspace.toy:
        line, artefact = f"convert {files['dataset']}", "rows.npy"
    else:
        environment = install_archive("wheel", cell["python"])
        words, variables = environment.words("potstill"), environment.variables
    cores, codes = sorted(os.sched_getaffinity(0)), []
    os.sched_setaffinity(0, cores[:CORES])  # processes inherit it
    numbers = [str(number) for number in range(count)]
    try:
        for names in (["alone"], numbers):
            with (folder / "output.txt").open("a") as output:
                to = {"cwd": folder, "env": variables, "stdout": output, "stderr": output}
                running = [subprocess.Popen([*words, *line.split(), "--out", name], **to) for name in names]  # type: ignore[call-overload]
                codes += [process.wait() for process in running]
    finally:
        os.sched_setaffinity(0, cores)
    found = {path.parent.name: path.read_bytes() for path in folder.glob(f"*/{artefact}")}
    failures = [f"exit codes {codes}"] if any(codes) or "alone" not in found else []
    failures += [f"process {name} has another {artefact}" for name in numbers if found.get(name) != found.get("alone")]
    sha256 = hashlib.sha256(found.get("alone", b"")).hexdigest()
    return {"processes": count, "cores": CORES, "sha256": sha256, "failures": failures}


def install_suite(method: str, python: str) -> Environment:
    """Install the checkout with the oldest or the newest packages, and the packages for the tests."""
    environment = make_environment(method, python)
    if method == "oldest":
        environment.install("--requirement", str(ROOT / "requirements" / "oldest.txt"))
        environment.install("--no-deps", "--editable", str(ROOT))
        return environment
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    environment.install("--editable", f"{ROOT}[arrow,minari,onnx]", *groups["dev"])
    return environment


def measure_suite(cell: Cell, workspace: Workspace) -> Record:
    """Run the tests. Tests with PyTorch are skipped: CI runs them with the version in ``requirements/test.txt``."""
    environment = install_suite(cell.method, cell["python"])
    report = environment.folder / "tests.xml"
    options = ("-p", "no:cacheprovider", "--numprocesses", "auto", "--dist", "loadfile", "--junit-xml", str(report))
    words = environment.words("python", "-m", "pytest", "--quiet", *options, *SUITES[cell.method])
    subprocess.run(words, cwd=ROOT, env=environment.variables, check=False)
    cases = list(ElementTree.parse(report).iter("testcase"))
    names = lambda *tags: [f"{c.get('classname')}::{c.get('name')}" for c in cases if any(map(c.find, tags))]  # noqa: E731
    failed, skipped = names("failure", "error"), names("skipped")
    tests = {"passed": len(cases) - len(failed) - len(skipped), "skipped": len(skipped), "failed": len(failed)}
    return {"tests": tests, "versions": environment.versions(), "failures": failed}


MEASURES: Mapping[str, Callable[[Cell, Workspace], Record]] = {
    "wheel": measure_archive,
    "sdist": measure_archive,
    "sbom": measure_bill,
    "processes": measure_processes,
    "extras": measure_extras,
    "oldest": measure_suite,
    "newest": measure_suite,
}


def inputs(cell: Cell) -> Record:
    """Return the versions, the commands, or the number of processes."""
    versions = (ROOT / "requirements" / "oldest.txt").read_text().splitlines()
    found: dict[str, Record] = {
        "oldest": {"versions": versions},
        "extras": {"commands": NEEDS},
        "processes": {"processes": PROCESSES, "line": SAME},
    }
    return found.get(cell.method, {})


def on(python: str, *methods: str) -> list[Cell]:
    """Make the cells of a version of Python."""
    return [Cell(method, axes=(("python", python),)) for method in methods]


EXPERIMENT = Experiment(
    "packaging",
    "archives, missing extras, a bill of materials, old and new packages",
    (),
    inputs,
    lambda cell, workspace: MEASURES[cell.method](cell, workspace),
    frozenset({"failures"}),
    extra=(
        *on("3.11", "wheel", "sdist", "sbom", "processes", "extras", "oldest"),
        *on("3.12", "wheel", "sdist"),
        *on("3.13", "wheel", "sdist", "newest"),
    ),
    toy=tuple(on(RUNNING, "processes")),
    packages=("build", "cyclonedx-bom"),
)
