"""Which runs train together."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io import settings_from
from cifar_lab.config.run_id import recipe
from cifar_lab.execution.cohorts import GPU_STREAMS, form_cohorts
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.training.job import Job

OWN = {
    "seed": [],
    "learning rate": ["optimizer.lr=0.5"],
    "momentum": ["optimizer.momentum=0.1"],
    "weight decay": ["optimizer.weight_decay=0.1"],
    "optimizer": ["optimizer.name=adam"],
    "schedule": ["scheduler.name=plateau"],
    "flip": ["data.flip=true"],
    "label": ["label=other"],
}
SHARED = {
    "batch size": ["data.batch_size=128"],
    "crop": ["data.crop_padding=4"],
    "policy": ["data.policy=autoaugment"],
    "validation": ["data.val_size=100"],
    "model": ["model.name=Net1"],
    "epochs": ["epochs=3"],
    "loss": ["loss.label_smoothing=0.1"],
    "precision": ["runtime.precision=bf16"],
    "determinism": ["runtime.deterministic=false"],
    "size": ["runtime.cohort=7"],
}


def job(*overrides: str, seed: int = 0, fingerprint: str = "f", threads: int = 1) -> Job:
    settings: Settings = settings_from({"data": {"dataset": "synthetic"}}, overrides=overrides)
    name = f"{seed}-{fingerprint}-{'-'.join(overrides)}"
    return Job(settings, seed, name, recipe(settings), fingerprint, Path("results"), True, threads)


@pytest.mark.parametrize("what", OWN)
def test_what_a_member_has_for_its_own(what: str) -> None:
    jobs = [job(), job(*OWN[what], seed=1)]
    assert len(form_cohorts(jobs, on_gpu=True)) == 1


@pytest.mark.parametrize("what", SHARED)
def test_what_members_share(what: str) -> None:
    assert len(form_cohorts([job(), job(*SHARED[what], seed=1)], on_gpu=True)) == 2


def test_other_images_or_threads_are_another_cohort() -> None:
    jobs = [job(), job(seed=1, fingerprint="g"), job(seed=2, threads=2)]
    assert len(form_cohorts(jobs, on_gpu=True)) == 3


def test_kinds_of_optimizer_stand_side_by_side() -> None:
    jobs = [
        job(f"optimizer.name={name}", seed=seed) for seed, name in enumerate(["sgd", "adam", "sgd", "adamw", "adam"])
    ]
    (cohort,) = form_cohorts(jobs, on_gpu=True)
    assert [each.settings.optimizer.name for each in cohort] == ["adam", "adam", "adamw", "sgd", "sgd"]
    assert [each.seed for each in cohort] == [1, 4, 3, 0, 2]


@pytest.mark.parametrize(
    ("cohort", "on_gpu", "sizes"),
    [("auto", True, [5]), ("auto", False, [1] * 5), ("2", True, [2, 2, 1]), ("2", False, [2, 2, 1])],
)
def test_how_many_train_together(cohort: str, on_gpu: bool, sizes: list[int]) -> None:
    jobs = [job(f"runtime.cohort={cohort}", seed=seed) for seed in range(5)]
    assert [len(found) for found in form_cohorts(jobs, on_gpu=on_gpu)] == sizes


def test_large_networks_train_alone_unless_a_number_is_asked_for() -> None:
    for asked, sizes in (("auto", [1] * 3), ("2", [2, 1])):
        jobs = [job("model.name=ResNet18", f"runtime.cohort={asked}", seed=seed) for seed in range(3)]
        assert [len(found) for found in form_cohorts(jobs, on_gpu=True)] == sizes


def test_compiled_networks_train_alone() -> None:
    jobs = [job("runtime.compile=true", "runtime.cohort=4", seed=seed) for seed in range(3)]
    assert [len(found) for found in form_cohorts(jobs, on_gpu=True)] == [1, 1, 1]


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_on_the_cpu_a_task_is_a_cohort_in_the_order_of_the_jobs() -> None:
    jobs = [job(seed=seed) for seed in range(3)]
    tasks = make_tasks(jobs, 0)
    assert [task.jobs for task in tasks] == [[each] for each in jobs]
    assert {(task.streams, task.gpu) for task in tasks} == {(1, None)}


def test_gpus_share_the_cohorts_smallest_batches_first() -> None:
    jobs = [job(f"data.batch_size={size}", seed=seed) for size in (512, 8, 64) for seed in range(2)]
    tasks = make_tasks(jobs, 2)
    sizes = [[cohort[0].settings.data.batch_size for cohort in task.cohorts] for task in tasks]
    assert sizes == [[8, 512], [64]]
    assert [(task.streams, task.gpu) for task in tasks] == [(GPU_STREAMS, 0), (GPU_STREAMS, 1)]
    (one,) = make_tasks(jobs, 1, streams=2)
    assert (one.streams, one.gpu, len(one.cohorts)) == (2, 0, 3)


def test_what_sets_torchs_switches_or_draws_chance_is_alone_in_its_process(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from cifar_lab.models import nets\n\n\nclass Own(nets.Net):\n    pass\n")
    own = [job(f"model.name={tmp_path}/own.py:Own", f"optimizer.lr={lr}") for lr in (0.1, 0.2)]
    loose = job("runtime.deterministic=false")
    here = job("runtime.device=cpu")
    tasks = make_tasks([job(), *own, loose, here], 1)
    assert [[len(cohort) for cohort in task.cohorts] for task in tasks] == [[1], [1], [2], [1]]
    assert [task.gpu for task in tasks] == [0, 0, 0, None]
    assert tasks[2].streams == 1


def test_a_task_of_some_of_its_runs_keeps_their_order() -> None:
    (task,) = make_tasks([job(f"data.batch_size={size}", seed=seed) for size in (8, 16) for seed in range(3)], 1)
    left = {each.run_id for each in task.jobs if each.seed != 1 and each.settings.data.batch_size == 8}
    cut = task.only(left)
    assert [[each.seed for each in cohort] for cohort in cut.cohorts] == [[0, 2]]
    assert (cut.streams, cut.gpu) == (task.streams, task.gpu)
