"""`cifar-lab report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Overrides, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T", bound=str)


def report(
    results: Results = DEFAULT_RESULTS,
    lab: Annotated[Path, typer.Option("--lab", metavar="FILE", help="The sheet of questions.")] = Path(
        "configs/lab.yaml"
    ),
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="The data set, where the arms ran on several.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", metavar="LIST", help="Which files: html, md, csv, json, latex.")
    ] = "html,md,csv,json",
    figures: Annotated[
        str, typer.Option("--figures", metavar="LIST", help="Charts as png, svg, pdf; PNG is always drawn.")
    ] = "png",
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; end with 1 where the report there differs from the records."),
    ] = False,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Answer every question from what is in the results folder: one page, charts, tables, answers.json.

    A damaged record or file of winners is left out and named, and the command ends with 3.
    """
    from cifar_lab.progress.lines import say
    from cifar_lab.report.build import FORMATS, build_report
    from cifar_lab.report.charts.style import FIGURE_FORMATS
    from cifar_lab.store.results import existing_results

    existing_results(results)
    wanted, drawn = _listed("--format", formats, FORMATS), _listed("--figures", figures, FIGURE_FORMATS)
    if check:
        raise typer.Exit(_check(lab, results, overrides, data))
    built = build_report(lab, results, overrides, data, formats=wanted, figures=drawn)
    for line in built.lines:
        say(line)


def _check(lab: Path, results: Path, overrides: Sequence[str], data: str | None) -> int:
    """Compare the report with its records and return the exit code, 0 where they agree."""
    from cifar_lab.core.errors import ExitCode
    from cifar_lab.core.text import plain
    from cifar_lab.progress.lines import say
    from cifar_lab.report.recheck import check_report

    files, differences = check_report(lab, results, overrides, data)
    for line in differences:
        say(f"cifar-lab: {plain(line)}", sys.stderr)
    if differences:
        say("cifar-lab: the report is not what its records say; `cifar-lab report` makes it again", sys.stderr)
        return ExitCode.RUNS_FAILED
    say(f"{', '.join(path.name for path in files)}: as the records say")
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
        raise SettingsError(f"{option}: {(wrong or [text])[0]!r} is none of {', '.join(known)}")
    return [word for word in known if word in words]
