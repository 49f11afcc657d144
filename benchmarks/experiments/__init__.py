"""Declarations of the experiments: methods × files × seeds, and the function that measures a cell."""

from __future__ import annotations

from importlib import import_module

from benchmarks.files import RESULTS
from benchmarks.grid import Experiment, Record, Results

MODULES = {
    "demo": "experiments.demo",
    "distillates": "experiments.distillates",
    "fixed-teachers": "experiments.fixed_teachers",
    "choices": "experiments.choices",
    "solvers": "experiments.solvers",
    "sizes": "experiments.sizes",
    "bounds": "experiments.bounds",
    "training-budget": "experiments.training_budget",
    "cloning": "experiments.cloning",
    "teachers": "experiments.teachers",
    "criteria": "experiments.criteria",
    "judged-teachers": "experiments.judged_teachers",
    "kernel-width": "experiments.kernel_width",
    "fitted-students": "experiments.fitted_students",
    "imagination": "experiments.imagination",
    "portfolio": "experiments.portfolio",
    "foreign-students": "experiments.foreign_students",
    "theory": "experiments.theory",
    "discrete": "experiments.discrete",
    "privacy": "experiments.privacy",
    "private": "experiments.private",
    "rehearsal": "experiments.rehearsal",
    "finetuning": "experiments.finetuning",
    "baselines": "experiments.baselines",
    "paper-teachers": "experiments.paper_teachers",
    "reading": "speed.reading",
    "steppers": "speed.steppers",
    "teacher-updates": "speed.updates",
    "exact-step": "speed.exact_step",
    "products": "speed.products",
    "solver-steps": "speed.solver_steps",
    "adjoint": "speed.adjoint",
    "devices": "speed.devices",
    "large": "speed.large",
    "policies": "speed.policies",
    "kills": "proofs.kills",
    "flips": "proofs.flips",
    "fuzz": "proofs.fuzz",
    "options": "proofs.options",
    "repeats": "proofs.repeats",
    "packaging": "proofs.packaging",
}


def load_experiment(name: str) -> Experiment:
    """Load the experiment that a module declares as ``EXPERIMENT``."""
    found = import_module(f"benchmarks.{MODULES[name]}").EXPERIMENT
    assert isinstance(found, Experiment)
    return found


def load_results(name: str) -> Results:
    """Open the committed result file of an experiment."""
    return Results(RESULTS / f"{name}.jsonl")


def load_records(name: str) -> list[Record]:
    """Read the committed records of an experiment."""
    return load_results(name).read_records()
