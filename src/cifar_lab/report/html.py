"""report.html: one file that opens from a disk without a network and contains the plotting library.

The content security policy in its head forbids every request and every script but those that are hashed there. User
text reaches the page through Jinja's escaping, or as JSON in a block that no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cifar_lab.analysis.data_choice import SHORT
from cifar_lab.analysis.verdict_line import pair_lines
from cifar_lab.core.text import count, plain
from cifar_lab.report.cells import html_difference, html_verdict, p_words, signed
from cifar_lab.report.charts.chart import short
from cifar_lab.report.charts.details import confusion_words
from cifar_lab.report.charts.drawing import accuracy_caption, difference_caption
from cifar_lab.report.charts.search import MOST_LINES, MOST_TICKS
from cifar_lab.report.charts.style import ARMS, CONTROL, look
from cifar_lab.report.columns import ReportRow, columns_of
from cifar_lab.report.sections import MOST_RECORDS, page_section, test_images

if TYPE_CHECKING:
    from cifar_lab.analysis.lab import Lab

CELL_LETTERS = 300
"""Length at which the text of a cell is cut."""
SENTENCE_LETTERS = 1_000
"""Length at which a sentence is cut."""
UNBROKEN_LETTERS = 40
"""Length up to which an option and its value stay on one line."""
SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "charts.js", "page.js")
"""Scripts of the page: d3 and Observable Plot as they are published (ISC licence), and ours."""


def html_page(lab: Lab, results: Path) -> str:
    """Text of report.html. The same records give the same text, but for pictures that need the prepared images.

    Args:
        lab: the answers.
        results: folder of the page, from which learning curves, predictions and the points of searches are read.
    """
    images = test_images(lab)
    sections = [page_section(answer, lab, results, images) for answer in lab.shown]
    charts = {
        f"{section.answer.name}-{name}": chart.spec for section in sections for name, chart in section.charts.items()
    }
    return render_page(
        "report.html.j2",
        charts,
        lab=lab,
        sections=sections,
        unanswered=lab.unanswered,
        has_images=images is not None,
    )


def render_page(template: str, charts: dict[str, Any], **values: Any) -> str:
    """Text of a page from a template, with its style, scripts and charts."""
    scripts = [_template_file(name) for name in SCRIPTS]
    return (
        _environment()
        .get_template(template)
        .render(
            charts=charts,
            looks={"control": CONTROL.symbol, "arms": [arm.symbol for arm in ARMS]},
            scripts=[Markup(script) for script in scripts],
            hashes=[_hash(script) for script in scripts],
            style=Markup(_style()),
            licences=Markup(_template_file("vendor/LICENSES.txt")),
            **values,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cifar_lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "command": command_words,
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
        "MOST_TICKS": MOST_TICKS,
        "SHORT": SHORT,
        "accuracy_caption": accuracy_caption,
        "difference_caption": difference_caption,
        "confusion_words": confusion_words,
        "count": count,
        "columns_of": columns_of,
        "report_row": ReportRow,
        "html_difference": html_difference,
        "html_verdict": html_verdict,
        "p_words": p_words,
        "pair_lines": pair_lines,
        "key": _key,
    }
    return environment


def command_words(command: str) -> Markup:
    """Command whose lines break between its words only, an option kept with its value."""
    line = plain(command)
    words = _with_values(line.split(" "))
    return Markup(" ").join(Markup('<span class="word">{}</span>').format(word) for word in words)


def _with_values(words: list[str]) -> list[str]:
    """Words with the command joined to its name, and each short option to its value."""
    joined: list[str] = []
    for word in words:
        last = joined[-1] if joined else ""
        is_value = last.startswith("-") and " " not in last and word[:1] != "-"
        if last == "cifar-lab" or (is_value and len(last + word) < UNBROKEN_LETTERS):
            joined[-1] = f"{last} {word}"
        else:
            joined.append(word)
    return joined


def _unbroken(text: str) -> str:
    """Join numbers with their units and signs by non-breaking spaces."""
    return re.sub(r" (?=(%|pp\b|[<=] ))|(?<=[<=]) ", "\u00a0", short(text, SENTENCE_LETTERS))


def _key(style: int) -> Markup:
    """Symbol of an arm in its colour."""
    name = "control" if style < 0 else f"arm{style % len(ARMS)}"
    return Markup('<span class="key" aria-hidden="true" style="color: var(--{})">{}</span>').format(
        name, look(style).letter
    )


def _style() -> str:
    """Style sheet, with the colours of the arms that the figures have."""
    colors = "".join(f" --arm{index}: {arm.color};" for index, arm in enumerate(ARMS))
    return f":root {{ --control: {CONTROL.color};{colors} }}\n{_template_file('report.css')}"


@lru_cache(maxsize=16)
def _template_file(name: str) -> str:
    return (files("cifar_lab.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Hash of a script for the content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
