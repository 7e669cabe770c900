"""Make these runs exist: data, plan, workers, records. What `run` and `sweep` do, and what a notebook calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.config import CustomModel, ResNet18, Settings
from cifar_lab.data import Prepared
from cifar_lab.durable import make_folder
from cifar_lab.engines import here
from cifar_lab.engines.here import Outcome
from cifar_lab.engines.questions import check_models, count_gpus
from cifar_lab.engines.tasks import make_tasks
from cifar_lab.errors import DataError, EnvironmentFault, LabError, SettingsError
from cifar_lab.identity import recipe
from cifar_lab.machine import CoreUse, available_cores, free_cores_since, has_gpu
from cifar_lab.plan import Job, PlannedRun, plan_runs, share_threads
from cifar_lab.progress import Display, Silent, count
from cifar_lab.records import Record
from cifar_lab.results import RunFolder

SHOWN_REASONS = 3
"""Failed runs that an exception names."""


@dataclass(frozen=True)
class Made:
    """What `make_runs` found and did, in the order of the plan."""

    planned: Sequence[PlannedRun]
    outcomes: Sequence[Outcome]
    """Of the runs that were not there already."""
    records: Sequence[Record]
    """Of every planned run that is done or diverged."""

    @property
    def exit_code(self) -> int:
        """0: all there; 4: the machine refused; 1: some failed; a failure that all share: its own code."""
        codes = [outcome.exit_code for outcome in self.outcomes if outcome.status == "failed"]
        if not codes:
            return 0
        if EnvironmentFault.exit_code in codes:
            return EnvironmentFault.exit_code
        return codes[0] if len(set(codes)) == 1 and len(codes) == len(self.planned) else 1

    def fault(self, message: str) -> LabError:
        """An exception of the kind of `exit_code`."""
        kinds: tuple[type[LabError], ...] = (SettingsError, DataError, EnvironmentFault)
        return next((kind for kind in kinds if kind.exit_code == self.exit_code), LabError)(message)

    def raise_failed(self) -> None:
        """Do nothing where every run has a record.

        Raises:
            LabError: some failed; names the first few, each with its reason.
        """
        failed = [f"{each.job.name}: {each.reason}" for each in self.outcomes if each.status == "failed"]
        if failed:
            told = failed[:SHOWN_REASONS] + ["…"] * (len(failed) > SHOWN_REASONS)
            raise self.fault(f"{len(failed)} of {count(len(self.planned), 'run')} failed: {'; '.join(told)}")


def make_runs(
    arms: Sequence[Settings],
    results: Path = Path("results"),
    *,
    read_test: bool = True,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    images: Prepared | None = None,
    on_plan: Callable[[], object] | None = None,
) -> Made:
    """Train every arm over its seeds, as far as the runs are not there already, and read their records.

    Args:
        arms: resolved settings; a run that two of them share is made once.
        results: the results folder; made if it is missing.
        read_test: whether the test split is read after training. A search says no.
        force: discard what is there and train again.
        workers: processes side by side on the CPU, cohorts side by side on each GPU; None takes a process a core, or
            a few cohorts.
        display: who is told how it goes; None is nobody.
        images: what the command has found of its images so far; more is added.
        on_plan: called when all arms have been accepted and their images are there, before anything is trained.

    Raises:
        SettingsError, DataError, EnvironmentFault: before anything is trained.
        Interrupted: a signal ended it; what was done is kept.
    """
    display, images, began = display or Silent(), images or Prepared(), CoreUse.now()
    check_devices(arms)
    for settings in arms:
        recipe(settings)  # finds a file of weights or source that is not there, before anything is downloaded
    outcomes: list[Outcome] = []
    try:
        for settings in arms:
            images.prepare(settings.data, display.preparing)
        planned = plan_runs(arms, results, images, read_test=read_test, force=force)
        if len(planned) < available_cores() and any(run.state != "done" for run in planned):
            planned = share_threads(planned, free_cores_since(began))
        to_do = [run.job for run in planned if run.state != "done"]
        if on_plan is not None:
            on_plan()
        display.begin(planned)
        if to_do:
            _preflight([job.settings for job in to_do], images)
            make_folder(results)
            if force:
                _discard(to_do)
            outcomes = _execute(to_do, workers, display)
    finally:
        display.end()
    return Made(planned, outcomes, read_planned(planned))


def _execute(jobs: Sequence[Job], workers: int | None, display: Display) -> list[Outcome]:
    """Make the jobs' runs exist, in processes on the cores or on the GPUs; outcomes in the order of `jobs`."""
    wanted = has_gpu() and any(job.settings.runtime.device != "cpu" for job in jobs)
    gpus = count_gpus() if wanted else 0
    tasks = make_tasks(jobs, gpus, workers)
    by_id = {each.job.run_id: each for each in here.execute(tasks, gpus or workers or available_cores(), display.event)}
    return [by_id[job.run_id] for job in jobs]


def _discard(jobs: Sequence[Job]) -> None:
    """Forget all runs of a forced command before the first is made again: after an interruption none is an old one."""
    for job in jobs:
        folder = RunFolder(job.results, job.run_id)
        if folder.path.is_dir():
            with folder.lock():
                folder.discard()


def read_planned(planned: Sequence[PlannedRun]) -> list[Record]:
    """The records of the planned runs that are there now."""
    found = (
        run.record if run.state == "done" else RunFolder(run.job.results, run.job.run_id).read_record()
        for run in planned
    )
    return [record for record in found if record is not None]


def preview_runs(
    arms: Sequence[Settings], results: Path, *, read_test: bool = True, force: bool = False
) -> list[PlannedRun] | None:
    """The plan without making anything; None where data has not been prepared yet, so that ids are not known."""
    images = Prepared()
    if any(images.known(settings.data) is None for settings in arms):
        return None
    return plan_runs(arms, results, images, read_test=read_test, force=force)


def check_devices(arms: Sequence[Settings]) -> None:
    """Refuse a GPU that is insisted on and is not there, before anything starts.

    Raises:
        SettingsError: torch sees no GPU.
    """
    if any(settings.runtime.device == "cuda" for settings in arms):
        from cifar_lab.runtime import choose_device

        choose_device("cuda")


def _preflight(arms: Sequence[Settings], images: Prepared) -> None:
    """Build, in a worker, each model that can fail to build: a model or weights of one's own, downloaded weights.

    Raises:
        SettingsError, WeightsError: it does not build, or its weights do not fit.
    """
    doubtful = {
        settings.model.model_dump_json(): (settings, len(images.prepare(settings.data).classes))
        for settings in arms
        if isinstance(settings.model, CustomModel)
        or settings.model.weights
        or (isinstance(settings.model, ResNet18) and settings.model.pretrained)
    }
    if doubtful:
        check_models(list(doubtful.values()))
