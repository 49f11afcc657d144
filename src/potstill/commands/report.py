"""``potstill report``: tables and plots of finished runs, from their result files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from potstill.config import ReportConfig
from potstill.config.settings import record_settings
from potstill.errors import PotstillError, repeat_warnings
from potstill.evaluation.statistics import Result
from potstill.reports.plots import plot_comparison, plot_curve
from potstill.reports.tables import read_losses, report_evaluation
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free
from potstill.runtime.validation import check_type

POLICIES = ("data", "teacher", "random", "student", "ensemble", "bc")


@check_arguments
def report(
    *runs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Run:
    """Print the scores of finished runs, and draw their curves and a comparison. Nothing is recomputed.

    Args:
        runs: run folders of ``distill`` or ``evaluate``: paths, :class:`Run` objects, or sequences of them.
        out: run folder to make. Default: ``runs/report-TIME``.
        force: replace the run folder if it exists.

    Returns:
        The run, with ``comparison.png`` (if students were rolled out) and one ``curve-NAME.png`` for each distillation.

    Raises:
        PotstillError: no runs are given, or a folder has no ``result.json`` or no scores.

    Example:
        >>> import potstill
        >>> run = potstill.report("runs/demo")  # doctest: +SKIP
        >>> run = potstill.report("runs/first", "runs/second", out="runs/both")  # doctest: +SKIP
    """
    return run_report(ReportConfig(tuple(_find_paths(runs)), out=None if out is None else Path(out), force=force))


def _find_paths(runs: Iterable[StrPath | Iterable[StrPath]]) -> Iterable[Path]:
    for run in runs:
        parts = [run] if isinstance(run, str | os.PathLike) else list(run)
        for part in parts:
            check_type("report: runs", part, StrPath)
            yield Path(part)


def run_report(config: ReportConfig) -> Run:
    """:func:`report` with the settings of the command line."""
    check_free(config.out, force=config.force)
    if not config.runs:
        raise PotstillError("no runs given: potstill report RUN [RUN ...]")
    results: dict[str, Result] = {str(path): Run(path).result for path in config.runs}
    for path, result in results.items():
        if "student" not in result and not result.get("offline"):
            raise PotstillError(f"{path}: result.json has no scores of students")
    with RunFolder(config.out, "report", record_settings(config), force=config.force) as folder:
        folder.finish({"runs": {path: _summarise(result) for path, result in results.items()}})
        for path, result in results.items():
            report_evaluation(result, f"{path}: {result.get('dataset') or result['env_id'] or 'no environment'}")
            repeat_warnings(path, result.get("warnings"))
            if "curve" in result:
                name = f"curve-{Path(path).name}.png"
                plot_curve(folder.path / name, result, read_losses(Path(path) / "metrics.jsonl"))
        played = {path: result for path, result in results.items() if result.get("student")}
        if played:
            print(plot_comparison(folder.path / "comparison.png", played))
    return folder.run


def _summarise(result: Result) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each score: of each policy, and of students compared with their teacher."""
    found = {policy: result[policy] for policy in POLICIES if result.get(policy)}
    offline = result.get("offline") or {}
    found |= {name: offline[name] for name in ("imitation_error", "q_gap") if name in offline}
    return {name: {"mean": score["mean"], "std": score["std"]} for name, score in found.items()}
