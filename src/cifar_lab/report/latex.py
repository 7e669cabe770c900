r"""Answers to report.tex: a table a question as wide as the text, to be taken into a paper with \input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.questions import Lab
from cifar_lab.analysis.summary import Row
from cifar_lab.report.columns import interval_words, p_words, signed
from cifar_lab.report.latex_text import foreign_letters, latex

_HEAD = r"""% Tables of cifar-lab report. In the preamble: \usepackage{booktabs}, \usepackage{tabularx} and, for
% pdflatex, \usepackage[T1]{fontenc}. Then, where the tables are wanted: \input{report}
% Mean test accuracy in percent, the number of runs and a 95 % t interval; differences to the control in percentage
% points (pp), paired by seed where seeds are shared, else Welch; p adjusted by Holm over all comparisons.
"""
_CELL = r"""\providecommand{\labcell}[2]{\begin{tabular}[t]{@{}r@{}}#1\\{\footnotesize #2}\end{tabular}}
"""


def latex_page(lab: Lab) -> str:
    """The text of report.tex."""
    tables = [_table(answer, lab) for answer in lab.answers]
    return _HEAD + _warning(lab) + _CELL + "".join(f"\n{table}" for table in tables)


def _warning(lab: Lab) -> str:
    """Which engine the letters need, where the usual one has none for them."""
    letters = foreign_letters(text for answer in lab.answers for text in _texts(answer, lab))
    if not letters:
        return ""
    return f"% pdflatex has no letters for {letters[:40]}: compile with lualatex or xelatex and a font that has them.\n"


def _texts(answer: Answer, lab: Lab) -> list[str]:
    return [_caption(answer, lab), *(row.label for row in answer.rows)]


def _caption(answer: Answer, lab: Lab) -> str:
    return " ".join([answer.question.title, *answer.sentences, *([f"Images: {lab.data.title}."] if lab.data else [])])


def _table(answer: Answer, lab: Lab) -> str:
    lines = [
        r"\begin{table}",
        rf"  \caption{{{latex(_caption(answer, lab))}}}",
        rf"  \label{{tab:{answer.name}}}",
        r"  \begin{tabularx}{\linewidth}{@{}>{\raggedright\arraybackslash}Xrrlr@{}}",
        r"    \toprule",
        r"    arm & mean, \% & vs control, pp & verdict & $p$ \\",
        r"    \midrule",
        *(f"    {' & '.join(cells)} \\\\" for cells in _rows(answer)),
        r"    \bottomrule",
        r"  \end{tabularx}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(answer: Answer) -> Iterator[list[str]]:
    for row in answer.rows:
        found = answer.comparison(row)
        yield [
            latex(row.label + (" (control)" if row.is_control else "")),
            _mean_cell(row),
            "" if found is None else _difference_cell(found),
            "" if found is None else latex(found.verdict),
            "" if found is None else latex(p_words(found.p_holm)),
        ]


def _mean_cell(row: Row) -> str:
    """`43.65 (n = 5)` above `42.52 to 44.78`."""
    lost = [f"{len(row.diverged)} diverged"] if row.diverged else []
    if row.mean is None:
        return _cell("no runs yet" if row.is_missing else "diverged", lost if row.is_missing else [])
    interval = []
    if row.interval is not None:
        low, high = row.interval
        interval = [interval_words(100 * low, 100 * high)]
    return _cell(f"{100 * row.mean:.2f} ({'one run' if row.n == 1 else f'n = {row.n}'})", interval + lost)


def _difference_cell(found: Comparison) -> str:
    """`−8.63 (5 pairs)` above `−10.25 to −7.01`."""
    if found.points is None:
        return "not comparable yet"
    pairs = len(found.seeds)
    count = f"{pairs} pair{'' if pairs == 1 else 's'}"
    if found.method == "welch":
        count = f"n = {found.n}, {found.n_control}"
    interval = [] if found.low is None or found.high is None else [interval_words(found.low, found.high)]
    return _cell(f"{signed(found.points, 2)} ({count})", interval)


def _cell(first: str, below: Sequence[str]) -> str:
    return rf"\labcell{{{latex(first)}}}{{{latex(', '.join(below))}}}" if below else latex(first)
