"""Proofs: tests of killed runs, damaged files, all pairs of options, installations and long processes.

Each proof is an experiment. Failures are counted and listed, and do not stop the proof; ``python -m benchmarks run``
then ends with the exit code 1. Cells that take long and have no committed result are ``extra``: select them with
``--methods``.
"""
