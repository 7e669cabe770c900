"""report.html: one file that opens from a disk without a network and contains the plotting library.

The content security policy in its head forbids every request and every script but the three that are hashed there. User
text reaches the page through Jinja's escaping, or as JSON in a block that no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cifar_lab.analysis.answers import VERDICT_MARKS, Answer
from cifar_lab.analysis.breakdowns import (
    CURVES,
    ArmBreakdown,
    ClassGap,
    ConfusionGap,
    arms_of,
    class_accuracies,
    class_gaps,
    confusion_gaps,
    last_epoch,
    read_curves,
)
from cifar_lab.analysis.data_choice import SHORT
from cifar_lab.analysis.factors import settings_that_differ
from cifar_lab.analysis.questions import Lab
from cifar_lab.analysis.search_points import Axis, SearchedPoint, axes_of, best_points, read_points
from cifar_lab.analysis.sentences import comparison_sentences, winner_sentence
from cifar_lab.core.text import count, plain
from cifar_lab.report.cells import signed
from cifar_lab.report.charts.details import (
    MOST_LINES,
    classes_chart,
    confusion_chart,
    confusion_words,
    curves_chart,
    effect_chart,
    effect_scale,
    parallel_chart,
)
from cifar_lab.report.charts.interactive import Chart, accuracy_chart, cost_charts, difference_chart, short
from cifar_lab.report.columns import ReportRow, columns_of
from cifar_lab.store.records import Record

MOST_RECORDS = 100
"""Records per arm that the page lists. answers.json has all."""
CELL_LETTERS = 300
"""Length at which the text of a cell is cut."""
SENTENCE_LETTERS = 1_000
"""Length at which a sentence is cut."""
SYMBOLS = ("●", "■", "◆", "▲", "⬟", "⬢")
"""Symbols of the arms, as the charts draw them. The control is a grey circle."""


@dataclass(frozen=True)
class PageSection:
    """Question of the page, ready for the template."""

    answer: Answer
    arms: Sequence[ArmBreakdown]
    charts: Mapping[str, Chart]
    classes: Sequence[str]
    class_gaps: Sequence[ClassGap]
    class_control: Sequence[float]
    """Accuracy of the control in each class, percent."""
    confusion: Sequence[ConfusionGap]
    """Confusion per arm, without the arms that make the control's mistakes, which `same_mistakes` has."""
    same_mistakes: Sequence[ArmBreakdown]
    settings: Sequence[tuple[str, Sequence[str]]]
    """Settings that differ, each with its value in every arm."""
    points: Sequence[SearchedPoint]
    """Points of the search of a sweep."""
    axes: Sequence[Axis]
    curve_names: Mapping[str, str]
    last_epochs: Sequence[tuple[ArmBreakdown, Mapping[str, float]]]
    """Each arm with the mean of each curve at its last epoch."""

    @property
    def runs(self) -> list[tuple[ArmBreakdown, Record]]:
        """Runs with a record, control first, of each arm at most `MOST_RECORDS`, the diverged before the tested."""
        return [(arm, run) for arm in self.arms for run in (*arm.diverged, *arm.runs)[:MOST_RECORDS]]

    @property
    def run_count(self) -> int:
        """Number of runs with a record."""
        return sum(len(arm.runs) + len(arm.diverged) for arm in self.arms)

    @property
    def finished_points(self) -> list[SearchedPoint]:
        """Points of the search with an accuracy, the best first."""
        return best_points(self.points)

    @property
    def sentences(self) -> list[tuple[str, str, str]]:
        """(class, sign, sentence) of the winner of a sweep, then of each comparison."""
        first = [("none", "★", winner_sentence(curse))] if (curse := self.answer.selection_bias) else []
        pairs = zip(self.answer.comparisons, comparison_sentences(self.answer), strict=True)
        return first + [
            ("none" if found.verdict == "no verdict" else found.verdict, VERDICT_MARKS[found.verdict], sentence)
            for found, sentence in pairs
        ]


