"""One run from settings to record. The composition root; reads like the recipe."""

from __future__ import annotations

from collections.abc import Callable

from cifar_lab import checkpoint, models
from cifar_lab.assembly import build_cohort, load_training_data
from cifar_lab.config_io import dump_settings
from cifar_lab.data.batches import CohortBatches
from cifar_lab.durable import make_folder, write_text
from cifar_lab.environment import changes, environment
from cifar_lab.errors import SettingsError
from cifar_lab.evaluate import predict, score
from cifar_lab.final_test import add_test, missing_reason, read_test_split, save_weights
from cifar_lab.identity import recipe
from cifar_lab.machine import utc_now
from cifar_lab.plan import Job
from cifar_lab.records import Environment, EpochMetrics, Record, SplitScore
from cifar_lab.results import RunFolder
from cifar_lab.run_watcher import RunWatcher, Tell
from cifar_lab.runtime import prepare_execution
from cifar_lab.train import Member, train


def make_run(job: Job, tell: Tell, should_stop: Callable[[], bool]) -> Record:
    """Make the run exist: train what is not trained yet, from its last checkpoint on, and test it if the job says so.

    Raises:
        Interrupted: `should_stop()` held at the end of an epoch, which is kept.
        LabError: settings, data, weights or the machine do not allow it.
    """
    if recipe(job.settings) != job.recipe:
        raise SettingsError(
            f"model.name: the source or weights of {job.settings.model.name} changed since this command began; "
            "give it again to run what is there now"
        )
    folder = RunFolder(job.results, job.run_id)
    make_folder(folder.path)
    with folder.lock():
        damage = folder.set_aside_damaged_record()
        record = folder.read_record()
        if record is None:
            return _train_and_record(job, folder, [damage] if damage else [], tell, should_stop)
        if job.read_test and record.test_reason == "search":
            return add_test(job, folder, record)
        return record


def _train_and_record(
    job: Job, folder: RunFolder, notes: list[str], tell: Tell, should_stop: Callable[[], bool]
) -> Record:
    settings = job.settings
    write_text(folder.settings, dump_settings(settings.model_copy(update={"seeds": (job.seed,)})))
    saved, damage = checkpoint.load_newest(folder.checkpoint)
    notes += damage
    execution = prepare_execution(settings.runtime, saved["environment"]["threads"] if saved else job.threads)
    tell({"event": "device", "device": execution.device.type, "threads": execution.threads})

    training, validation, identity = load_training_data(settings, job.fingerprint, execution)
    batches = CohortBatches(training, settings.data, [job.seed])
    cohort = build_cohort([settings], [job.seed], len(identity.classes), batches.steps_per_epoch, execution)
    member = Member()
    here = environment(execution)
    watcher = RunWatcher(folder, cohort, here, settings.epochs, tell, should_stop)
    if saved:
        cohort.load_state(saved["cohort"])
        member.history.extend(EpochMetrics.model_validate(line) for line in saved["history"])
        watcher.started = saved["started"]
        notes.append(f"resumed after epoch {len(member.history)}")
        notes += changes(Environment.model_validate(saved["environment"]), here, len(member.history))
        tell({"event": "resumed", "epoch": len(member.history)})
    (network,) = cohort.networks

    def validate() -> SplitScore | None:
        if validation is None:
            return None
        return score(predict(network, validation, execution), validation.labels.cpu(), len(identity.classes))

    train(
        cohort,
        batches,
        [member],
        start_epoch=len(member.history),
        epochs=settings.epochs,
        label_smoothing=settings.loss.label_smoothing,
        execution=execution,
        validate=None if validation is None else lambda: [validate()],
        watcher=watcher,
    )

    val = test = None
    files: dict[str, str] = {}
    if member.diverged is None:
        val = validate()
        files.update(save_weights(folder, network))
        if job.read_test:
            test, predictions = read_test_split(folder, network, settings, job.fingerprint, execution)
            files.update(predictions)
    record = Record(
        run_id=job.run_id,
        recipe=job.recipe,
        settings=settings.model_dump(mode="json"),
        label=settings.label,
        seed=job.seed,
        status="diverged" if member.diverged else "done",
        reason=member.diverged,
        epochs_trained=len(member.history),
        parameters=models.count_parameters(network),
        val=val,
        test=test,
        test_reason="diverged" if member.diverged else missing_reason(test) if job.read_test else "search",
        train_seconds=sum(line.seconds for line in member.history),
        started=watcher.started,
        finished=utc_now(),
        data=identity,
        environment=here,
        files=files,
        notes=tuple(notes),
    )
    folder.write_metrics(member.history)
    folder.write_record(record)
    checkpoint.remove(folder.checkpoint)
    return record
