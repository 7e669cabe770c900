"""Statistics for few runs: intervals, tests, corrections and power. Numbers in, numbers out.

Distribution functions are scipy's. They come from `scipy.special`, which loads in half the time of `scipy.stats`, and
are imported where they are used. docs/statistics.md explains each number.
"""
