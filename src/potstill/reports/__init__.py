"""Tables, plots, pages and renders: all read results; ``dataset.py`` alone computes any, the figures of data."""

from potstill.reports.tables import print_offline, print_scores, report_distillation

__all__ = ["print_offline", "print_scores", "report_distillation"]
