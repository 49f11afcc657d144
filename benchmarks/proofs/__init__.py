"""Proofs: what happens to runs that are killed, to files that are damaged, and to every pair of options.

Each proof is an experiment. It never stops at a failure: it counts and names it, and ``python -m benchmarks run`` ends
with the exit code 1. Cells that take long and have no committed result are ``extra``: name them with ``--methods``.
"""
