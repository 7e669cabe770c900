"""Adding seeds until the answer is known, without raising the error rate.

A plan names all looks beforehand. With K looks, each test at each look is made at α / K: by the union bound the chance
of a false answer at any look is at most α, whatever the stopping rule and however the looks hang together (Bonferroni;
Jennison and Turnbull 2000, Group Sequential Methods, chapter 9: an interval at level 1 - α / K at each look is a
repeated confidence interval). For t tests with few runs the sharper boundaries of normal theory do not hold.
"""

from __future__ import annotations

from cifar_lab.analysis.stats.levels import FEWEST_SEEDS

GROWTH = 1.5
"""Each look has about half as many runs again as the one before: more looks would cost more than they spare."""


def plan_looks(there: int, most: int) -> tuple[int, ...]:
    """Numbers of seeds at which to look: from what is there (three at least) to `most`, each half as many again.

    >>> plan_looks(5, 20)
    (5, 8, 12, 20)

    Raises:
        ValueError: `most` is below three, or below what is there.
    """
    first = max(there, FEWEST_SEEDS)
    if most < first:
        raise ValueError(f"{most} seeds at most, but the first look has {first}")
    looks = [first]
    while (after := int(looks[-1] * GROWTH + 0.5)) < most:
        looks.append(after)
    if len(looks) > 1 and most / looks[-1] < (1 + GROWTH) / 2:
        looks.pop()  # a look just before the last would cost more than it spares
    return (*looks, most) if looks[-1] < most else tuple(looks)
