"""Offline-RL algorithms, one module each. :mod:`potstill.teachers.registry` lists their names."""
