"""Make runs in five stages: resolve, prepare data, plan, execute, collect. Used by the CLI, sweeps and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import ExitCode, LabError, error_of, exit_code_of
from cifar_lab.core.text import count
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.local.worker_queries import prepare_images
from cifar_lab.execution.plan import PlannedRun, check_listed, plan_runs
from cifar_lab.execution.source_runs import check_teacher, source_weights
from cifar_lab.execution.tracker import Outcome
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.store.writers import WriterLock, writing

OF_ONE_RUN = frozenset({ExitCode.ENVIRONMENT, ExitCode.DATA})
"""Exit codes of a failed run that are the command's whatever became of the other runs."""

SHOWN_REASONS = 3
"""Number of failed runs that an exception names."""


@dataclass(frozen=True)
class RunBatch:
    """Result of `make_runs`, in the order of the plan."""

    planned: Sequence[PlannedRun]
    outcomes: Sequence[Outcome]
    """Of runs that were missing."""
    records: Sequence[Record]
    """Of all planned runs that are done or diverged."""

    @property
    def exit_code(self) -> int:
        """Exit code of the failures, 0 without any.

        Machine and data count even if one run failed with them. Another code counts if all runs failed with it.
        """
        codes = [outcome.exit_code for outcome in self.outcomes if outcome.status == "failed"]
        if not codes:
            return ExitCode.DONE
        if len(set(codes)) == 1 and len(codes) == len(self.planned):
            return codes[0]
        return exit_code_of(code if code in OF_ONE_RUN else ExitCode.RUNS_FAILED for code in codes)

    @property
    def diverged(self) -> bool:
        """Whether a run diverged."""
        return any(record.status == "diverged" for record in self.records)

    @property
    def held(self) -> int:
        """Number of runs that other commands held to the end, and that have no record here."""
        made = {record.run_id for record in self.records}
        return sum(each.status == "held" and each.job.run_id not in made for each in self.outcomes)

    def fault(self, message: str) -> LabError:
        """Exception whose class matches `exit_code`."""
        return error_of(self.exit_code, message)

    def raise_failed(self) -> None:
        """Raise an exception if runs failed.

        Raises:
            LabError: names the first few failed runs with their reasons.
        """
        failed = [f"{each.job.name}: {each.reason}" for each in self.outcomes if each.status == "failed"]
        if failed:
            told = failed[:SHOWN_REASONS] + ["…"] * (len(failed) > SHOWN_REASONS)
            raise self.fault(f"{len(failed)} of {count(len(self.planned), 'run')} failed: {'; '.join(told)}")


def make_runs(
    arms: Sequence[Settings],
    context: RunContext,
    *,
    read_test: bool = True,
    until_epoch: int | None = None,
    on_plan: Callable[[Sequence[PlannedRun]], object] | None = None,
) -> RunBatch:
    """Train every arm with each of its seeds, as far as runs are missing, and read the records.

    Args:
        arms: resolved settings. A run that several arms share is made once.
        read_test: whether to read the test split after training. A search does not.
        until_epoch: pause each run after this epoch. None trains to the end.
        on_plan: called with the plan before any training, once all arms are valid and their images are prepared.

    Raises:
        SettingsError, DataError, EnvironmentFault: before any training. Also if another command holds one of the runs
            to discard, or the file system has no locks.
        Interrupted, TimeLimit, LabError: a signal or the policy stopped it. Completed work is kept.
    """
    from cifar_lab.execution.missing_runs import train_missing  # tasks and costs are needed for training only

    resolve(arms, context)
    with writing(context.results) as writer:
        try:
            prepare_data(arms, context, writer)
            planned = plan(arms, context, read_test=read_test, until_epoch=until_epoch)
            if on_plan is not None:
                writer.take()
                on_plan(planned)
            context.display.begin(planned)
            outcomes = train_missing(planned, context, writer)
        finally:
            context.display.end()
        return collect(planned, outcomes)


def resolve(arms: Sequence[Settings], context: RunContext) -> None:
    """Stage 1: refuse missing devices, and missing files of weights or sources, before anything is downloaded.

    Raises:
        SettingsError: a device or a file is missing.
        EnvironmentFault: the engine is not available.
    """
    context.engine.check_devices(arms)
    for settings in arms:
        source_weights(settings, context.results)
        check_teacher(settings, context.results)
        recipe(settings)


def prepare_data(arms: Sequence[Settings], context: RunContext, writer: WriterLock) -> None:
    """Stage 2: download, convert and cache the images of every arm.

    Raises:
        DataError, EnvironmentFault: the images cannot be read or cached.
    """
    images, display = context.images, context.display
    context.trials.check([arm for arm in arms if images.known(arm.data) is None], images, context.results)
    for settings in arms:
        if images.known(settings.data) is None:
            if context.results.is_dir():  # a new folder would remain if the data is refused
                writer.take()
            prepare_images(settings.data, display.preparing)
        images.prepare(settings.data, display.preparing)


def prepare_images_of(settings: Settings, context: RunContext) -> None:
    """Stages 1 and 2 of one arm, for a search whose sizes follow from its images.

    Raises:
        LabError: as `make_runs`.
    """
    if context.images.known(settings.data) is None:
        resolve([settings], context)
        with writing(context.results) as writer:
            try:
                prepare_data([settings], context, writer)
            finally:
                context.display.end()


def plan(
    arms: Sequence[Settings], context: RunContext, *, read_test: bool, until_epoch: int | None
) -> list[PlannedRun]:
    """Stage 3: the runs with their ids and state on disk.

    Raises:
        SettingsError: an arm does not fit its data.
        DataError: a record is from a newer version of cifar-lab.
    """
    planned = _plan(arms, context, read_test, until_epoch)
    return _with_diverged(planned) if context.policy.retry == "all" else planned


def _plan(arms: Sequence[Settings], context: RunContext, read_test: bool, until_epoch: int | None) -> list[PlannedRun]:
    return plan_runs(
        arms, context.results, context.images, read_test=read_test, force=context.force, until_epoch=until_epoch,
        plan=context.plan,
    )  # fmt: skip


def _with_diverged(planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The plan with diverged runs marked as missing in spite of their records."""
    return [
        replace(run, state="missing") if run.record is not None and run.record.status == "diverged" else run
        for run in planned
    ]


def collect(planned: Sequence[PlannedRun], outcomes: Sequence[Outcome]) -> RunBatch:
    """Stage 5: read the records of all planned runs."""
    return RunBatch(planned, outcomes, read_planned(planned))


def read_planned(planned: Sequence[PlannedRun]) -> list[Record]:
    """Existing records of the planned runs."""
    found = (
        run.record if run.state == "done" else RunFolder(run.job.results, run.job.run_id).read_record()
        for run in planned
    )
    return [record for record in found if record is not None]


def preview_runs(
    arms: Sequence[Settings], context: RunContext, *, read_test: bool = True, until_epoch: int | None = None
) -> list[PlannedRun] | None:
    """The plan without side effects. None if data is not prepared, because ids depend on its fingerprint.

    Raises:
        SettingsError: an arm does not fit its data, as far as that is known.
    """
    if any(context.images.known(settings.data) is None for settings in arms):
        check_listed(arms, context.images)
        return None
    planned = _plan(arms, context, read_test, until_epoch)
    for run in planned:
        if run.damage is not None:
            leave_out(RunFolder(run.job.results, run.job.run_id).left_out(*run.damage))
    return planned
