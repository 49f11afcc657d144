"""Internal: tables, plots and pages of results, and the statistics of datasets. Use :func:`potstill.report`."""

from potstill.reports.tables import print_imagined, print_offline, print_scores, report_distillation

__all__ = ["print_imagined", "print_offline", "print_scores", "report_distillation"]
