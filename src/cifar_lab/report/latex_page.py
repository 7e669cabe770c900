r"""Answers to report.tex: a table a question, to be taken into a paper with \input. Needs booktabs."""

from __future__ import annotations

from collections.abc import Iterator

from cifar_lab.report.answers import Answer
from cifar_lab.report.cells import difference_cell, mean_words, p_words
from cifar_lab.report.questions import Lab
from cifar_lab.safe_text import latex

_HEAD = """\
% Tables of cifar-lab report: \\usepackage{booktabs}, \\usepackage{textcomp}, then \\input{report}.
% Mean test accuracy in percent with its 95 % t interval; differences to the control in percentage points (pp), paired
% by seed where seeds are shared, else Welch; p adjusted by Holm over all comparisons.
"""


def latex_page(lab: Lab) -> str:
    """The text of report.tex."""
    return _HEAD + "".join(f"\n{_table(answer, lab)}" for answer in lab.answers)


def _table(answer: Answer, lab: Lab) -> str:
    images = f" Images: {lab.data.title}." if lab.data else ""
    caption = " ".join([answer.question.title, *answer.sentences]) + images
    lines = [
        r"\begin{table}",
        rf"  \caption{{{latex(caption)}}}",
        rf"  \label{{tab:{answer.name}}}",
        r"  \centering",
        r"  \begin{tabular}{lrrll}",
        r"    \toprule",
        r"    arm & mean \% (95\,\%) & vs control (95\,\%) & verdict & $p$ \\",
        r"    \midrule",
        *(f"    {' & '.join(cells)} \\\\" for cells in _rows(answer)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(answer: Answer) -> Iterator[list[str]]:
    for row in answer.rows:
        found = answer.comparison(row)
        lost = f", {len(row.diverged)} diverged" if row.diverged else ""
        cells = [
            row.label + (" (control)" if row.is_control else ""),
            mean_words(row) + lost,
            difference_cell(found),
            "" if found is None else found.verdict,
            "" if found is None else p_words(found.p_holm),
        ]
        yield [latex(cell) for cell in cells]
