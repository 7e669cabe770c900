"""Tables for the terminal: what a command found, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.cli.columns import Columns
from cifar_lab.config import Settings
from cifar_lab.core.stdout import ignore_output
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch
from cifar_lab.progress.lines import plan_line
from cifar_lab.report.columns import Medium, ReportRow, columns_of

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


def arms_table(medium: Medium, rows: Sequence[Row]) -> Table:
    """A line per arm, with the columns of the report that the command shows."""
    table, columns = Table(box=None, pad_edge=False), columns_of(medium)
    for column in columns:
        table.add_column(column.header(medium), justify="left" if column.is_text else "right")
    for row in rows:
        table.add_row(*(safe(str(column.cell(medium, ReportRow(row)))) for column in columns))
    return table


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
        out.print(arms_table("run", _rows(arms, made)))
    for outcome in made.outcomes:
        if outcome.status == "failed":
            out.print(f"[red]failed[/] {safe(outcome.job.name)}: {safe(outcome.reason or '')}")


def _rows(arms: Sequence[Settings], made: RunBatch) -> list[Row]:
    """A row for each arm that has a record."""
    images = DatasetCatalog()
    records = {record.run_id: record for record in made.records}
    found = dict.fromkeys((arm.label, tuple(i for i in run_ids_of(arm, images) if i in records)) for arm in arms)
    return [arm_row(label, [records[i] for i in run_ids]) for label, run_ids in found if run_ids]
