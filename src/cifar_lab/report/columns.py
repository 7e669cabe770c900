"""Numbers as tables show them, the same in every format: never a mean without its n, never a bare plus-minus."""

from __future__ import annotations

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.summary import Row


def signed(points: float, digits: int = 1) -> str:
    """`+1.2`, with a minus as wide as the plus; zero has no sign."""
    return f"{points:+.{digits}f}".replace("-", "−") if points else f"{0:.{digits}f}"


def interval_words(low: float, high: float, digits: int = 2) -> str:
    """`0.40 to 2.00`, with true minus signs."""
    return f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "−")


def digits(*points: float) -> int:
    """Decimals of a difference and its interval on a chart: two where all are under one point, else one."""
    return 2 if all(abs(each) < 1 for each in points) else 1


def mean_words(row: Row) -> str:
    """`62.58 (61.51 to 63.65; n = 5)`, percent; in words where there is no mean."""
    if row.mean is None:
        return "no runs yet" if row.is_missing else "diverged"
    return f"{100 * row.mean:.2f} ({mean_interval(row)})"


def mean_interval(row: Row) -> str:
    """`61.51 to 63.65; n = 5`, percent; `one run` where there is one; empty without any."""
    if row.interval is None:
        return "one run" if row.n == 1 else ""
    low, high = row.interval
    return f"{interval_words(100 * low, 100 * high)}; n = {row.n}"


def difference_cell(found: Comparison | None) -> str:
    """`+10.30 pp (9.93 to 10.67; 5 shared seeds)`; empty for the control."""
    if found is None:
        return ""
    if found.points is None:
        return "not comparable yet"
    return f"{signed(found.points, 2)} pp ({difference_interval(found)})"


def difference_interval(found: Comparison) -> str:
    """`9.93 to 10.67; 5 shared seeds`; `no interval` where no spread can be measured."""
    if found.method == "welch":
        behind = f"n = {found.n} and {found.n_control}"
    else:
        behind = f"{len(found.seeds)} shared seed{'' if len(found.seeds) == 1 else 's'}"
    if found.low is None or found.high is None:
        return f"no interval; {behind}"
    return f"{interval_words(found.low, found.high)}; {behind}"


def p_words(p: float | None) -> str:
    """`.013`, `< .001`, `1`; empty where there is none."""
    return "" if p is None else "< .001" if p < 0.001 else "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")
