"""`cifar-lab predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, OUTPUT_PANEL, Json, Results, flag

NetworkDevice = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", metavar="auto|cpu|cuda", help="Device of the networks. auto: a GPU if there is one."),
]


def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN…] IMAGE|FOLDER|ZIP",
            help="Runs by the first characters of their ids, or by a label that one run has. Then images: files, "
            "folders, zip files or tar archives.",
            autocompletion=complete_name,
        ),
    ],
    results: Results = DEFAULT_RESULTS,
    device: NetworkDevice = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.png", help="Draw the images with class and probability (png, svg, pdf).",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    as_csv: Annotated[
        bool, flag("--csv", help="Print CSV instead, with the probability of every class.", panel=OUTPUT_PANEL)
    ] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Classify images with the trained network of a run, or with the mean of several runs.

    Images are decoded as those of a data set, and resized to the size of the run. Files that are no usable images are
    named and left out. The command then exits with 3.
    """
    from cifar_lab.cli.predict_output import PredictionRequest, print_predictions

    request = PredictionRequest.of(words, results, device, out, as_csv=as_csv, as_json=as_json)
    if print_predictions(request):
        from cifar_lab.core.errors import DataError

        raise typer.Exit(DataError.exit_code)
