"""Answers to report.html: one file that opens from a disk, asks no network and holds its own plotting library.

The policy in its head forbids every request and every script but the three that are hashed there. What people wrote
reaches the page through Jinja's escaping, or as JSON in a block that no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    curves,
    settings_that_differ,
)
from cifar_lab.analysis.data_choice import SHORT, count_runs
from cifar_lab.analysis.questions import Lab
from cifar_lab.analysis.search_points import Axis, SearchedPoint, axes_of, read_tried
from cifar_lab.core.errors import DataError
from cifar_lab.core.text import plain
from cifar_lab.report.charts.details import classes_chart, confusion_chart, confusion_words, curves_chart
from cifar_lab.report.charts.interactive import Chart, short
from cifar_lab.report.charts.page import accuracy_chart, cost_charts, difference_chart
from cifar_lab.report.charts.search import MOST_LINES, effect_chart, effect_scale, parallel_chart
from cifar_lab.report.columns import difference_interval, mean_interval, p_words, signed
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

MOST_CURVES = 200
"""Runs of an arm whose learning curves the page holds; a mean over so many is as good as one over all."""
MOST_RECORDS = 100
"""Records of an arm that the page lists; answers.json has all."""
CELL_LETTERS = 300
"""Letters of a text in a cell: a name of ten thousand is no name."""
SENTENCE_LETTERS = 1_000
SYMBOLS = ("●", "■", "◆", "▲", "⬟", "⬢")
"""Of the arms, as the charts draw them; the control is a grey circle."""


@dataclass(frozen=True)
class PageSection:
    """A question of the page, ready for the template."""

    answer: Answer
    arms: Sequence[ArmBreakdown]
    classes: Sequence[str]
    class_rows: Sequence[ClassGap]
    class_control: Sequence[float]
    confusion: Sequence[ConfusionGap]
    """Without the arms that make the control's mistakes, which `same_mistakes` has."""
    same_mistakes: Sequence[ArmBreakdown]
    settings: Sequence[tuple[str, Sequence[str]]]
    charts: Mapping[str, Chart]
    tried: Sequence[SearchedPoint] = ()
    axes: Sequence[Axis] = ()
    curve_names: Mapping[str, str] = field(default_factory=dict)
    last_epochs: Sequence[tuple[ArmBreakdown, Mapping[str, float]]] = ()
    """Each arm with the mean of each curve's last number."""

    @property
    def runs(self) -> list[tuple[ArmBreakdown, Record]]:
        """Runs with a record, control first; of each arm at most `MOST_RECORDS`, the diverged before the tested."""
        return [(arm, run) for arm in self.arms for run in (*arm.diverged, *arm.runs)[:MOST_RECORDS]]

    @property
    def run_count(self) -> int:
        """Runs with a record."""
        return sum(len(arm.runs) + len(arm.diverged) for arm in self.arms)


def html_page(lab: Lab, results: Path) -> str:
    """The whole of report.html. The same records give the same text.

    Args:
        lab: the answers.
        results: the folder that the page will lie in; learning curves and the points of searches are read from it.
    """
    sections = [_section(answer, lab, results) for answer in lab.answers]
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
    histories = _histories(arms, results)
    names = next((run.data.classes for arm in arms for run in arm.runs), ())
    gaps, changes = class_gaps(control, others), confusion_gaps(control, others)
    confusion = [change for change in changes if not change.is_empty]
    tried = read_tried(results, answer.sweep.sweep, lab.records) if answer.sweep else []
    axes = axes_of(tried)
    charts: dict[str, Chart | None] = {
        "accuracy": accuracy_chart(answer, lab.data),
        "difference": difference_chart(answer, lab.min_effect),
        "curves": curves_chart(arms, histories),
        "classes": classes_chart(gaps, names),
        "confusion": confusion_chart(confusion, names),
        **cost_charts(answer),
        "parallel": parallel_chart(tried, axes),
    }
    inside = effect_scale(axes) if axes else ()
    charts |= {f"effect{place}": effect_chart(axis, inside) for place, axis in enumerate(axes)}
    last = [(arm, _last(arm, histories)) for arm in arms]
    return PageSection(
        answer,
        arms,
        names,
        gaps,
        class_accuracies(control) if gaps else (),
        confusion,
        [change.arm for change in changes if change.is_empty],
        settings_that_differ(arms),
        {name: chart for name, chart in charts.items() if chart is not None},
        tried,
        axes,
        {name: words for name, words in CURVES.items() if any(name in values for _, values in last)},
        [(arm, values) for arm, values in last if values],
    )


def _histories(arms: Sequence[ArmBreakdown], results: Path) -> dict[str, dict[str, list[float | None]]]:
    """Run id → its learning curves; without those whose file is gone or damaged."""
    found = {}
    for run in (run for arm in arms for run in arm.runs[:MOST_CURVES]):
        try:
            columns = curves(RunFolder(results, run.run_id).read_metrics())
        except DataError:
            continue
        if columns:
            found[run.run_id] = columns
    return found


def _last(arm: ArmBreakdown, histories: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, float]:
    """Mean over the arm's runs of each curve's last number."""
    ends: dict[str, list[float]] = {}
    for run in arm.runs:
        for name, values in histories.get(run.run_id, {}).items():
            if values[-1] is not None:
                ends.setdefault(name, []).append(values[-1])
    return {name: sum(values) / len(values) for name, values in ends.items()}


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
        "MARKS": VERDICT_MARKS,
        "MOST_LINES": MOST_LINES,
        "MOST_RECORDS": MOST_RECORDS,
        "SHORT": SHORT,
        "confusion_words": confusion_words,
        "count_runs": count_runs,
        "mean_interval": mean_interval,
        "difference_interval": difference_interval,
        "p_words": p_words,
        "symbol": symbol,
    }
    return environment


def _unbroken(text: str) -> str:
    """A sentence whose numbers stay with their units and signs at a line's end."""
    return re.sub(r" (?=(%|pp\b|[<=] ))|(?<=[<=]) ", "\u00a0", short(text, SENTENCE_LETTERS))


def symbol(style: int) -> str:
    """What an arm is marked with on the charts."""
    return "○" if style < 0 else SYMBOLS[style % len(SYMBOLS)]


def _template_file(name: str) -> str:
    return (files("cifar_lab.report") / "templates" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    """plotly.js of the installed plotly package, which is not imported: that would take a second."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """For the content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
