"""Offline evaluation of teachers: fitted Q-evaluation, selection, diagnostics."""
