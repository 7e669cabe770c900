"""`cifar-lab report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Lab, Overrides, Results, flag

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T", bound=str)


def report(
    results: Results = DEFAULT_RESULTS,
    lab: Lab = None,
    found: Annotated[
        bool, flag("--found", help="Compare all arms of the results folder, without the lab file.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="The data set, if the arms ran on several.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", metavar="LIST", help="Files to write: html, md, csv, json, latex.")
    ] = "html,md,csv,json",
    figures: Annotated[
        str, typer.Option("--figures", metavar="LIST", help="Chart formats: png, svg, pdf. PNG is always written.")
    ] = "png",
    check: Annotated[
        bool,
        flag("--check", help="Write nothing. Exit with 1 if the report differs from the records."),
    ] = False,
    details: Annotated[
        bool, flag("--details", help="Print the evidence of each verdict: interval, p value, number of seeds.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write watch.html every 5 seconds while runs are under way. It has no verdict."),
    ] = False,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Answer every question from the runs in the results folder: one page, charts, tables, answers.json.

    Without a lab file, or if no run belongs to one of its arms, the arms in the folder are compared as found.
    Damaged files are named and left out. The command then exits with 3.
    """
    from cifar_lab.analysis.questions import find_lab_file
    from cifar_lab.core.terminal import say, say_wrapped
    from cifar_lab.report.build import FILE_NAMES, FORMATS, build_report
    from cifar_lab.report.charts.style import FIGURE_FORMATS
    from cifar_lab.store.results import existing_results

    existing_results(results)
    if watch:
        _watch(results, open_page)
        return
    lab_path = find_lab_file(lab)
    wanted, drawn = _listed("--format", formats, FORMATS), _listed("--figures", figures, FIGURE_FORMATS)
    if check:
        raise typer.Exit(_check(lab_path, results, overrides, data, found))
    built = build_report(
        lab_path, results, overrides, data, found=found, formats=wanted, figures=drawn, details=details
    )
    for line in built.lines:
        (say if line.startswith("wrote ") or "cifar-lab " in line else say_wrapped)(line)  # a command is copied
    if open_page:
        _open(results / FILE_NAMES["html"])


def _watch(results: Path, open_page: bool) -> None:
    """Follow the runs of the folder until none is in progress."""
    from cifar_lab.core.terminal import say
    from cifar_lab.report.watch import SECONDS, watch

    def ready(page: Path) -> None:
        say(f"{page}: updated every {SECONDS:.0f} seconds while runs are under way; press Ctrl-C to end")
        if open_page:
            _open(page)

    state = watch(results, ready)
    say(f"nothing is running: {state.done} runs done, {state.diverged} diverged, {state.interrupted} interrupted")


def _open(page: Path) -> None:
    """Open a page in the browser, or name it where there is none."""
    import webbrowser

    from cifar_lab.core.terminal import say

    if not page.is_file():
        say(f"{page}: does not exist, so nothing is opened; add html to --format", sys.stderr)
    elif not webbrowser.open(page.resolve().as_uri()):
        say(f"no browser found; open {page}", sys.stderr)


def _check(lab: Path | None, results: Path, overrides: Sequence[str], data: str | None, found: bool) -> int:
    """Compare the report with its records and return the exit code, 0 where they agree."""
    from cifar_lab.core.errors import ExitCode
    from cifar_lab.core.terminal import say
    from cifar_lab.core.text import plain
    from cifar_lab.report.recheck import check_report

    files, differences = check_report(lab, results, overrides, data, found=found)
    for line in differences:
        say(f"cifar-lab: {plain(line)}", sys.stderr)
    if differences:
        say("cifar-lab: the report differs from its records; write it again: cifar-lab report", sys.stderr)
        return ExitCode.RUNS_FAILED
    say(f"{', '.join(path.name for path in files)}: equal to the records")
    return 0


def _listed(option: str, text: str, known: tuple[T, ...]) -> list[T]:
    """Parse a list such as `a,b`, in the order of `known`.

    Raises:
        SettingsError: a word that is not in `known`, or no word.
    """
    from cifar_lab.core.errors import SettingsError

    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word not in known]
    if wrong or not words:
        raise SettingsError(f"{option}: {(wrong or [text])[0]!r} is not one of: {', '.join(known)}")
    return [word for word in known if word in words]
