"""`cifar-lab compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Overrides, Results

THING = "A settings file, a label, a sweep's file or name, or the beginning of a run's id."


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=THING)],
    second: Annotated[str, typer.Argument(metavar="B", help="The same: what A is compared with.")],
    results: Results = DEFAULT_RESULTS,
    overrides: Overrides = [],  # noqa: B006
    min_effect: Annotated[
        float, typer.Option("--min-effect", metavar="PP", help="Differences smaller than this do not matter, pp.")
    ] = 0.3,
) -> None:
    """Is A better than B? Two arms or sweeps by their seeds; two single runs by their test images."""
    from cifar_lab.cli.comparing import print_comparison

    print_comparison(first, second, results, overrides, min_effect)
