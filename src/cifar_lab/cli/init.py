"""`cifar-lab init`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the new lab.")] = Path(),
    question: Annotated[
        str | None,
        typer.Option(
            "--question",
            metavar="TEXT",
            help="Write one question with two arms, such as 'Adam or SGD?'. Default: nine.",
        ),
    ] = None,
    model: Annotated[
        bool, typer.Option("--model", help="Also write model.py, a network to edit, and use it in the arms.")
    ] = False,
    data: Annotated[
        str,
        typer.Option("--data", metavar="NAME", help="cifar10, cifar100, synthetic, or a folder or zip file of images."),
    ] = "cifar10",
) -> None:
    """Write a new lab: a lab file and the settings files of its arms. Existing files are never overwritten."""
    from cifar_lab.cli.new_lab import file_texts
    from cifar_lab.cli.output import Output
    from cifar_lab.core.atomic_io import make_folder
    from cifar_lab.core.terminal import say

    texts = file_texts(question, data, with_model=model)
    _refuse_existing(folder, texts)
    make_folder(folder)
    written = [folder / name for name, text in texts.items() if _write(folder / name, text)]
    names = ", ".join(path.as_posix() for path in written)
    say(f"wrote {names}" if written else f"{folder / 'lab.yaml'}: all files already exist")
    named: list[str | Path] = [] if folder == Path() else ["--lab", folder / "lab.yaml"]
    Output("init").next(["run", "--question", "q1", *named])


def _refuse_existing(folder: Path, texts: Mapping[str, str]) -> None:
    """Refuse a folder that has another file of one of these names.

    Raises:
        SettingsError: names each such file.
    """
    from cifar_lab.core.errors import Problem, SettingsError

    there = [folder / name for name, text in texts.items() if _is_other(folder / name, text)]
    if there:
        message = "already exists, and init never overwrites a file; name another folder: cifar-lab init FOLDER"
        raise SettingsError([Problem(path.as_posix(), "", message) for path in there])


def _is_other(path: Path, text: str) -> bool:
    """Whether something else than this text is at the path."""
    if not path.is_file():
        return path.exists() or path.is_symlink()
    from cifar_lab.core.files import read_document

    return read_document(path) != text.encode()


def _write(path: Path, text: str) -> bool:
    """Write a new file. Whether it was missing."""
    from cifar_lab.core.atomic_io import write_text

    if path.exists():
        return False
    write_text(path, text)
    return True
