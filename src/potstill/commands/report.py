"""``potstill report``: tables and plots of finished runs, from their result files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from potstill.config import ReportConfig
from potstill.config.settings import configured
from potstill.errors import PotstillError
from potstill.reports.plots import plot_comparison, plot_curve
from potstill.reports.tables import print_scores, read_losses
from potstill.runtime.run_folder import RunFolder, check_free, read_json

KINDS = ("teacher", "random", "student", "ensemble", "bc")


@configured(ReportConfig)
def report(config: ReportConfig) -> Path:
    """Print the table of each run and draw its curve and a comparison of all; nothing is computed anew.

    Returns:
        The run folder, with ``comparison.png`` and one ``curve-….png`` a distillation.

    Raises:
        PotstillError: a folder without a ``result.json``, or one that holds no scores.

    Example:
        >>> import potstill
        >>> run = potstill.report(("runs/demo",))  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    results = {str(run): read_json(Path(run) / "result.json") for run in config.runs}
    if not results:
        raise PotstillError("no runs named: potstill report RUN [RUN ...]")
    for run, result in results.items():
        if "student" not in result:
            raise PotstillError(f"{run}: its result.json holds no students' scores")
    folder = RunFolder(config.out, "report", config, force=config.force)
    summary: dict[str, Any] = {}
    for run, result in results.items():
        print_scores(result, f"{run}: {result.get('dataset') or result['env_id']}")
        if "curve" in result:
            name = f"curve-{Path(run).name}.png"
            plot_curve(folder.path / name, result, read_losses(Path(run) / "metrics.jsonl"))
        summary[run] = {k: {"mean": result[k]["mean"], "std": result[k]["std"]} for k in KINDS if result.get(k)}
    picture = plot_comparison(folder.path / "comparison.png", results)
    folder.finish({"runs": summary})
    print(picture)
    return folder.path
