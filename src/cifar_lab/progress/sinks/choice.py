"""`--mirror` words to mirrors, refused before anything starts where they cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cifar_lab.core.errors import SettingsError
from cifar_lab.progress.sinks.mlflow import MlflowMirror
from cifar_lab.progress.sinks.relay import Mirror
from cifar_lab.progress.sinks.tensorboard import TensorBoardMirror

SQLITE = "sqlite:///"


def mirrors_of(words: Sequence[str], results: Path) -> list[Mirror]:
    """`tensorboard`, `mlflow` (a database in `results`), `mlflow:FILE` and `mlflow:sqlite:///FILE` as mirrors.

    Raises:
        SettingsError: another word, a server, or a package that is not installed; all of them at once.
    """
    problems: list[str] = []
    found: dict[str, Mirror] = {}
    for word in words:
        kind, _, where = word.partition(":")
        if kind not in ("tensorboard", "mlflow") or (kind == "tensorboard" and where):
            problems.append(f"--mirror: {word!r} is none of tensorboard, mlflow, mlflow:FILE.db")
        elif "://" in where.removeprefix(SQLITE):
            problems.append(
                f"--mirror: {word!r} is no SQLite file; cifar-lab speaks to no server, write mlflow:FILE.db"
            )
        elif find_spec(kind) is None:
            problems.append(f"--mirror {kind}: is not installed; pip install 'cifar-lab[{kind}]'")
        elif kind == "tensorboard":
            found[kind] = TensorBoardMirror()
        else:
            file = Path(where.removeprefix(SQLITE)) if where.removeprefix(SQLITE) else results / "mlflow.db"
            found[f"{kind} {file.absolute()}"] = MlflowMirror(file.absolute())
    if problems:
        raise SettingsError("; ".join(dict.fromkeys(problems)))
    return list(found.values())
