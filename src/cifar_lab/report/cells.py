"""Cells of report tables: numbers and intervals in words. Never a mean without its n, never a bare plus-minus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from cifar_lab.analysis.answers import VERDICT_MARKS, Comparison
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import markdown, plain


def signed(points: float, digits: int = 1) -> str:
    """`+1.2`, with a minus as wide as the plus. Zero has no sign."""
    return f"{points:+.{digits}f}".replace("-", "−") if points else f"{0:.{digits}f}"


def interval_words(low: float, high: float, digits: int = 2) -> str:
    """`0.40 to 2.00`, with true minus signs."""
    return f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "−")


def chart_difference(found: Comparison) -> str:
    """`+1.2 (0.4 to 2.0)`, with two decimals where all are under one point. Words where the difference is unknown."""
    if found.difference is None:
        return "not comparable yet"
    known = [each for each in (found.difference, found.low, found.high) if each is not None]
    digits = found.scale.digits_of(known)
    difference = signed(found.difference, digits)
    if found.low is None or found.high is None:
        return f"{difference}, no interval"
    return f"{difference} ({interval_words(found.low, found.high, digits)})"


def p_words(p: float) -> str:
    """`.013`, `< .001`, `1`."""
    return "< .001" if p < 0.001 else "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")


def mean_words(row: Row) -> str:
    """`62.58 (61.51 to 63.65; n = 5)`, without the unit. Words where no mean is known."""
    if row.mean is None:
        return row.missing_words if row.is_missing else "diverged"
    return f"{row.scale.number(row.mean)} ({_mean_interval(row)})"


def _mean_interval(row: Row) -> str:
    """`61.51 to 63.65; n = 5`, without the unit. `one run` of one, empty of none."""
    if row.interval is None:
        return "one run" if row.n == 1 else ""
    return f"{scaled_interval(row, row.interval)}; n = {row.n}"


def scaled_interval(row: Row, interval: tuple[float, float]) -> str:
    """`61.51 to 63.65`: an interval of the row's values as shown, without the unit."""
    low, high = interval
    return interval_words(row.scale.factor * low, row.scale.factor * high, row.scale.digits)


def std_words(row: Row) -> str:
    """`1.23`, without the unit. Empty where no standard deviation is known."""
    return "" if row.std is None else row.scale.number(row.std)


def difference_words(found: Comparison | None) -> str:
    """`+10.30 pp (97 % 9.93 to 10.67; 5 shared seeds)`. Empty for the control."""
    if found is None:
        return ""
    if found.difference is None:
        return "not comparable yet"
    return f"{_signed_difference(found)} ({_difference_interval(found)})"


def _signed_difference(found: Comparison) -> str:
    """`+10.30 pp`, `−0.091 L2`."""
    assert found.difference is not None
    return f"{signed(found.difference, found.scale.digits)} {found.scale.difference_unit}"


def _difference_interval(found: Comparison) -> str:
    """`97 % 9.93 to 10.67; 5 shared seeds`. `no interval` where no standard error is known."""
    if found.method == "welch":
        runs = f"n = {found.n} and {found.n_control}"
    else:
        runs = f"{len(found.seeds)} shared seed{'' if len(found.seeds) == 1 else 's'}"
    if found.low is None or found.high is None:
        return f"no interval; {runs}"
    return f"{found.level_words} {interval_words(found.low, found.high, found.scale.digits)}; {runs}"


def verdict_words(found: Comparison | None) -> str:
    """`▲ better`. Empty for the control."""
    return "" if found is None else f"{VERDICT_MARKS[found.verdict]} {found.verdict}"


def markdown_label(row: Row) -> str:
    """Label of an arm, the control marked."""
    return markdown(row.label) + (" (control)" if row.is_control else "")


def run_list(row: Row) -> list[dict[str, Any]]:
    """Tested runs of a row for answers.json."""
    pairs = zip(row.values, row.run_ids, strict=True)
    return [{"seed": seed, "run_id": run_id, "accuracy": accuracy} for (seed, accuracy), run_id in pairs]


def seed_words(row: Row) -> str:
    """`0: 62.10, 1: diverged`, without the unit: the result of each seed."""
    cells = [f"{seed}: {row.scale.number(value)}" for seed, value in row.values]
    cells += [f"{seed}: diverged" for seed, _ in row.diverged]
    cells += [f"{seed}: no score" for seed in row.without_score]
    cells += [f"{seed}: to run" for seed in row.missing_seeds]
    return ", ".join(cells)


# --- terminal ---------------------------------------------------------------------------------------------------------


def terminal_mean(row: Row) -> str:
    """`0.5231 ± 0.0042`: mean and half the 95 % t interval, or `0.5231 (one run)`."""
    if row.mean is None:
        return ""
    interval = row.interval
    return f"{row.mean:.4f} (one run)" if interval is None else f"{row.mean:.4f} ± {interval[1] - row.mean:.4f}"


def terminal_std(row: Row) -> str:
    """`0.0042`, or `one run`."""
    return "one run" if row.n == 1 else "" if row.std is None else f"{row.std:.4f}"


def run_seeds(row: Row) -> str:
    """`0.5231 0.5190  1 diverged`: accuracy of each seed, and a count."""
    each = " ".join(f"{accuracy:.4f}" for _, accuracy in row.values)
    diverged = f"{len(row.diverged)} diverged" if row.diverged else ""
    return "  ".join(part for part in (each, diverged) if part)


