"""Tables for the terminal: what a command found, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.cli.columns import Columns
from cifar_lab.config import Settings
from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch
from cifar_lab.progress.lines import plan_line

STATE_WORDS = {
    "done": "there already",
    "untested": "trained; to test",
    "interrupted": "to go on with",
    "missing": "to train",
}


class _TableOutput(Console):
    def on_broken_pipe(self) -> None:
        """Go on: what the command has done, and its exit code, do not hang on who reads."""
        ignore_output()


def console() -> Console:
    """Standard output; a table in a pipe or file is as wide as it needs to be."""
    found = _TableOutput(highlight=False)
    return found if found.is_terminal else _TableOutput(highlight=False, width=160)


def safe(text: str) -> str:
    """Text of a person's, which must neither move the cursor nor be taken for markup."""
    return escape(plain(text))


def mean_words(row: Row) -> str:
    """`0.5231 ± 0.0042`: mean and half the 95 % t interval; a single run is called one."""
    if row.mean is None:
        return ""
    interval = row.interval
    return f"{row.mean:.4f} (one run)" if interval is None else f"{row.mean:.4f} ± {interval[1] - row.mean:.4f}"


def print_plan(arms: Sequence[Settings], planned: Sequence[PlannedRun] | None) -> None:
    """What a dry run tells: each run and whether it is there."""
    out = console()
    if planned is None:
        runs = sum(len(settings.seeds) for settings in arms)
        out.print(
            f"{count(runs, 'run')} of {count(len(arms), 'arm')} to train; "
            "the data has not been prepared yet, so none can be there"
        )
        return
    table = Columns("run", "arm", "seed", "state", "epochs")
    for run in planned:
        job = run.job
        state = STATE_WORDS[run.state] + (f"; failed before ({run.failure.kind})" if run.failure is not None else "")
        table.add(job.run_id, job.settings.label, str(job.seed), state, str(job.settings.epochs))
    table.print(out)
    out.print(plan_line(planned))


def print_arms(arms: Sequence[Settings], made: RunBatch) -> None:
    """The arms of a command, one a line under the label just given, and what failed.

    Arms that mean the same runs have a line each; an arm none of whose runs has a record has none.
    """
    out = console()
    if made.records:
        table = Table(box=None, pad_edge=False)
        for name in ("arm", "n", "test accuracy", "std", "each seed", "seconds a run", "data"):
            table.add_column(name, justify="left" if name in ("arm", "each seed", "data") else "right")
        for row in _rows(arms, made):
            each = " ".join(f"{accuracy:.4f}" for _, accuracy in row.values)
            diverged = f"{len(row.diverged)} diverged" if row.diverged else ""
            table.add_row(
                safe(row.label),
                str(row.n),
                "" if row.mean is None else f"{row.mean:.4f}",
                "one run" if row.n == 1 else "" if row.std is None else f"{row.std:.4f}",
                "  ".join(part for part in (each, diverged) if part),
                "" if row.seconds is None else f"{row.seconds:.1f}",
                "synthetic (made up)" if row.data == "synthetic" else safe(row.data),
            )
        out.print(table)
    for outcome in made.outcomes:
        if outcome.status == "failed":
            out.print(f"[red]failed[/] {safe(outcome.job.name)}: {safe(outcome.reason or '')}")


def _rows(arms: Sequence[Settings], made: RunBatch) -> list[Row]:
    """A row for each arm that has a record."""
    images = DatasetCatalog()
    records = {record.run_id: record for record in made.records}
    found = dict.fromkeys((arm.label, tuple(i for i in run_ids_of(arm, images) if i in records)) for arm in arms)
    return [arm_row(label, [records[i] for i in run_ids]) for label, run_ids in found if run_ids]
