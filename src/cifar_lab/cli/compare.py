"""`cifar-lab compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, OUTPUT_PANEL, Json, Lab, Overrides, Results, flag

THING = "A settings file, a label, a sweep file or its name, or the first characters of a run id."


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=THING, autocompletion=complete_name)],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B", help="The other side of the comparison, in the same forms.", autocompletion=complete_name
        ),
    ],
    results: Results = DEFAULT_RESULTS,
    overrides: Overrides = [],  # noqa: B006
    lab: Lab = None,
    min_effect: Annotated[
        float | None,
        typer.Option(
            "--min-effect",
            metavar="PP",
            help="Smaller differences are negligible, in percentage points. Default: min_effect of the lab file if "
            "one of its questions compares the two, else 0.3.",
        ),
    ] = None,
    details: Annotated[
        bool, flag("--details", help="Print the evidence too: interval, p value, effect size.", panel=OUTPUT_PANEL)
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare A with B: two arms or sweeps by their seeds, two single runs by their test images."""
    from cifar_lab.analysis.questions import find_lab_file
    from cifar_lab.cli.compare_output import ComparisonRequest, print_comparison

    request = ComparisonRequest(first, second, results, overrides, find_lab_file(lab), min_effect, details)
    print_comparison(request, as_json=as_json)
