"""Attacks on the networks of several runs: load, attack batch by batch, write each run's record as it grows."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cifar_lab import data
from cifar_lab.config.attack import AnyAttack, AutoAttack, attack_id
from cifar_lab.core._version import __version__
from cifar_lab.core.errors import DataError, Interrupted
from cifar_lab.core.host import utc_now
from cifar_lab.data.splits import Indices
from cifar_lab.store.attack_records import (
    AttackExample,
    AttackLevel,
    AttackRecord,
    GradientFacts,
    attack_file,
    belongs_to,
    read_attack,
    write_attack,
)
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.training.attacks.descent import AttackBatch
from cifar_lab.training.attacks.job import AttackJob
from cifar_lab.training.attacks.methods import BatchOutcome, attack_batch
from cifar_lab.training.attacks.passes import passes
from cifar_lab.training.attacks.selection import stratified_images
from cifar_lab.training.attacks.stacking import victims_of
from cifar_lab.training.device import device_name, prepare_execution
from cifar_lab.training.evaluate import images_per_pass
from cifar_lab.training.trained.network import TrainedNetwork, load_trained

BATCH_IMAGES = 250
"""Images of 32 × 32 pixels that are attacked at a time. Of larger ones as many as have the same number of pixels. The
random numbers depend on it, so it is the same everywhere."""

WRITE_SECONDS = 2.0
"""Time between two writes of the records. A command that is killed loses at most this much work."""

SHOWN_SIDE = 64
"""Largest side of the pictures of examples, in pixels."""


def make_attacks(job: AttackJob, progress: Callable[[int, int], None], stopping: Callable[[], bool]) -> None:
    """Attack the networks and write their records. Attacks that were interrupted continue where they were.

    Args:
        progress: called with the thousandths of the work that are done, and 1,000.
        stopping: whether to stop after the batch.

    Raises:
        DataError: damaged weights or images, or a run that is gone.
        Interrupted: stopped on request. What is done is on disk.
    """
    records = [_record(job.results, run_id) for run_id in job.run_ids]
    first = job.settings[0]
    runtime = first.runtime.model_copy(update={"device": job.device, "compile": False, "precision": "fp32"})
    device = prepare_execution(runtime, job.threads).device
    fingerprint = records[0].data.fingerprint
    data.prepare(first.data, fingerprint=fingerprint)
    split = data.load_test(first.data, fingerprint)
    networks = [load_trained(job.results, *each) for each in zip(records, job.settings, strict=True)]
    for network in networks:
        network.to(device)
    report = _progress_of(job.attacks, progress)
    for number, attack in enumerate(job.attacks):
        images = stratified_images(split.labels, attack.images, attack.seed)
        begun = [_begun(job, attack, record, images) for record in records]
        groups = list(_together(attack, begun))
        for place, members in enumerate(groups):
            chosen = [networks[index] for index in members]
            task = _Together(job.results, attack, chosen, [begun[index] for index in members], split, device)
            task.attack(images, partial(report, number, place / len(groups), 1 / len(groups)), stopping)


Report = Callable[[int, float, float, int, int], None]
"""Notes the images of an attack that are done, and all of them, in a share of the attack that begins somewhere."""


def _progress_of(attacks: Sequence[AnyAttack], progress: Callable[[int, int], None]) -> Report:
    """Progress over all attacks by their work, in thousandths."""
    work = [passes(each) * (1000 if each.images == "all" else each.images) for each in attacks]

    def report(number: int, begin: float, share: float, done: int, total: int) -> None:
        part = sum(work[:number]) + work[number] * (begin + share * done / total)
        progress(round(1000 * part / sum(work)), 1000)

    return report


def _together(attack: AnyAttack, begun: Sequence[AttackRecord]) -> Iterator[list[int]]:
    """Networks that go on together, by their place: those that got equally far. AutoAttack takes one at a time."""
    for done in sorted({len(each.clean) for each in begun}):
        members = [index for index, each in enumerate(begun) if len(each.clean) == done and not each.is_complete]
        if isinstance(attack, AutoAttack):
            yield from ([index] for index in members)
        elif members:
            yield members


def _record(results: Path, run_id: str) -> Record:
    record = RunFolder(results, run_id).read_record()
    if record is None:
        raise DataError(f"run {run_id} has no record any more; run the same command again")
    return record


def _begun(job: AttackJob, attack: AnyAttack, record: Record, images: Indices) -> AttackRecord:
    """Record of the attack so far: that on disk, or a new one."""
    folder, identity = RunFolder(job.results, record.run_id), attack_id(attack)
    new = AttackRecord(
        attack_id=identity,
        run_id=record.run_id,
        attack=attack.model_dump(mode="json"),
        seed=attack.seed,
        weights_sha256=record.files[folder.weights.name],
        fingerprint=record.data.fingerprint,
        images=tuple(map(int, images)),
        started=utc_now(),
    )
    if job.force:
        return new
    try:
        found = read_attack(attack_file(folder, identity))
    except (FileNotFoundError, DataError):
        return new
    size = images_per_pass(job.settings[0].data.side(), BATCH_IMAGES)
    is_whole = found.is_complete or len(found.clean) % size == 0
    return found if is_whole and belongs_to(found, record) and found.images == new.images else new


class _Together:
    """Networks that are attacked together, from the same image on."""

    def __init__(
        self, results: Path, attack: AnyAttack, networks: Sequence[TrainedNetwork], records: list[AttackRecord],
        split: data.Split, device: torch.device,
    ) -> None:  # fmt: skip
        self._results, self._attack = results, attack
        self._records, self._split, self._device = records, split, device
        self._victims = victims_of(networks)
        self._side = networks[0].side
        self._written = time.monotonic()

    def attack(self, images: Indices, progress: Callable[[int, int], None], stopping: Callable[[], bool]) -> None:
        """Attack all images that are left."""
        size = images_per_pass(self._side, BATCH_IMAGES)
        for begin in range(len(self._records[0].clean), len(images), size):
            began = time.monotonic()
            chosen = images[begin : begin + size]
            pixels = torch.from_numpy(np.ascontiguousarray(self._split.images[chosen])).to(self._device)
            labels = torch.from_numpy(self._split.labels[chosen]).to(self._device)
            batch = AttackBatch(pixels.float() / 255, labels)
            outcome = attack_batch(self._attack, self._victims, batch, begin // size)
            seconds = time.monotonic() - began
            self._records = [
                self._grown(record, member, outcome, batch, chosen, seconds)
                for member, record in enumerate(self._records)
            ]
            done = begin + len(chosen)
            if done == len(images) or stopping() or time.monotonic() - self._written > WRITE_SECONDS:
                self._write()
            progress(done, len(images))
            if stopping() and done < len(images):
                raise Interrupted("stopped; run the same command again to resume")

    def _write(self) -> None:
        for record in self._records:
            write_attack(RunFolder(self._results, record.run_id), record)
        self._written = time.monotonic()

    def _grown(
        self,
        record: AttackRecord,
        member: int,
        outcome: BatchOutcome,
        batch: AttackBatch,
        chosen: Indices,
        seconds: float,
    ) -> AttackRecord:
        """The record with the outcome of one more batch."""
        facts = record.gradients
        if outcome.with_gradient is not None and outcome.zero is not None:
            facts = GradientFacts(
                images=facts.images + int(outcome.with_gradient[member]),
                zero=facts.zero + int(outcome.zero[member]),
                unbounded=None
                if outcome.unbounded is None
                else (facts.unbounded or 0) + int(outcome.unbounded[member]),
            )
        distances = record.distances
        if outcome.distances is not None:
            values = outcome.distances[member].tolist()
            distances = (*distances, *(None if value == float("inf") else round(value, 9) for value in values))
        return record.model_copy(
            update={
                "clean": record.clean + _text(outcome.clean[member]),
                "levels": _levels(record.levels, outcome, member),
                "distances": distances,
                "gradients": facts,
                "examples": _examples(record, member, outcome, batch, chosen),
                "seconds": record.seconds + seconds,
                "device": self._device.type,
                "device_name": device_name(self._device),
                "torch": torch.__version__,
                "cifar_lab": __version__,
                "together": len(self._records),
                "finished": utc_now(),
            }
        )


def _levels(before: Sequence[AttackLevel], outcome: BatchOutcome, member: int) -> tuple[AttackLevel, ...]:
    texts = [("", "")] * len(outcome.levels) if not before else [(each.correct, each.single_step) for each in before]
    return tuple(
        AttackLevel(
            level=each.level,
            kind=each.kind,
            correct=correct + _text(each.correct[member]),
            single_step=single + ("" if each.single is None else _text(each.single[member])),
        )
        for each, (correct, single) in zip(outcome.levels, texts, strict=True)
    )


def _text(right: Tensor) -> str:
    return "".join("1" if each else "0" for each in right.tolist())


def _examples(
    record: AttackRecord, member: int, outcome: BatchOutcome, batch: AttackBatch, chosen: Indices
) -> tuple[AttackExample, ...]:
    """Examples with one more of each class that has none yet."""
    found = {each.label: each for each in record.examples}
    for at, number in sorted(outcome.examples):
        label = int(batch.labels[number])
        if at == member and label not in found:
            image, level, kind = outcome.examples[at, number]
            found[label] = AttackExample(
                image=int(chosen[number]),
                label=label,
                predicted=outcome.predicted[at, number],
                level=level,
                kind=kind,
                clean=picture(batch.images[number]),
                attacked=picture(image),
            )
    return tuple(found[label] for label in sorted(found))


def picture(image: Tensor) -> str:
    """PNG of an image (3, H, W) with pixels from 0 to 1, in base64."""
    pixels = (image * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    shown = Image.fromarray(pixels)
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    buffer = io.BytesIO()
    shown.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
