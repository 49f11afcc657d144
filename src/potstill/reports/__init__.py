"""Tables, plots and renders; all read results, none computes any."""

from potstill.reports.tables import print_offline, print_scores, report_distillation

__all__ = ["print_offline", "print_scores", "report_distillation"]
