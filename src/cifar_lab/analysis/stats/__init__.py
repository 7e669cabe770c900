"""Statistics for few runs: intervals, differences, many comparisons, power, looks, luck. Numbers in, numbers out.

Distribution functions are scipy's (`scipy.special`, which loads in half the time of `scipy.stats`), imported where they
are used. What each number means, and why, stands in docs/statistics.md.
"""