def html_page(lab: Lab, results: Path) -> str:
    """Text of report.html. The same records give the same text.

    Args:
        lab: the answers.
        results: folder of the page, from which learning curves and the points of searches are read.
    """
    sections = [_section(answer, lab, results) for answer in lab.shown]
    charts = {
        f"{section.answer.name}-{name}": chart.spec for section in sections for name, chart in section.charts.items()
    }
    scripts = [_plotly(), _template_file("report.js")]
    template = _environment().get_template("report.html.j2")
    return template.render(
        lab=lab,
        sections=sections,
        charts=charts,
        scripts=[Markup(script) for script in scripts],
        hashes=[_hash(script) for script in scripts],
        style=Markup(_template_file("report.css")),
    )


def _section(answer: Answer, lab: Lab, results: Path) -> PageSection:
    arms = arms_of(answer, lab.records)
    control, others = arms[0], arms[1:]
    histories = read_curves(arms, results)
    names = next((run.data.classes for arm in arms for run in arm.runs), ())
    gaps, changes = class_gaps(control, others), confusion_gaps(control, others)
    confusion = [change for change in changes if not change.is_empty]
    points = read_points(results, answer.sweep.sweep, lab.records) if answer.sweep else []
    axes = axes_of(points)
    charts: dict[str, Chart | None] = {
        "accuracy": accuracy_chart(answer, lab.data),
        "difference": difference_chart(answer, lab.min_effect),
        "curves": curves_chart(arms, histories),
        "classes": classes_chart(gaps, names),
        "confusion": confusion_chart(confusion, names),
        **cost_charts(answer),
        "parallel": parallel_chart(points, axes),
    }
    inside = effect_scale(axes) if axes else ()
    charts |= {f"effect{index}": effect_chart(axis, inside) for index, axis in enumerate(axes)}
    last = [(arm, last_epoch(arm, histories)) for arm in arms]
    return PageSection(
        answer,
        arms,
        charts={name: chart for name, chart in charts.items() if chart is not None},
        classes=names,
        class_gaps=gaps,
        class_control=class_accuracies(control) if gaps else (),
        confusion=confusion,
        same_mistakes=[change.arm for change in changes if change.is_empty],
        settings=settings_that_differ([arm.settings for arm in arms]),
        points=points,
        axes=axes,
        curve_names={name: words for name, words in CURVES.items() if any(name in values for _, values in last)},
        last_epochs=[(arm, values) for arm, values in last if values],
    )


# --- the template ---------------------------------------------------------------------------------------------------


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cifar_lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "line": lambda text: short(text, CELL_LETTERS),
        "plain": plain,
        "percent": lambda share, digits=2: "" if share is None else f"{100 * share:.{digits}f}",
        "number": lambda value, digits=1: "" if value is None else f"{value:,.{digits}f}",
        "sentence": _unbroken,
        "signed": signed,
    }
    environment.globals |= {
        "MOST_LINES": MOST_LINES,
        "MOST_RECORDS": MOST_RECORDS,
        "SHORT": SHORT,
        "confusion_words": confusion_words,
        "count": count,
        "columns_of": columns_of,
        "report_row": ReportRow,
        "symbol": symbol,
    }
    return environment


def _unbroken(text: str) -> str:
    """Join numbers with their units and signs by non-breaking spaces."""
    return re.sub(r" (?=(%|pp\b|[<=] ))|(?<=[<=]) ", "\u00a0", short(text, SENTENCE_LETTERS))


def symbol(style: int) -> str:
    """Symbol of an arm on the charts."""
    return "○" if style < 0 else SYMBOLS[style % len(SYMBOLS)]


def _template_file(name: str) -> str:
    return (files("cifar_lab.report") / "templates" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    """plotly.js of the installed plotly package, read without an import, which would take a second."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Hash of a script for the content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
