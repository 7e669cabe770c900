"""What a script or a notebook calls: paths as text, progress as lines, and an exception where a run failed.

The commands call `laboratory` and `sweep` themselves, because they go on after a failed run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.core.text import parse_duration
from cifar_lab.execution import runner as laboratory
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.display import Display
from cifar_lab.execution.engine import Engine, LocalEngine
from cifar_lab.execution.retry_policy import Policy, Retry
from cifar_lab.execution.runner import RunBatch
from cifar_lab.progress.lines import PlainLines, say
from cifar_lab.store import results as run_files
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.studies import sweep
from cifar_lab.studies.sweep import Sweep, SweepOutcome


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
    """Train one arm or several over their seeds, as far as the runs are not there already, and read their records.

    Args:
        arms: resolved settings, as `load_settings` gives them.
        results: the results folder; made if it is missing.
        force: discard what is there and train again.
        workers: processes side by side; None takes a process a core, or a few where there is a GPU.
        display: who is told how it goes. None prints lines; `cifar_lab.Silent()` prints nothing.
        policy: how often runs are tried and how long they may take, as `cifar_lab.policy` gives it.
        engine: where they are made, as `cifar_lab.open_engine` gives it; None is this machine.

    Raises:
        LabError: settings, data or the machine refuse, or a run failed; the other runs have been made then.
        Interrupted: Ctrl-C ended it; what was done is kept, and the same call goes on. TimeLimit: the policy did.
    """
    several = [arms] if isinstance(arms, Settings) else arms
    made = laboratory.make_runs(several, _place(results, force, workers, display, policy, engine))
    made.raise_failed()
    return made


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
    """Search, then train the winners with fresh seeds and test them.

    Args:
        found: a sweep, as `load_sweep` gives it.
        results, force, workers, display, policy, engine: as in `make_runs`.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.

    Raises:
        LabError: as `make_runs`; runs of the search that failed raise before anything is tested.
    """
    context = _place(results, force, workers, display, policy, engine)
    told = say if display is None else lambda line: None
    outcome = sweep.make_sweep(found, context, allow_failed=allow_failed, say=told)
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
    """How far the calls that are given it go for their runs: what the options of `cifar-lab run` say.

    Args:
        retries: more tries of a run whose process died, or that ran out of memory or time.
        retry: what becomes of runs that an earlier call left as failed: `none` leaves them, `all` also tries those
            again that diverged.
        max_failures: begin no more runs once so many have failed.
        time_limit: from now on, such as `2h`; then each run under way ends after its epoch.
        run_timeout: longest that one try of a run may take, such as `15m`.

    Raises:
        SettingsError: a number or a time that means nothing.
    """
    left = None if time_limit is None else parse_duration(time_limit, "time_limit")
    return Policy(
        retries=retries,
        run_seconds=None if run_timeout is None else parse_duration(run_timeout, "run_timeout"),
        max_failures=max_failures,
        deadline=None if left is None else time.monotonic() + left,
        retry=retry,
    )


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


def _place(
    results: str | Path,
    force: bool,
    workers: int | None,
    display: Display | None,
    policy: Policy | None,
    engine: Engine | None,
) -> RunContext:
    return RunContext(
        Path(results), force, workers, display or PlainLines(), policy or Policy(), engine or LocalEngine()
    )  # fmt: skip
