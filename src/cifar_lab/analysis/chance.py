"""Arms at chance: those whose accuracy guessing explains."""

from __future__ import annotations

from math import sqrt

from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row

_STANDARD_ERRORS = 2


def is_at_chance(row: Row, data: DataSet) -> bool:
    """Whether guessing explains the accuracy: at most two standard errors of one guess per test image above chance."""
    if row.mean is None or data.classes < 2:
        return False
    error = sqrt(data.chance * (1 - data.chance) / data.test_size)
    return row.mean <= data.chance + _STANDARD_ERRORS * error


def chance_sentence(row: Row, data: DataSet) -> str:
    """Sentence on an arm at chance."""
    return (
        f"{row.label} is at chance ({100 * (row.mean or 0.0):.2f} %, and guessing among {data.classes} classes gives "
        f"{100 * data.chance:.3g} %): it has learnt nothing useful. Check its learning curves."
    )
