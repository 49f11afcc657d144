"""Internal: tables, plots and pages of results, and the statistics of datasets. Use :func:`potstill.report`."""

from potstill.reports.tables import print_scores, report_distillation, report_evaluation

__all__ = ["print_scores", "report_distillation", "report_evaluation"]
