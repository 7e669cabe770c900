"""`cifar-lab check` and `cifar-lab schema`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cifar_lab.cli.options import Overrides, Seeds, collect


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Settings files, lab sheets, sweep files.")],
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
) -> None:
    """Check settings files and print what they come to; the problems of all of them in one pass."""
    from cifar_lab.cli.checking import describe
    from cifar_lab.progress.lines import say

    texts = collect([partial(describe, path, overrides, seeds) for path in files])
    say("\n---\n".join(text.rstrip() for text in texts))


def schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Of which kind of file: settings, lab or sweep.")
    ] = "settings",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The reference of all files for people instead.")
    ] = False,
) -> None:
    """Write the JSON Schema from which editors complete and check settings files."""
    from cifar_lab.config.io import json_schema, sheet_schema
    from cifar_lab.config.sheets import LabSheet, SweepSheet
    from cifar_lab.core.atomic_io import write_text
    from cifar_lab.core.errors import SettingsError
    from cifar_lab.progress.lines import say

    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "settings": json_schema,
        "lab": lambda: sheet_schema(LabSheet),
        "sweep": lambda: sheet_schema(SweepSheet),
    }
    if kind not in makers:
        raise SettingsError(f"schema: {kind!r} is none of {', '.join(makers)}")
    if markdown:
        from cifar_lab.config.io.schema import settings_reference

        text = settings_reference().rstrip("\n")
    else:
        text = json.dumps(makers[kind](), indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        write_text(output, text + "\n")
        say(f"wrote {output}")
