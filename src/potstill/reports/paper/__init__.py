"""Internal: the paper's numbers, and its tables and figures with ours beside them, as Markdown, CSV and pictures.

The inputs are plain records (:mod:`potstill.reports.paper.schema`), which ``result.json`` contains.
"""
