"""Proofs: what happens to runs that are killed, to files that are damaged, and to every pair of options.

Each proof is an experiment: ``python -m benchmarks.proofs NAME`` measures its cells and writes them to
``results/proofs/NAME.jsonl``; ``--toy`` runs a few of each. A proof never stops at a failure: it counts and names it.
"""
