"""Evaluating students: returns, offline scores, statistics."""
