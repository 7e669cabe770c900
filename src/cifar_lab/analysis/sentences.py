"""A comparison in words: one sentence that can stand in a report as it is."""

from __future__ import annotations

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.stats.levels import ALPHA, FEWEST_SEEDS, NO_SPREAD
from cifar_lab.analysis.summary import Row


def sentence(comparison: Comparison, row: Row, control: Row, *, same_runs: bool) -> str:
    """The answer to *is this arm better than its control?*"""
    arm, other = row.label, control.label
    if same_runs:
        return f"{arm} and {other} have the same settings: they are the same runs."
    text = _unmeasured(row, control) or _few(comparison) or _measured(comparison)
    return text + _stuck(row, control) + _lost(row) + _lost(control)


def points(value: float, *, sign: bool = False) -> str:
    """`0.31`, or `+0.31` and `−0.31`: percentage points."""
    shown = round(value, 2) + 0.0  # no negative zero
    text = f"{shown:+.2f}" if sign and shown else f"{shown:.2f}"
    return text.replace("-", "−")


def p_words(p: float, name: str = "p") -> str:
    """`p = .031`, `p < .001`."""
    if p < 0.001:
        return f"{name} < .001"
    return f"{name} = {f'{p:.3f}'.removeprefix('0')}" if p < 0.9995 else f"{name} = 1"


def _unmeasured(row: Row, control: Row) -> str:
    """Where one of them has no accuracy, or one alone."""
    for each, rest in ((row, ""), (control, f", so {row.label} cannot be compared")):
        if each.mean is None:
            if each.diverged:
                return f"{each.label}: {_all(len(each.diverged))} diverged{rest}."
            return f"{each.label}: no runs yet{rest}."
    if row.n == 1:
        return f"{row.label}: one run."
    return f"{control.label}: one run, so {row.label} cannot be compared." if control.n == 1 else ""


def _all(count: int) -> str:
    return "its run" if count == 1 else f"all {count} runs"


def _few(comparison: Comparison) -> str:
    """Where there are too few runs for a verdict."""
    if comparison.verdict != "no verdict":
        return ""
    n = min(comparison.n, comparison.n_control)
    return (
        f"{comparison.arm}: {_far(comparison)} {comparison.control} ({_rests_on(comparison)}); {_number(n)} are too "
        f"few for a verdict, which takes {FEWEST_SEEDS} at least."
    )


def _number(n: int) -> str:
    return "two runs" if n == 2 else f"{n} runs"


def _measured(comparison: Comparison) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.points
    assert gap is not None
    if comparison.verdict == "equivalent":
        return _equivalent(comparison)
    if comparison.verdict in ("better", "worse"):
        size = points(abs(gap))
        low, high = _ends(comparison)
        around = f"{_level(comparison)} {low} to {high}; " if low else ""
        return f"{arm} is {comparison.verdict} than {control} by {size} pp ({around}{_rests_on(comparison, False)})."
    words = f"Undecided: {arm} is {_far(comparison)} {control} ({_rests_on(comparison)})"
    return f"{words}; {_what_would_tell(comparison)}.{_caution(comparison)}"


def _ends(comparison: Comparison) -> tuple[str, str]:
    """The interval of the size of the difference, whichever way it goes; empty where there is none."""
    if comparison.low is None or comparison.high is None or comparison.points is None:
        return "", ""
    low, high = (comparison.low, comparison.high)
    low, high = (low, high) if comparison.points >= 0 else (-high, -low)
    return points(low), points(high)


def _equivalent(comparison: Comparison) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.points
    assert gap is not None
    within = f"equivalent within {comparison.min_effect:g} pp"
    if comparison.ties == len(comparison.seeds) and comparison.method == "paired":
        seeds = len(comparison.seeds)
        return f"{arm} has exactly the accuracy of {control} in each of {seeds} shared seeds: {within}, the gap is 0."
    shown = comparison.p_holm is not None and comparison.p_holm <= ALPHA
    which = f"; the difference is too small to matter but it is there, {'for' if gap > 0 else 'against'} {arm}"
    return (
        f"{arm} and {control} are {within}: the difference is {points(gap, sign=True)} pp ({_rests_on(comparison)})"
        f"{which if shown else ''}."
    )


def _far(comparison: Comparison) -> str:
    gap = comparison.points
    assert gap is not None
    if abs(gap) <= 100 * NO_SPREAD:
        return "level with"
    return f"{points(abs(gap))} pp {'above' if gap > 0 else 'below'}"


def _level(comparison: Comparison) -> str:
    return f"{100 * comparison.level:.4g} %"


def _rests_on(comparison: Comparison, interval: bool = True) -> str:
    """What stands in brackets: interval, runs, p."""
    parts = []
    if interval and comparison.low is not None and comparison.high is not None:
        parts.append(f"{_level(comparison)} {points(comparison.low)} to {points(comparison.high)}")
    if comparison.low is None and comparison.method == "paired":
        parts.append("the same in every seed, so that no interval can be made")
    if comparison.method == "paired":
        parts.append(f"{comparison.n} shared seeds" + ("" if comparison.is_whole else ", runs without a partner apart"))
    else:
        few = "too few shared seeds" if comparison.seeds else "no shared seeds"
        parts.append(f"{comparison.n} and {comparison.n_control} runs with {few}")
    name = "Holm p" if comparison.family > 1 else "p"
    if comparison.verdict == "equivalent" and comparison.p_equivalence_holm is not None:
        parts.append(p_words(comparison.p_equivalence_holm, f"{name} of a larger one"))
    elif comparison.p_holm is not None:
        parts.append(p_words(comparison.p_holm, name))
    if comparison.looks > 1:
        parts.append(f"held to {comparison.looks} planned looks")
    return "; ".join(parts)


def _what_would_tell(comparison: Comparison) -> str:
    more = comparison.seeds_more
    if more is not None:
        return f"about {more:,} more {'seed' if more == 1 else 'seeds'} would tell"
    if comparison.low is None:
        return "the runs of each have no spread, so nothing says how many more seeds would tell"
    return "more than 1,000 more seeds would be needed to tell"


def _caution(comparison: Comparison) -> str:
    """Why an interval without 0 is no answer, or what these seeds could not have shown."""
    low, high, smallest = comparison.low, comparison.high, comparison.smallest_shown
    outside = low is not None and high is not None and (low > 0 or high < 0)
    if outside and comparison.family > 1:
        count = comparison.family
        return f" Its own interval leaves 0 out, but of {count} comparisons one does so by chance too easily."
    if smallest is None:
        return ""
    seeds = min(comparison.n, comparison.n_control)
    return f" With {seeds} seeds a difference under {points(smallest)} pp is easily missed."


def _stuck(row: Row, control: Row) -> str:
    """A warning where no run differs from any other."""
    values = [accuracy for each in (row, control) for _, accuracy in each.values]
    if min(row.n, control.n) < 2 or max(values) - min(values) > NO_SPREAD:
        return ""
    return " Every run of both has the same accuracy, as where nothing was learned: look at the curves."


def _lost(row: Row) -> str:
    """Runs that the comparison leaves out because they have no accuracy."""
    parts = []
    if row.diverged and row.mean is not None:
        parts.append(f"{len(row.diverged)} of {row.attempts} diverged")
    if row.without_score:
        parts.append(f"{len(row.without_score)} ended without a finite answer")
    if row.unfinished and row.mean is not None:
        parts.append(f"{len(row.unfinished)} {'has' if len(row.unfinished) == 1 else 'have'} no result yet")
    return f" Of the runs of {row.label}, {' and '.join(parts)}: they are in no mean." if parts else ""
