"""Attacks on runs of a results folder: the record grows with the images, and an interrupted attack continues."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.analysis.factors import settings_of
from cifar_lab.config.attack import PGD, Corruption, DeepFool, attack_id
from cifar_lab.core.errors import DataError, Interrupted
from cifar_lab.store.attack_records import AttackRecord, attack_file, read_attack
from cifar_lab.store.results import RunFolder
from cifar_lab.training.attacks import make_attacks as module
from cifar_lab.training.attacks.job import AttackJob, decode_attack, encode_attack
from cifar_lab.training.attacks.make_attacks import make_attacks

pytestmark = pytest.mark.xdist_group("attacks")

ATTACKS = (PGD(images=60, steps=4), DeepFool(name="deepfool", images=60), Corruption(name="corruption", images=60))


@pytest.fixture
def job(pair: Any) -> AttackJob:
    settings = tuple(settings_of(record) for record in pair.records)
    made = AttackJob(
        pair.lab.results, ATTACKS, tuple(record.run_id for record in pair.records), settings, "cpu", force=True
    )
    for record in pair.records:
        for path in RunFolder(pair.lab.results, record.run_id).attacks():
            path.unlink()
    return made


def records(job: AttackJob) -> list[AttackRecord]:
    return [
        read_attack(attack_file(RunFolder(job.results, run_id), attack_id(attack)))
        for run_id in job.run_ids
        for attack in job.attacks
    ]


def numbers(record: AttackRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"seconds", "started", "finished", "together"})


def test_a_request_is_read_as_it_was_sent(job: AttackJob) -> None:
    assert decode_attack(encode_attack(job)) == job
    assert decode_attack('{"task": []}') is None


@pytest.mark.slow
def test_an_interrupted_attack_continues_to_the_record_of_an_uninterrupted_one(
    job: AttackJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_IMAGES", 20)
    seen: list[tuple[int, int]] = []
    make_attacks(job, lambda done, total: seen.append((done, total)), lambda: False)
    assert seen[-1] == (1000, 1000)
    assert seen == sorted(seen)
    whole = records(job)
    assert all(each.is_complete for each in whole)
    for record in whole:
        assert record.examples
        assert all(each.predicted != each.label for each in record.examples)

    again = AttackJob(job.results, job.attacks, job.run_ids, job.settings, "cpu")
    for run_id in job.run_ids:
        for path in RunFolder(job.results, run_id).attacks():
            path.unlink()
    steps = 0
    for _ in range(20):
        steps += 1
        try:
            make_attacks(again, lambda done, total: None, lambda: True)
        except Interrupted:
            continue
        break
    assert steps > 3
    assert [numbers(each) for each in records(job)] == [numbers(each) for each in whole]


def test_an_attack_on_a_run_that_is_gone_is_refused(job: AttackJob) -> None:
    gone = AttackJob(job.results, job.attacks, ("f" * 16,), job.settings[:1], "cpu")
    with pytest.raises(DataError, match="has no record any more"):
        make_attacks(gone, lambda done, total: None, lambda: False)
