"""potstill's benchmarks: experiments, their committed results, and the tables made of them.

Start with ``python -m benchmarks list``; ``results/README.md`` says what the result files hold.
"""
