"""The error rates that verdicts keep to."""

ALPHA = 0.05
"""Chance of a false *better* or *worse*, over all comparisons of a report together."""

LEVEL = 1 - ALPHA
"""Confidence level of an interval."""

POWER = 0.8
"""Chance of showing a true difference for which seeds are counted: 4 labs of 5 (Cohen 1988)."""

FEWEST_SEEDS = 3
"""Below this many runs there is never a verdict: with two, a 95 % interval is 9 standard deviations to each side."""

NO_SPREAD = 1e-9
"""A standard deviation of accuracies (shares) below this is zero but for rounding: one image of a million is 1e-6."""
