"""Renderers of the tables and figures in README.md and docs/: one function for each marked block.

A page has marks ``<!-- NAME:start -->`` and ``<!-- NAME:end -->``. The text between them is the return value of
``BLOCKS[NAME]()``. Marks may be moved from page to page; paths of figures are adapted to the page. If NAME is not in
``BLOCKS``, ``STEM-NAME`` is used, where STEM is the page's file name without suffix: ``comparison`` in ``pbc.md`` is
``pbc-comparison``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmarks.experiments.distillates import ABLATION, PAPER_VARIANTS
from benchmarks.pages import (
    auto,
    baselines,
    bounds,
    choices,
    demo,
    discrete,
    distillates,
    finetuning,
    fitted,
    foreign,
    headline,
    imagination,
    judged_teachers,
    judging,
    kernel,
    paper_teachers,
    portfolio,
    privacy,
    private,
    rehearsal,
    sizes,
    speed,
    teachers,
    theory,
    training_budget,
)

BLOCKS: dict[str, Callable[[], str]] = {
    "demo": demo.demo,
    "benchmark": headline.headline,
    "retention-by-file": headline.retention_by_file,
    # Distillates.
    "distillates": functools.partial(distillates.files_table, "default"),
    "parts": functools.partial(distillates.comparison_table, ABLATION, "default"),
    "pairs": distillates.number_of_pairs,
    "paper-recipe": functools.partial(distillates.files_table, "paper-recipe"),
    "paper-parts": functools.partial(distillates.comparison_table, PAPER_VARIANTS, "paper-recipe"),
    "curves": distillates.curves,
    "sizes": sizes.sizes,
    "imagination": imagination.imagination,
    "variants-of-imagined": imagination.variants,
    "judging": judging.judging,
    "judged-teachers": judged_teachers.judged_teachers,
    "portfolio": portfolio.portfolio,
    "foreign": foreign.foreign,
    "bounds": bounds.bounds,
    "training-budget": training_budget.training_budget,
    "discrete": discrete.discrete,
    "baselines": baselines.baselines,
    "paper-teachers": paper_teachers.paper_teachers,
    "privacy": privacy.privacy,
    "private": private.private,
    "rehearsal": rehearsal.rehearsal,
    "finetuning": finetuning.finetuning,
    # Variants that were compared on the bundled dataset and two others.
    "variants": choices.variants,
    **{f"{page}-comparison": functools.partial(choices.variant_tables, page) for page in choices.VARIANTS_OF_PAGE},
    # Teachers.
    "teachers": teachers.teachers,
    "stopping": teachers.stopping,
    "criteria": teachers.criteria,
    "auto": auto.auto,
    # Kernel descent.
    "widths": kernel.widths,
    "costs": kernel.costs,
    "fitted": fitted.fitted,
    "adjoint": kernel.adjoint,
    "solvers": kernel.solvers,
    # Theory.
    "theory-residuals": theory.residuals,
    "theory-discounts": theory.discounts,
    "theory-distances": theory.distances,
    "theory-variation": theory.variation,
    "theory-shifts": theory.shifts,
    # Speed.
    "times": speed.exact_step,
    "products": speed.products,
    "devices": speed.devices,
    "reading": speed.reading,
    "large": speed.large,
    "updates": speed.updates,
    "steppers": speed.steppers,
    "policies": speed.policies,
}
PICTURES: dict[str, Callable[[Path], None]] = {
    "engine.png": distillates.draw,
    "finetuning.png": finetuning.draw,
    "kernel_width.png": kernel.draw,
    "sizes.png": sizes.draw,
    "teachers.png": teachers.draw,
    "theory_dense.png": theory.draw_dense,
    "theory_sparse.png": theory.draw_sparse,
}
