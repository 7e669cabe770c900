"""Functions for scripts and notebooks: paths as text, progress as lines or bars, an exception where a run failed.

The commands call `execution.runner` and `studies.run_sweep` instead, because a failed run does not end them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.analysis import summary
from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.finished_runs import find_finished
from cifar_lab.api.notebook_models import write_model
from cifar_lab.api.views import Arms, Records, Report, Runs
from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings, settings_from
from cifar_lab.core.terminal import say
from cifar_lab.core.text import parse_duration
from cifar_lab.execution import runner
from cifar_lab.execution.context import Display, Engine, RunContext, local_engine
from cifar_lab.execution.tracker import Policy, Retry
from cifar_lab.progress.lines import PlainLines
from cifar_lab.progress.notebook import NotebookBars, in_notebook
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
) -> Runs:
    """Make the missing runs of one or more arms over their seeds, and read all records.

    Args:
        arms: resolved settings, as returned by `load_settings`.
        results: results folder, created if missing.
        force: discard existing runs and train again.
        workers: number of worker processes. None takes as many as the cores hold, or a few on a GPU.
        display: receives the progress. None prints lines, or shows bars in a notebook. `cifar_lab.Silent()` prints
            nothing.
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
    return Runs(runs.planned, runs.outcomes, Records(runs.records))


def run(
    model: str | Callable[..., Any],
    base: Settings | str | Path | None = None,
    overrides: Sequence[str] = (),
    results: str | Path = "results",
    *,
    options: Mapping[str, Any] | None = None,
    label: str | None = None,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    policy: Policy | None = None,
    engine: Engine | None = None,
) -> Runs:
    """Make the runs of a model that is defined in this notebook or script.

    The source of the model, and of what it uses, is written to `models/` of the results folder. It is part of the id
    of the runs, and `cifar-lab run` resumes them from there.

    Args:
        model: a class of `torch.nn.Module`, a function that creates one, or a `model.name`.
        base: settings of everything but the model: a file, or settings as returned by `load_settings`. None takes the
            defaults.
        overrides: `key=value` texts such as `epochs=5`.
        options: keyword arguments of the class or function.
        label: label of the arm. None takes the name of the model.
        results, force, workers, display, policy, engine: as in `make_runs`.

    Raises:
        SettingsError: a setting is wrong, or the source of the model cannot be written to a file.
        LabError, Interrupted, TimeLimit: as in `make_runs`.
    """
    name = model if isinstance(model, str) else write_model(model, Path(results))
    section: dict[str, Any] = {"name": name, **({"options": dict(options)} if options else {})}
    values: dict[str, Any] = {"model": section, "label": label or name.rpartition(":")[2]}
    if base is not None:
        values = (base if isinstance(base, Settings) else load_settings(base)).model_dump(mode="json") | values
    arm = settings_from(values, overrides=overrides)
    return make_runs(arm, results, force=force, workers=workers, display=display, policy=policy, engine=engine)


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
    wait: bool = False,
) -> Policy:
    """Retry policy and time limits of a call, like the options of `cifar-lab run`.

    Args:
        retries: further attempts of a run whose process died, or that ran out of memory or time.
        retry: treatment of runs that failed in an earlier call: `none` leaves them, `failed` retries them, `all` also
            retries runs that diverged.
        max_failures: start no more runs after this number of failures.
        time_limit: time from now, such as `2h`. Each active run then ends after its epoch.
        run_timeout: longest duration of one attempt, such as `15m`.
        wait: wait for runs that other commands hold, and do not skip them.

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
        wait=wait,
    )


def read_records(results: str | Path = "results") -> Records:
    """Read the records of all finished runs in a results folder, sorted by label, seed and id.

    Raises:
        DataError: a record is damaged.
    """
    return Records(run_files.read_records(Path(results)))


def read_metrics(results: str | Path, run_id: str) -> list[EpochMetrics]:
    """Read the epochs of a run, oldest first.

    Raises:
        DataError: the metrics are damaged.
    """
    return run_files.read_metrics(Path(results), run_id)


def summarize(records: Iterable[Record]) -> Arms:
    """Summarise records: a row per arm and data set, in the order of the records."""
    return Arms(summary.summarize(records))


def report(
    results: str | Path = "results",
    lab: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    data: str | None = None,
    found: bool = False,
) -> Report:
    """Write the report of a results folder, as `cifar-lab report` does. A notebook shows its page.

    Args:
        results: results folder.
        lab: lab file with the questions. None takes lab.yaml or configs/lab.yaml where it exists.
        overrides: `key=value` texts that change the settings files of the lab file.
        data: name of the data set, if the arms ran on several.
        found: compare all arms of the folder, without the lab file.

    Raises:
        SettingsError: the lab file or a settings file is wrong, or the results folder does not exist.
        EnvironmentFault: the folder cannot be written.
    """
    from cifar_lab.analysis.questions import find_lab_file
    from cifar_lab.report.build import FILE_NAMES, build_report

    folder = run_files.existing_results(Path(results))
    path = find_lab_file(None if lab is None else Path(lab))
    built = build_report(path, folder, overrides, data, found=found)
    return Report(built.lab, folder / FILE_NAMES["html"], built.lines)


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
    shown = display or (NotebookBars() if in_notebook() else PlainLines())
    return RunContext(Path(results), force, workers, shown, policy or Policy(), engine or local_engine())
