"""potstill's benchmarks: experiments, their committed results, and tables of these results.

Start with ``python -m benchmarks list``. ``results/README.md`` describes the result files.
"""
