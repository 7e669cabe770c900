"""Evidence of a comparison in words: differences, intervals, numbers of runs and p values."""

from __future__ import annotations

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.scales import SHARES
from cifar_lab.analysis.stats.significance import ZERO_STD


def pp(value: float, *, sign: bool = False) -> str:
    """Percentage points: `0.31`, or `+0.31` and `−0.31`."""
    return SHARES.size(value, sign=sign)


def p_words(p: float, name: str = "p") -> str:
    """`p = .031`, `p < .001`."""
    if p < 0.001:
        return f"{name} < .001"
    return f"{name} = {f'{p:.3f}'.removeprefix('0')}" if p < 0.9995 else f"{name} = 1"


def interval_ends(comparison: Comparison) -> tuple[str, str]:
    """Ends of the interval of the absolute difference. Empty where none is known."""
    if comparison.low is None or comparison.high is None or comparison.difference is None:
        return "", ""
    low, high = comparison.low, comparison.high
    low, high = (low, high) if comparison.difference >= 0 else (-high, -low)
    return comparison.scale.size(low), comparison.scale.size(high)


def distance_words(comparison: Comparison) -> str:
    """`0.31 pp above`, `0.091 L2 below`, `level with`."""
    gap, scale = comparison.difference, comparison.scale
    assert gap is not None
    if abs(gap) <= scale.factor * ZERO_STD:
        return "level with"
    return f"{scale.difference(abs(gap))} {'above' if gap > 0 else 'below'}"


def rests_on(comparison: Comparison, interval: bool = True) -> str:
    """Evidence in brackets: interval, runs, p."""
    parts, size = [], comparison.scale.size
    if interval and comparison.low is not None and comparison.high is not None:
        parts.append(f"{comparison.level_words} {size(comparison.low)} to {size(comparison.high)}")
    if comparison.low is None and comparison.method == "paired":
        parts.append("the same in every seed, so there is no interval")
    elif comparison.is_resolution_limited:
        parts.append("spread below what the test images resolve")
    if comparison.method == "paired":
        parts.append(
            f"{comparison.n} shared seeds" + ("" if comparison.is_whole else ", runs without a partner left out")
        )
    else:
        few = "too few shared seeds" if comparison.seeds else "no shared seeds"
        parts.append(f"{comparison.n} and {comparison.n_control} runs with {few}")
    name = p_name(comparison)
    if comparison.verdict == "equivalent" and comparison.p_equivalence_holm is not None:
        parts.append(p_words(comparison.p_equivalence_holm, f"{name} of a larger one"))
    elif comparison.p_holm is not None:
        parts.append(p_words(comparison.p_holm, name))
    if comparison.look is not None and comparison.look > 1:
        parts.append(f"look {comparison.look}")
    return "; ".join(parts)


def p_name(comparison: Comparison) -> str:
    """Name of the p value, which is adjusted for the number of comparisons."""
    return "Holm p" if comparison.family > 1 else "adjusted p"
