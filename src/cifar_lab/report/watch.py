"""watch.html: a page that follows the runs of a results folder while other commands make them.

It shows what is done, validation accuracy and learning curves. It reads no test accuracy, prints no verdict and counts
as no look at the results.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.analysis.arms import options
from cifar_lab.analysis.breakdowns import CURVES
from cifar_lab.analysis.under_way import RunCurves, SearchUnderWay, UnderWay, read_under_way
from cifar_lab.core.atomic_io import write_text
from cifar_lab.report.charts.chart import Chart, short
from cifar_lab.report.html import render_page
from cifar_lab.report.sections import search_charts

WATCH_PAGE = "watch.html"
SECONDS = 5.0
"""Seconds between two updates of the page."""
QUIET_UPDATES = 3
"""Updates without a running run after which the page is final. Between two batches of a search none runs."""


@dataclass(frozen=True)
class WatchedSearch:
    """Search of the page with its charts."""

    search: SearchUnderWay
    charts: dict[str, Chart] = field(default_factory=dict)


def watch(results: Path, ready: Callable[[Path], None], seconds: float = SECONDS) -> UnderWay:
    """Update the page until no run is under way, and return the last state.

    Args:
        results: folder of the runs and of the page.
        ready: called with the page's path when it was written for the first time.
        seconds: time between two updates.

    Raises:
        EnvironmentFault: the page cannot be written.
    """
    page, quiet, is_new = results / WATCH_PAGE, 0, True
    while True:
        state = read_under_way(results)
        quiet = 0 if state.running else quiet + 1
        is_final = quiet >= QUIET_UPDATES
        write_text(page, watch_page(state, results, None if is_final else seconds))
        if is_new:
            ready(page)
            is_new = False
        if is_final:
            return state
        time.sleep(seconds)


def watch_page(state: UnderWay, results: Path, seconds: float | None = SECONDS) -> str:
    """Text of watch.html.

    Args:
        state: the runs and searches.
        results: their folder.
        seconds: time after which a browser loads the page again. None for the last page.
    """
    searches = [WatchedSearch(search, _search_charts(search)) for search in state.searches]
    running = _curves_chart(state.running)
    charts: dict[str, Any] = {
        f"search{index}-{name}": chart.spec
        for index, watched in enumerate(searches)
        for name, chart in watched.charts.items()
    }
    charts |= {"running-curves": running.spec} if running else {}
    return render_page(
        "watch.html.j2",
        charts,
        state=state,
        searches=searches,
        running=running,
        command=shlex.join(["cifar-lab", "report", *options(results, [])]),
        reload=None if seconds is None else max(1, round(seconds)),
        clock=time.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _search_charts(search: SearchUnderWay) -> dict[str, Chart]:
    charts = {**search_charts(search.points, search.axes), "curves": _curves_chart(search.best)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _curves_chart(runs: Sequence[RunCurves]) -> Chart | None:
    """Learning curves of single runs. None without any."""
    arms = [
        {"label": f"{short(run.label)}, seed {run.seed}", "style": index}
        | {name: {"mean": list(curve), "runs": []} for name, curve in run.curves.items()}
        for index, run in enumerate(runs)
    ]
    metrics = {name: words for name, words in CURVES.items() if any(name in run.curves for run in runs)}
    if not metrics:
        return None
    said = "; ".join(f"{arm['label']}: epoch {run.epochs}" for arm, run in zip(arms, runs, strict=True))
    return Chart({"kind": "curves", "metrics": metrics, "arms": arms}, f"Learning curves. {said}.", 340)
