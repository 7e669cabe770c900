"""Distillation against torch's KL divergence and a plain loop, in every form of a step that knows a teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F

from cifar_lab.analysis.confounders import confounders
from cifar_lab.config.io.load import dump_settings
from cifar_lab.core.errors import Paused, SettingsError
from cifar_lab.data.resident_split import Normalizer
from cifar_lab.execution.source_runs import check_teacher
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort
from cifar_lab.training.teacher import Teacher

CPU = torch.device("cpu")
NORMALIZER = Normalizer.make("channel", (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), CPU)


def teacher(temperature: float = 3.0, weight: float = 0.7) -> Teacher:
    torch.manual_seed(0)
    return Teacher(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)), NORMALIZER, temperature, weight)


def test_the_loss_is_that_of_hinton() -> None:
    own, wanted = torch.randn(8, 10), torch.randn(8, 10)
    found = teacher().blend(torch.tensor(1.5), own, wanted)
    soft = F.softmax(wanted / 3, dim=1)
    apart = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(own / 3, dim=1), soft)
    torch.testing.assert_close(found, 0.3 * torch.tensor(1.5) + 0.7 * 9 * apart)
    both = teacher().blend(torch.tensor([1.5, 0.5]), torch.stack([own, wanted]), torch.stack([wanted, wanted]))
    torch.testing.assert_close(both, torch.stack([found, torch.tensor(0.15)]), atol=1e-6, rtol=1e-5)


def test_a_teacher_sees_pixels_from_0_to_1() -> None:
    pixels = torch.rand(2, 3, 3, 32, 32)
    normalized = torch.stack([NORMALIZER.from_unit(each.clone()) for each in pixels])
    ours = teacher()
    expected = torch.stack([ours.network(each) for each in pixels])
    torch.testing.assert_close(ours.logits(normalized), expected, rtol=1e-4, atol=1e-5)


def student(lab: Any, run_id: str, results: str, *overrides: str, seed: int = 0) -> Job:
    settings = lab.settings(
        "data.val_size=40", "data.batch_size=8", "data.mixup=1", "data.flip=alternating", "optimizer.lr=0.0005",
        f"loss.distill.teacher=run:{run_id}", "loss.distill.temperature=2", *overrides,
    )  # fmt: skip
    made: Job = lab.job(settings, seed=seed, results=results)
    return made


def weights(lab: Any, job: Job) -> np.ndarray:
    tensors = load_file(lab.run_folder(job).weights)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


@pytest.mark.slow
def test_a_student_resumes_to_the_same_bits_and_a_cohort_gives_the_same(lab: Any) -> None:
    base = lab.settings("model.name=Net1", "data.normalize=channel", "data.val_size=40")
    taught = lab.job(base)
    lab.make(taught)
    whole = student(lab, taught.run_id, "results")
    expected: Record = lab.make(whole)
    assert expected.environment.kernels_reason == "there are none for the loss with a teacher"
    assert expected.recipe["loss"]["distill"] == {"teacher": f"run:{taught.run_id}", "temperature": 2.0}
    assert expected.notes == ()
    lab.run_folder(whole).record.unlink()
    for name in ("weights", "predictions", "metrics"):
        getattr(lab.run_folder(whole), name).unlink()
    with pytest.raises(Paused):
        lab.make(replace(whole, until_epoch=1))
    assert (again := lab.make(whole)).files == expected.files
    assert again.metrics_sha256 == expected.metrics_sha256
    alone = weights(lab, whole)
    lab.run_folder(whole).record.unlink()
    members = [whole, student(lab, taught.run_id, "results", seed=1)]
    ends: dict[str, Any] = {}
    run_cohort(members, lambda *_: None, lambda: False, lambda job, outcome: ends.update({job.run_id: outcome}))
    record = ends[whole.run_id]
    assert isinstance(record, Record), record
    assert record.environment.stacked
    np.testing.assert_allclose(weights(lab, whole), alone, rtol=2e-3, atol=2e-4)
    plain = student(lab, taught.run_id, "results", "optimizer.name=torch.optim:SGD", "optimizer.options.momentum=0.9")
    lab.make(plain)
    np.testing.assert_allclose(weights(lab, plain), alone, rtol=2e-3, atol=2e-4)
    other = student(lab, taught.run_id, "results", "data.split_seed=1")
    (note,) = lab.make(other).notes
    assert note.startswith(f"the teacher run:{taught.run_id} did not set aside the validation images of this run")


def test_a_teacher_that_is_no_finished_run_is_refused(lab: Any) -> None:
    settings = lab.settings("loss.distill.teacher=run:0123456789abcdef")
    lab.results.mkdir()
    with pytest.raises(SettingsError, match=r"loss\.distill\.teacher: run:0123456789abcdef: no run of this id"):
        check_teacher(settings, lab.results)
    check_teacher(lab.settings(), lab.results)


def test_a_teacher_is_a_confounder_and_its_absence_is_not_written(lab: Any) -> None:
    plain, taught = lab.settings(), lab.settings("loss.distill.teacher=run:0123456789abcdef")
    assert "distill" not in dump_settings(plain)
    assert "teacher: run:0123456789abcdef" in dump_settings(taught)
    (sentence,) = confounders(plain, taught)
    assert sentence.startswith("a teacher (run:0123456789abcdef) trained the arm beside the labels")
    assert confounders(taught, taught) == []
