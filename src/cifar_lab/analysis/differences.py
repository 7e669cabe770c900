"""Difference of two rows as it is tested, and the layout for the power of its tests, in percentage points."""

from __future__ import annotations

from cifar_lab.analysis.stats.power import Design
from cifar_lab.analysis.stats.significance import ZERO_STD
from cifar_lab.analysis.stats.t_tests import Difference, compare
from cifar_lab.analysis.summary import Row


def row_difference(row: Row, control: Row) -> Difference | None:
    """Accuracies of a row minus those of its control. None where one has no accuracy."""
    return compare(dict(row.values), dict(control.values), min(row.test_size, control.test_size) or None)


def difference_design(gap: Difference) -> Design | None:
    """Layout of the test of a difference. None where no standard deviation is known."""
    return _design(gap, gap.resolved_std, is_known=gap.is_resolution_limited)


def equivalence_design(gap: Difference, min_effect: float) -> Design | None:
    """Layout of the tests of a difference beyond ± `min_effect`. None where no standard deviation is known."""
    std = gap.equivalence_std(min_effect / 100)
    return _design(gap, std, is_known=std is not None and gap.std is not None and 2 * gap.std**2 < std**2)


def _design(gap: Difference, std: float | None, *, is_known: bool) -> Design | None:
    """Layout with the standard deviation of the test.

    Args:
        is_known: the standard deviation is mostly the resolution of the test set, so it is not an estimate.
    """
    if std is None or (std <= ZERO_STD and gap.resolution is None):
        return None
    grain = 100 / gap.resolution.images if gap.resolution else 0.0
    return Design(100 * std, gap.method == "paired", None if is_known else gap.dof, grain)
