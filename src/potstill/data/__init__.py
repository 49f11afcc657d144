"""Datasets: reading, checking, splitting, gathering."""
