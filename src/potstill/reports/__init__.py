"""Tables, plots and pages of results, and the statistics of datasets."""

from potstill.reports.tables import print_scores, report_distillation, report_evaluation

__all__ = ["print_scores", "report_distillation", "report_evaluation"]
