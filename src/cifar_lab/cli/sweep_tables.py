"""What `sweep` prints: the plan of a dry run, and the winners."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from cifar_lab.cli.tables import console, print_arms, safe
from cifar_lab.laboratory import preview_runs
from cifar_lab.progress import count, plan_line
from cifar_lab.sweep import Sweep, SweepOutcome


def print_sweep_plan(sweep: Sweep, results: Path, force: bool) -> None:
    """How many runs the search takes, how many are there, and what follows it."""
    out, expansion, search = console(), sweep.expansion, sweep.search
    parts = [count(len(expansion.points), "point")]
    parts += [f"{count(expansion.duplicates, 'duplicate')} merged"] if expansion.duplicates else []
    parts += [f"{expansion.excluded} excluded"] if expansion.excluded else []
    out.print(f"{safe(sweep.name)}: {', '.join(parts)}")
    arms = sweep.search_arms()
    planned = preview_runs(arms, results, read_test=False, force=force)
    if planned is None:
        runs = sum(len(arm.seeds) for arm in arms)
        out.print(f"search: {count(runs, 'run')} to train; the data has not been prepared yet, so none can be there")
    else:
        out.print(f"search, by validation accuracy on {arms[0].data.val_size:,} images: {plan_line(planned)}")
    confirming = len(search.confirm_seeds)
    out.print(
        f"then: the base and the best {search.top} again with {count(confirming, 'fresh seed')}, tested: "
        f"at most {count(confirming * (search.top + 1), 'run')}"
    )


def print_outcome(sweep: Sweep, outcome: SweepOutcome) -> None:
    """The winners by validation accuracy, then what the test split says of them."""
    out = console()
    out.print("\nbest by validation accuracy:")
    if outcome.winners:
        table = Table(box=None, pad_edge=False)
        table.add_column("rank", justify="right")
        table.add_column("point")
        table.add_column("validation", justify="right")
        for winner in outcome.winners:
            table.add_row(str(winner.rank), safe(winner.point.name), f"{winner.val_accuracy:.4f}")
        out.print(table)
    else:
        out.print("no point ended with finite numbers, so there is no winner")
    runs = outcome.runs
    out.print(f"search: {count(runs.searched, 'run')}, {runs.failed} failed, {runs.diverged} diverged")
    failed = [each for each in outcome.searched.outcomes if each.status == "failed"]
    if failed:
        out.print(f"the first that failed: {safe(failed[0].job.name)}: {safe(failed[0].reason or '')}")
    out.print("\ntrained again with fresh seeds, then tested:")
    print_arms(sweep.confirm_arms(outcome.winners), outcome.confirmed)
