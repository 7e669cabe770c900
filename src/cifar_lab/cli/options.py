"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cifar_lab.cli.completion import complete_file, complete_question, complete_setting, setting_values
from cifar_lab.core.errors import SettingsError

TRAIN_PANEL = "Arms, seeds and settings"
EXECUTION_PANEL = "Execution"
LIMITS_PANEL = "Failures and time limits"
OUTPUT_PANEL = "Results and output"
"""Panels of `--help`."""


def flag(*names: str, help: str, panel: str | None = None, hidden: bool = False) -> Any:
    """Option without a value."""
    return typer.Option(*names, metavar="", help=help, rich_help_panel=panel, hidden=hidden)


Overrides = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", rich_help_panel=TRAIN_PANEL, autocompletion=complete_setting,
        help="Change a setting, such as optimizer.momentum=0.8. Repeatable.",
    ),
]  # fmt: skip
Seeds = Annotated[
    list[str],
    typer.Option(
        "--seeds", metavar="LIST", rich_help_panel=TRAIN_PANEL,
        help="Seeds to train instead of those in the file: 3x (three seeds), 0-4, or 0,1,7.",
    ),
]  # fmt: skip
Epochs = Annotated[
    int | None, typer.Option("--epochs", metavar="N", help="Short for --set epochs=N.", rich_help_panel=TRAIN_PANEL)
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", help="Short for --set data.batch_size=N.", rich_help_panel=TRAIN_PANEL),
]
LearningRate = Annotated[
    str | None,
    typer.Option("--lr", metavar="RATE", help="Short for --set optimizer.lr=RATE.", rich_help_panel=TRAIN_PANEL),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", rich_help_panel=EXECUTION_PANEL,
        autocompletion=lambda: setting_values("runtime.device"),
        help="Short for --set runtime.device=DEVICE: auto, cpu or cuda.",
    ),
]  # fmt: skip


def _results_folder(value: str | Path) -> Path:
    """Path of `--results`.

    Raises:
        SettingsError: it is empty, which would mean the working folder.
    """
    if not str(value).strip():
        raise SettingsError("--results: the name is empty; give a folder, such as --results results")
    return Path(value)


Results = Annotated[
    Path,
    typer.Option(
        "--results",
        metavar="DIR",
        help="The results folder.",
        show_default=True,
        rich_help_panel=OUTPUT_PANEL,
        parser=_results_folder,
    ),
]
Force = Annotated[bool, flag("--force", help="Retrain runs that already exist.", panel=TRAIN_PANEL)]
DryRun = Annotated[bool, flag("--dry-run", help="Print what would be done, without doing it.", panel=EXECUTION_PANEL)]
NoTrial = Annotated[
    bool,
    flag("--no-trial", help="Do not try models from files or packages before the start.", panel=EXECUTION_PANEL),
]
TrialTimeout = Annotated[
    str | None,
    typer.Option(
        "--trial-timeout", metavar="TIME", rich_help_panel=EXECUTION_PANEL,
        help="Longest trial of a model (90s, 15m). Default: a minute, and more for slow models.",
    ),
]  # fmt: skip
Resume = Annotated[bool, flag("--resume", help="Accepted for habit: runs always resume.", hidden=True)]
Wait = Annotated[
    bool,
    flag("--wait", help="Wait for runs that other commands hold. A sweep always does.", panel=EXECUTION_PANEL),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", rich_help_panel=EXECUTION_PANEL,
        help="Number of concurrent runs. Default: as many as the cores allow, a few on a GPU.",
    ),
]  # fmt: skip
EngineChoice = Annotated[
    Literal["here", "ray"],
    typer.Option(
        "--engine", metavar="here|ray", rich_help_panel=EXECUTION_PANEL,
        help="Train on this machine, or on a Ray cluster (docs/cluster.md).",
    ),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", rich_help_panel=EXECUTION_PANEL,
        help="Address of the Ray cluster. Default: a private Ray cluster on this machine.",
    ),
]  # fmt: skip
Mirrors = Annotated[
    list[str],
    typer.Option(
        "--mirror", metavar="WHERE", rich_help_panel=OUTPUT_PANEL,
        help="Copy the curves to tensorboard, mlflow, mlflow:FILE.db or wandb (offline files). Repeatable.",
    ),
]  # fmt: skip
Quiet = Annotated[bool, flag("--quiet", "-q", help="Print no progress, only results and errors.", panel=OUTPUT_PANEL)]
Json = Annotated[bool, flag("--json", help="Print one JSON document instead, numbers unrounded.", panel=OUTPUT_PANEL)]
Verbose = Annotated[
    bool, flag("--verbose", "-v", help="Print a line per epoch, also for many runs.", panel=OUTPUT_PANEL)
]

Lab = Annotated[
    Path | None,
    typer.Option(
        "--lab", metavar="FILE", rich_help_panel=TRAIN_PANEL, autocompletion=complete_file,
        help="The lab file, with the questions. Default: lab.yaml, else configs/lab.yaml.",
    ),
]  # fmt: skip
Questions = Annotated[
    list[str],
    typer.Option(
        "--question", metavar="NAME", rich_help_panel=TRAIN_PANEL, autocompletion=complete_question,
        help="A question of the lab file, such as q3. Repeatable.",
    ),
]  # fmt: skip


class RetryChoice(StrEnum):
    """Treatment of runs that failed in an earlier command."""

    NONE = "none"
    FAILED = "failed"
    ALL = "all"


Strict = Annotated[bool, flag("--strict", help="Exit with 5 if a run of a sweep diverged.", panel=LIMITS_PANEL)]
Retries = Annotated[
    int,
    typer.Option(
        "--retries", min=0, metavar="N", rich_help_panel=LIMITS_PANEL,
        help="Further attempts of a run whose process dies, runs out of memory or exceeds --run-timeout. "
        "Each resumes from the last checkpoint.",
    ),
]  # fmt: skip
Retry = Annotated[
    RetryChoice,
    typer.Option(
        "--retry", metavar="none|failed|all", rich_help_panel=LIMITS_PANEL,
        help="Runs of an earlier command to train again: none, those that failed, or also those that diverged.",
    ),
]  # fmt: skip
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures", min=1, metavar="N", help="Start no more runs after N failures.", rich_help_panel=LIMITS_PANEL
    ),
]
FailFast = Annotated[bool, flag("--fail-fast", help="Short for --max-failures 1.", panel=LIMITS_PANEL)]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit", metavar="TIME", rich_help_panel=LIMITS_PANEL,
        help="Stop after this time (90s, 15m, 2h), at the end of the current epoch, with exit code 124.",
    ),
]  # fmt: skip
RunTimeout = Annotated[
    str | None,
    typer.Option(
        "--run-timeout", metavar="TIME", rich_help_panel=LIMITS_PANEL,
        help="End a run that takes longer than this time (90s, 15m, 2h).",
    ),
]  # fmt: skip

DEFAULT_RESULTS = Path("results")
