"""Measurements of speed, run from the repository's root as `python -m benchmarks.NAME`.

Each writes benchmarks/results/NAME.json, with the machine, the versions and n. Ratios measured in
turns on one machine are what counts, not seconds.
"""