def compare_seeds(row: Row) -> str:
    """`0.5231 0.5190 3 diverged`: accuracy of each seed, then the seeds that diverged."""
    return " ".join(
        [f"{accuracy:.4f}" for _, accuracy in row.values] + [f"{seed} diverged" for seed, _ in row.diverged]
    )


def not_counted(row: Row) -> str:
    """`1 diverged, 2 without test`: runs without an accuracy."""
    counts = {"diverged": len(row.diverged), "without test": row.untested}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number)


# --- HTML -------------------------------------------------------------------------------------------------------------


def html_count(row: Row) -> Markup:
    """Number of runs, with small lines for those without a result."""
    missing = {"diverged": row.diverged, "unfinished": row.unfinished, "to run": row.missing_seeds}
    notes = [
        Markup('<br><span class="small">{} {}</span>').format(len(each), word) for word, each in missing.items() if each
    ]
    return Markup("").join([Markup(row.n), *notes])


def html_mean(row: Row) -> Markup:
    """Mean above its interval."""
    mean = row.missing_words if row.is_missing else "" if row.mean is None else row.scale.number(row.mean)
    return Markup("{}<br>{}").format(mean, _small(_mean_interval(row)))


def html_difference(found: Comparison | None) -> Markup | str:
    """Difference above its interval."""
    if found is None:
        return ""
    if found.difference is None:
        return "not comparable yet"
    return Markup("{}<br>{}").format(_signed_difference(found), _small(_difference_interval(found)))


def html_verdict(found: Comparison | None) -> Markup | str:
    """Verdict, its sign hidden from screen readers."""
    if found is None:
        return ""
    return Markup('<span aria-hidden="true">{}</span> {}').format(VERDICT_MARKS[found.verdict], found.verdict)


def _small(text: str) -> Markup:
    """Small parts that break between each other only."""
    *parts, last = text.split("; ")
    spans = [*(f"{part};" for part in parts), last]
    return Markup(" ").join(Markup('<span class="small soft">{}</span>').format(each) for each in spans)


# --- LaTeX ------------------------------------------------------------------------------------------------------------

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "η": "eta", "θ": "theta", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "ω": "omega",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Π": "Pi", "Σ": "Sigma", "Ω": "Omega",
}  # fmt: skip
_SIGNS = {
    "≈": "approx", "≤": "leq", "≥": "geq", "≠": "neq", "→": "to", "←": "leftarrow", "∞": "infty", "∈": "in",
    "·": "cdot", "×": "times", "±": "pm", "−": "-",
}  # fmt: skip
_ESCAPES = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    # After the end of a row \\ reads a star and a bracket as its own; two hyphens would join to a dash.
    | {"[": "{[}", "*": "{*}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\symbol{34}", "`": r"\symbol{96}"}
    | {letter: "$-$" if name == "-" else f"$\\{name}$" for letter, name in (_GREEK | _SIGNS).items()}
)
_LAST_OF_LATIN = "\u017f"
"""Last letter that LaTeX itself knows (T1 encoding, UTF-8 input)."""
_KNOWN_MARKS = frozenset("‐‑–—‘’‚“”„†‡•…‰‹›€™")


def latex(text: str) -> str:
    """Escape text for a cell or a caption of LaTeX (UTF-8 input), in any font encoding."""
    return re.sub("-(?=-)", r"-\\/", plain(text).translate(_ESCAPES))


def foreign_letters(texts: Iterable[str]) -> str:
    """Letters that pdfLaTeX rejects, each once. LuaLaTeX and XeLaTeX show them where a font has them."""
    letters = {letter for text in texts for letter in plain(text)}
    known = _KNOWN_MARKS | _GREEK.keys() | _SIGNS.keys()
    return "".join(sorted(letter for letter in letters - known if letter > _LAST_OF_LATIN and not letter.isspace()))


def latex_label(row: Row) -> str:
    """Label of an arm, the control marked."""
    return latex(row.label + (" (control)" if row.is_control else ""))


def latex_mean(row: Row) -> str:
    """`43.65 (n = 5)` above `42.52 to 44.78`."""
    lost = [f"{len(row.diverged)} diverged"] if row.diverged else []
    if row.mean is None:
        return _latex_cell(row.missing_words if row.is_missing else "diverged", lost if row.is_missing else [])
    interval = [] if row.interval is None else [scaled_interval(row, row.interval)]
    return _latex_cell(f"{row.scale.number(row.mean)} ({'one run' if row.n == 1 else f'n = {row.n}'})", interval + lost)


def latex_difference(found: Comparison | None) -> str:
    """`−8.63 (5 pairs)` above `−10.25 to −7.01`."""
    if found is None:
        return ""
    if found.difference is None:
        return "not comparable yet"
    pairs = len(found.seeds)
    count = f"{pairs} pair{'' if pairs == 1 else 's'}"
    if found.method == "welch":
        count = f"n = {found.n}, {found.n_control}"
    interval = []
    if found.low is not None and found.high is not None:
        interval = [f"{found.level_words} {interval_words(found.low, found.high, found.scale.digits)}"]
    return _latex_cell(f"{signed(found.difference, found.scale.digits)} ({count})", interval)


def _latex_cell(first: str, below: Sequence[str]) -> str:
    return rf"\labcell{{{latex(first)}}}{{{latex(', '.join(below))}}}" if below else latex(first)
