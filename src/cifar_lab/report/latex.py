r"""report.tex: a table per question as wide as the text, for \input in a paper."""

from __future__ import annotations

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.sentences import answer_sentences
from cifar_lab.report.cells import foreign_letters, latex
from cifar_lab.report.columns import ReportRow, columns_of, headers_of

_HEAD = r"""% Tables of cifar-lab report. In the preamble: \usepackage{booktabs}, \usepackage{tabularx} and, for
% pdflatex, \usepackage[T1]{fontenc}. Then, where the tables belong: \input{report}
% Mean test accuracy in percent (DeepFool: L2 distance), the number of runs and a 95 % t interval; differences to the
% control in percentage points (DeepFool: L2), paired by seed where seeds are shared, else Welch, with an interval at
% the level of this look; p adjusted for the other looks and by Holm over all comparisons.
"""
_CELL = r"""\providecommand{\labcell}[2]{\begin{tabular}[t]{@{}r@{}}#1\\{\footnotesize #2}\end{tabular}}
"""


def latex_page(lab: Lab) -> str:
    """Text of report.tex."""
    tables = [_table(answer, lab) for answer in lab.answers]
    return _HEAD + _warning(lab) + _CELL + "".join(f"\n{table}" for table in tables)


def _warning(lab: Lab) -> str:
    """Comment on the engine that the letters need, where pdflatex has none for them."""
    letters = foreign_letters(text for answer in lab.answers for text in _texts(answer, lab))
    if not letters:
        return ""
    return f"% pdflatex has no letters for {letters[:40]}: compile with lualatex or xelatex and a font that has them.\n"


def _texts(answer: Answer, lab: Lab) -> list[str]:
    return [_caption(answer, lab), *(row.label for row in answer.rows)]


def _caption(answer: Answer, lab: Lab) -> str:
    return " ".join(
        [answer.question.title, *answer_sentences(answer), *([f"Images: {lab.data.title}."] if lab.data else [])]
    )


def _table(answer: Answer, lab: Lab) -> str:
    columns = columns_of("latex", answer)
    aligned = "".join("l" if column.is_text else "r" for column in columns[1:])
    entries = [ReportRow(row, answer) for row in answer.rows]
    rows = [[column.cell("latex", entry) for column in columns] for entry in entries]
    lines = [
        r"\begin{table}",
        rf"  \caption{{{latex(_caption(answer, lab))}}}",
        rf"  \label{{tab:{answer.name}}}",
        rf"  \begin{{tabularx}}{{\linewidth}}{{@{{}}>{{\raggedright\arraybackslash}}X{aligned}@{{}}}}",
        r"    \toprule",
        rf"    {' & '.join(headers_of('latex', answer))} \\",
        r"    \midrule",
        *(f"    {' & '.join(cells)} \\\\" for cells in rows),
        r"    \bottomrule",
        r"  \end{tabularx}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
