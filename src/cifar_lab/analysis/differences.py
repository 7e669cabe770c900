"""Difference of two rows as it is tested, and the layout for the power of its tests.

Layouts are in percentage points of accuracy, and in hundredths of an L2 distance.
"""

from __future__ import annotations

from cifar_lab.analysis.stats.power import Design
from cifar_lab.analysis.stats.t_tests import Difference, compare
from cifar_lab.analysis.summary import Row


def row_difference(row: Row, control: Row) -> Difference | None:
    """Accuracies of a row minus those of its control. None where one has no accuracy."""
    return compare(dict(row.values), dict(control.values), min(row.test_size, control.test_size) or None)


def difference_design(gap: Difference) -> Design | None:
    """Layout of the test of a difference. None where no standard deviation is known."""
    if gap.std is None or not (gap.has_variance or gap.resolution):
        return None
    return Design(100 * gap.std if gap.has_variance else 0.0, gap.method == "paired", gap.dof, _grain(gap))


def equivalence_design(gap: Difference, min_effect: float) -> Design | None:
    """Layout of the tests of a difference beyond ± `min_effect`. None where no standard deviation is known."""
    std = gap.equivalence_std(min_effect / 100)
    if std is None or gap.std is None:
        return None
    # a standard deviation that is mostly the resolution of the test set is no estimate
    is_known = 2 * gap.std**2 < std**2
    return Design(100 * std, gap.method == "paired", None if is_known else gap.dof, _grain(gap))


def _grain(gap: Difference) -> float:
    return 100 / gap.resolution.images if gap.resolution else 0.0
