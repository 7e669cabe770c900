"""Functions for scripts and notebooks: paths as text, progress as lines, and an exception where a run failed.

The commands call `execution.runner` and `studies.run_sweep` instead, because a failed run does not end them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.finished_runs import find_finished
from cifar_lab.config import Settings
from cifar_lab.core.terminal import say
from cifar_lab.core.text import parse_duration
from cifar_lab.execution import runner
from cifar_lab.execution.context import Display, Engine, RunContext, local_engine
from cifar_lab.execution.runner import RunBatch
from cifar_lab.execution.tracker import Policy, Retry
from cifar_lab.progress.lines import PlainLines
from cifar_lab.store import results as run_files
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.studies import run_sweep
from cifar_lab.studies.run_sweep import SweepOutcome
from cifar_lab.studies.sweep import Sweep

if TYPE_CHECKING:
    from cifar_lab.training.trained.network import TrainedNetwork


def make_runs(
    arms: Settings | Sequence[Settings],
    results: str | Path = "results",
    *,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    policy: Policy | None = None,
    engine: Engine | None = None,
) -> RunBatch:
    """Make the missing runs of one or more arms over their seeds, and read all records.

    Args:
        arms: resolved settings, as returned by `load_settings`.
        results: results folder, created if missing.
        force: discard existing runs and train again.
        workers: number of worker processes. None takes as many as the cores hold, or a few on a GPU.
        display: receives the progress. None prints lines, `cifar_lab.Silent()` prints nothing.
        policy: retries and time limits, as returned by `cifar_lab.policy`.
        engine: executes the runs, as opened by `cifar_lab.open_engine`. None is this machine.

    Raises:
        LabError: settings, data or environment are unusable, or a run failed. The other runs have been made then.
        Interrupted: Ctrl-C. Finished work is kept, and the same call resumes.
        TimeLimit: the time limit of the policy. Finished work is kept too.
    """
    several = [arms] if isinstance(arms, Settings) else arms
    runs = runner.make_runs(several, _context(results, force, workers, display, policy, engine))
    runs.raise_failed()
    return runs


def make_sweep(
    found: Sweep,
    results: str | Path = "results",
    *,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    policy: Policy | None = None,
    engine: Engine | None = None,
    allow_failed: bool = False,
) -> SweepOutcome:
    """Run the search of a sweep, then train its winners with fresh seeds and test them.

    Args:
        found: the sweep, as returned by `load_sweep`.
        results, force, workers, display, policy, engine: as in `make_runs`.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.

    Raises:
        LabError: as `make_runs`. Failed runs of the search raise before anything is tested.
    """
    context = _context(results, force, workers, display, policy, engine)
    outcome = run_sweep.make_sweep(
        found, context, allow_failed=allow_failed, say=say if display is None else lambda line: None
    )
    outcome.confirmed.raise_failed()
    return outcome


def policy(
    *,
    retries: int = 1,
    retry: Retry = "failed",
    max_failures: int | None = None,
    time_limit: str | None = None,
    run_timeout: str | None = None,
) -> Policy:
    """Retry policy and time limits of a call, like the options of `cifar-lab run`.

    Args:
        retries: further attempts of a run whose process died, or that ran out of memory or time.
        retry: treatment of runs that failed in an earlier call: `none` leaves them, `failed` retries them, `all` also
            retries runs that diverged.
        max_failures: start no more runs after this number of failures.
        time_limit: time from now, such as `2h`. Each active run then ends after its epoch.
        run_timeout: longest duration of one attempt, such as `15m`.

    Raises:
        SettingsError: a number or a time that is not valid.
    """
    seconds_left = None if time_limit is None else parse_duration(time_limit, "time_limit")
    return Policy(
        retries=retries,
        run_seconds=None if run_timeout is None else parse_duration(run_timeout, "run_timeout"),
        max_failures=max_failures,
        deadline=None if seconds_left is None else time.monotonic() + seconds_left,
        retry=retry,
    )


def read_records(results: str | Path = "results") -> list[Record]:
    """Read the records of all finished runs in a results folder, sorted by label, seed and id.

    Raises:
        DataError: a record is damaged.
    """
    return run_files.read_records(Path(results))


def read_metrics(results: str | Path, run_id: str) -> list[EpochMetrics]:
    """Read the epochs of a run, oldest first.

    Raises:
        DataError: the metrics are damaged.
    """
    return run_files.read_metrics(Path(results), run_id)


def load_model(run: str | Record, results: str | Path = "results") -> TrainedNetwork:
    """Load the network of a finished run on the CPU, in evaluation mode. Imports torch.

    The module takes float32 images (N, 3, H, W) with pixels from 0 to 1 and returns logits (N, classes). Normalisation
    is inside. `classes` and `side` describe its output and input.

    Args:
        run: the beginning of its id, its label if no other run has it, or its record.
        results: results folder.

    Raises:
        SettingsError: no run or several runs have this name, or the run is not finished or diverged.
        DataError: the record or the weights are damaged, or the code of a custom model changed.
    """
    from cifar_lab.training.trained.network import load_trained

    folder = Path(results)
    record = find_finished(run, folder) if isinstance(run, str) else run
    return load_trained(folder, record, settings_of(record))


def _context(
    results: str | Path,
    force: bool,
    workers: int | None,
    display: Display | None,
    policy: Policy | None,
    engine: Engine | None,
) -> RunContext:
    return RunContext(
        Path(results), force, workers, display or PlainLines(), policy or Policy(), engine or local_engine()
    )  # fmt: skip
