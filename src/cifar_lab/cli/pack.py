"""`cifar-lab pack` and `cifar-lab unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.options import DEFAULT_RESULTS, OUTPUT_PANEL, Lab, Results, flag


def pack(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The archive to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("lab.zip"),
    results: Results = DEFAULT_RESULTS,
    lab: Lab = None,
    no_weights: Annotated[
        bool, flag("--no-weights", help="Leave the trained weights out. Reports and claims do not need them.")
    ] = False,
) -> None:
    """Write one archive of the lab: records, predictions, report, settings, sources and claims.

    Another machine opens it with `cifar-lab unpack`. Its `report --check` and `claims` then say the same. Images and
    checkpoints are not in it. The same files give the same bytes.
    """
    from cifar_lab.cli.pack_output import write_archive

    write_archive(out, results, lab, weights=not no_weights)


def unpack(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An archive of `cifar-lab pack`.", autocompletion=complete_file)
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="New or empty folder. Default: the name of the archive.")
    ] = None,
) -> None:
    """Check an archive of `pack` and write its files into a new folder, all or none of them."""
    from cifar_lab.cli.pack_output import open_archive

    open_archive(file, folder or Path(file.stem))
