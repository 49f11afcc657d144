"""``potstill explain``: where distilled states lie in the data, which pairs matter, and where they lead."""

from __future__ import annotations

from potstill.bundled import find_artefact_path
from potstill.commands.resolve import resolve_solver
from potstill.commands.sources import find_made_from
from potstill.config import DistillConfig, ExplainConfig
from potstill.config.settings import read_settings, record_settings, takes_options
from potstill.distillate import Distillate, load
from potstill.distillation.solvers.base import Solver
from potstill.distillation.solvers.interpolation import KernelInterpolation
from potstill.distillation.solvers.kernel_descent import KernelDescent
from potstill.errors import PotstillError
from potstill.evaluation.explanation import explain_distillate
from potstill.reports.explanation import make_pair_table, plot_explanation, print_explanation
from potstill.runtime.files import hash_file, write_atomically
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free


@takes_options(ExplainConfig)
def explain(config: ExplainConfig) -> Run:
    """Explain a distillate: where its states lie in the data, which pairs matter, and where they lead.

    Pairs are compared with held-out rows: density of the data around them, time in the episode, value by the critics,
    and for Hopper, HalfCheetah and Walker2d the posture, before and after one step in the simulator. Each pair is left
    out in turn, by the solver: in closed form for ``ridge`` and ``interpolation``, by repeated descents for ``kernel``
    and ``drawn``, and by refits for others. For solvers that train networks, ``kernel`` or ``interpolation`` stands in.

    Returns:
        The run, with ``result.json``, a line for each pair in ``pairs.csv``, and ``explanation.png``. ``potstill
        report`` shows them with the run of the pairs.

    Raises:
        PotstillError: there is no such distillate, it has fewer than two pairs, or its dataset or teacher is not found
            or has changed.

    Example:
        >>> import potstill
        >>> run = potstill.explain("hopper-medium-replay")  # doctest: +SKIP
        >>> run.result.influence.half  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    distillate, path = load(config.distillate), find_artefact_path(config.distillate, "distillate")
    if len(distillate) < 2:
        raise PotstillError(f"{path}: a single pair cannot be left out")
    with busy("reading the dataset and the teacher"):
        data, teacher = find_made_from(config.distillate, distillate)
    solver = choose_solver(distillate)
    with RunFolder(config.out, "explain", record_settings(config), force=config.force) as folder:
        with busy(f"leaving out each of {len(distillate)} pairs"):
            found = explain_distillate(distillate, data, teacher, solver, states=config.states, seed=config.seed)
        result = {"dataset": data.name, "env_id": distillate.env_id, **found, "sha256": hash_file(path)}
        folder.finish(result)
        write_atomically(folder.path / "pairs.csv", make_pair_table(result).encode())
        picture = plot_explanation(folder.path / "explanation.png", result)
        print_explanation(result)
        print(f"{folder.path / 'pairs.csv'}\n{picture}")
    return folder.run


def choose_solver(distillate: Distillate) -> Solver:
    """Choose the solver that explains pairs: that of their distillation, or a stand-in if it trains networks."""
    recipe = distillate.recipe
    try:
        solver = resolve_solver(read_settings(DistillConfig, dict(distillate.metadata["settings"])))
        if not solver.trains_networks:
            return solver.with_recipe(recipe)
    except (PotstillError, KeyError, TypeError):  # a solver of another package, or a Python object
        pass
    return KernelDescent(recipe) if recipe.optimiser == "sgd" and not recipe.sampled else KernelInterpolation(recipe)
