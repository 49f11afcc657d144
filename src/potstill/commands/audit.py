"""``potstill audit``: what pairs reveal about the episodes that they were distilled from."""

from __future__ import annotations

from potstill.bundled import find_artefact_path
from potstill.commands.resolve import resolve_problem, resolve_weighting
from potstill.commands.sources import Sources, find_made_from
from potstill.config import AuditConfig, DistillConfig
from potstill.config.settings import read_settings, record_settings, takes_options
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError, name_option
from potstill.evaluation.privacy.audit import Parts, Plan, audit_distillate
from potstill.reports.audit import plot_audit, print_audit
from potstill.runtime.files import StrPath, hash_file
from potstill.runtime.progress import Tracker, busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free


@takes_options(AuditConfig)
def audit(config: AuditConfig) -> Run:
    """Measure what pairs reveal about the episodes that they were distilled from. It is not a guarantee of privacy.

    The distance of each pair to the nearest real row is compared with that of real rows to other episodes. Shadow
    distillations of random halves of the episodes then give the advantage of membership inference (was this episode
    in the data?) with a 95 % interval, for episodes of the data and for planted canaries. The output says what the
    audit does not show.

    Returns:
        The run, with ``result.json`` and ``audit.png``. ``potstill report`` shows them with the run of the pairs.

    Raises:
        PotstillError: there is no such distillate, its parts cannot be made again, its dataset or teacher is not found
            or has changed, or there are fewer than eight episodes.

    Example:
        >>> import potstill
        >>> run = potstill.audit("hopper-medium-replay", shadows=8)  # doctest: +SKIP
        >>> run.result.membership.both.advantage  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    distillate, path = load(config.distillate), find_artefact_path(config.distillate, "distillate")
    with busy("reading the dataset and the teacher"):
        sources = find_made_from(config.distillate, distillate)
        parts = resolve_parts(config.distillate, distillate, sources)
    plan = Plan(config.shadows, config.steps, config.episodes, config.canaries, config.seed)
    with RunFolder(config.out, "audit", record_settings(config), force=config.force) as folder:
        with Tracker("shadows", config.shadows) as tracker:
            found = audit_distillate(distillate, *sources, parts, plan, tracker.update)
        result = {"dataset": sources.data.name, "env_id": distillate.env_id, **found, "sha256": hash_file(path)}
        folder.finish(result)
        picture = plot_audit(folder.path / "audit.png", result)
        print_audit(result)
        print(picture)
    return folder.run


def resolve_parts(path: StrPath, distillate: Distillate, sources: Sources) -> Parts:
    """Make the parts of a distillation again, from the settings in the distillate.

    Raises:
        PotstillError: a part was given as a Python object, or the states were imagined.
    """
    saved = distillate.metadata.get("settings")
    if not isinstance(saved, dict):
        raise PotstillError(f"{path}: the distillate does not hold its settings, so shadows cannot repeat them")
    config = read_settings(DistillConfig, dict(saved))
    if config.private_noise is not None:
        raise PotstillError(f"{path}: pairs of {name_option('private_noise')} cannot be audited: shadows have no noise")
    if config.states != "data":
        raise PotstillError(
            f"{path}: pairs of {name_option('states', config.states)} cannot be audited: shadows have no world model. "
            f"Distil with {name_option('states', 'data')}"
        )
    problem = resolve_problem(config).resolve_defaults(sources.data, sources.teacher)
    return Parts(
        problem.objective,
        problem.solver,
        problem.settings,
        resolve_weighting(problem.weighting),
        problem.choose_initial,
        config.initial_actions,
    )
