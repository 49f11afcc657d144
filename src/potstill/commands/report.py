"""``potstill report``: tables, plots and a page of finished runs, from their files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from potstill.config import ReportConfig
from potstill.config.settings import record_settings
from potstill.errors import PotstillError, repeat_warnings
from potstill.evaluation.statistics import Result
from potstill.reports.plots import plot_comparison, plot_curve
from potstill.reports.runs.page import make_report_page
from potstill.reports.runs.record import POLICIES, read_records
from potstill.reports.runs.verdict import judge_run
from potstill.reports.tables import report_evaluation
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath, write_atomically
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free
from potstill.runtime.validation import check_type


@check_arguments
def report(
    *runs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Run:
    """Print the scores of finished runs, and write a page about them for others. Nothing is recomputed.

    The page, ``report.html``, is one file of less than 3 MB without scripts and links. It has a verdict in words,
    tables with intervals, pictures with text alternatives, commands and versions. It has light and dark colours, and
    fits phones and paper.

    Args:
        runs: run folders of ``distill`` or ``evaluate``: paths, :class:`Run` objects, or sequences of them.
        out: run folder to make. Default: ``runs/report-TIME``.
        force: replace the run folder if it exists.

    Returns:
        The run, with ``report.html``, ``comparison.png`` (if students were rolled out) and one ``curve-NAME.png`` for
        each distillation with several points.

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
    records = read_records(config.runs)
    with RunFolder(config.out, "report", record_settings(config), force=config.force) as folder:
        folder.finish(
            {
                "runs": {record.path: _summarise(record.result) for record in records},
                "verdicts": {record.path: judge_run(record) for record in records},
            }
        )
        for record in records:
            report_evaluation(record.result, f"{record.path}: {_name_subject(record.result)}")
            repeat_warnings(record.path, record.result.get("warnings"))
            if len(record.result.get("curve") or ()) > 1:
                plot_curve(folder.path / f"curve-{Path(record.path).name}.png", record.result, record.losses)
        played = {record.path: record.result for record in records if record.result.get("student")}
        if played:
            print(plot_comparison(folder.path / "comparison.png", played))
        page = folder.path / "report.html"
        write_atomically(page, make_report_page(records).encode())
        print(page)
    return folder.run


def _name_subject(result: Result) -> str:
    return str(result.get("dataset") or result.get("env_id") or "no environment")


def _summarise(result: Result) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each score: of each policy, and of students compared with their teacher."""
    found = {policy: result[policy] for policy in POLICIES if result.get(policy)}
    offline = result.get("offline") or {}
    found |= {name: offline[name] for name in ("imitation_error", "q_gap") if name in offline}
    return {name: {"mean": score["mean"], "std": score["std"]} for name, score in found.items()}
