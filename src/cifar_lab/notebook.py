"""What a script or a notebook calls: paths as text, progress as lines, and an exception where a run failed.

The commands call `laboratory` and `sweep` themselves, because they go on after a failed run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_lab import laboratory, sweep
from cifar_lab import results as run_files
from cifar_lab.config import Settings
from cifar_lab.laboratory import Made
from cifar_lab.progress import Display, PlainLines, say
from cifar_lab.records import EpochMetrics, Record
from cifar_lab.sweep import Sweep, SweepOutcome
from cifar_lab.workplace import Workplace


def make_runs(
    arms: Settings | Sequence[Settings],
    results: str | Path = "results",
    *,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
) -> Made:
    """Train one arm or several over their seeds, as far as the runs are not there already, and read their records.

    Args:
        arms: resolved settings, as `load_settings` gives them.
        results: the results folder; made if it is missing.
        force: discard what is there and train again.
        workers: processes side by side; None takes a process a core, or a few where there is a GPU.
        display: who is told how it goes. None prints lines; `cifar_lab.Silent()` prints nothing.

    Raises:
        LabError: settings, data or the machine refuse, or a run failed; the other runs have been made then.
        Interrupted: Ctrl-C ended it; what was done is kept, and the same call goes on.
    """
    several = [arms] if isinstance(arms, Settings) else arms
    place = Workplace(Path(results), force=force, workers=workers, display=display or PlainLines())
    made = laboratory.make_runs(several, place)
    made.raise_failed()
    return made


def make_sweep(
    found: Sweep,
    results: str | Path = "results",
    *,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    allow_failed: bool = False,
) -> SweepOutcome:
    """Search, then train the winners with fresh seeds and test them.

    Args:
        found: a sweep, as `load_sweep` gives it.
        results, force, workers, display: as in `make_runs`.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.

    Raises:
        LabError: as `make_runs`; runs of the search that failed raise before anything is tested.
    """
    place = Workplace(Path(results), force=force, workers=workers, display=display or PlainLines())
    told = say if display is None else lambda line: None
    outcome = sweep.make_sweep(found, place, allow_failed=allow_failed, say=told)
    outcome.confirmed.raise_failed()
    return outcome


def read_records(results: str | Path = "results") -> list[Record]:
    """Every finished run in a results folder, sorted by label, seed and id; empty where there is none.

    Raises:
        DataError: a record is damaged.
    """
    return run_files.read_records(Path(results))


def read_metrics(results: str | Path, run_id: str) -> list[EpochMetrics]:
    """The epochs of one run, oldest first.

    Raises:
        DataError: its file is damaged.
    """
    return run_files.read_metrics(Path(results), run_id)
