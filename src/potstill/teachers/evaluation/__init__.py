"""Evaluation of teachers from data alone: fitted Q-evaluation, selection, diagnostics."""
