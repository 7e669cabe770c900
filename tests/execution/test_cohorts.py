"""Which runs train together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest

from cifar_lab.config import SGD, Section, Settings, TorchOptimizer, TorchSchedule
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.registry import MODEL_FACTS, SECTION_CHOICES
from cifar_lab.config.roles import Role, role_of
from cifar_lab.config.run_id import recipe
from cifar_lab.execution import tasks
from cifar_lab.execution.tasks import GPU_STREAMS, form_cohorts, kernel_cohorts, make_tasks
from cifar_lab.training.grouping import cohort_key
from cifar_lab.training.job import Job
from tests.config.every_field import FieldCase, every_field


def job(*overrides: str, seed: int = 0, fingerprint: str = "f", threads: int = 1) -> Job:
    settings: Settings = settings_from({"data": {"dataset": "synthetic"}}, overrides=overrides)
    name = f"{seed}-{fingerprint}-{'-'.join(overrides)}"
    return Job(settings, seed, name, recipe(settings), fingerprint, Path("results"), True, threads)


def with_settings(settings: Settings, seed: int = 0) -> Job:
    return Job(settings, seed, str(seed), recipe(settings), "f", Path("results"), True)


@pytest.mark.parametrize("case", every_field(), ids=str)
def test_runs_that_differ_in_a_setting_train_together_as_its_role_says(case: FieldCase, tmp_path: Path) -> None:
    one, other = map(with_settings, case.pair(tmp_path))
    role = role_of(case.cls, case.name)
    together = role in (Role.MEMBER, Role.LABEL) or case.key == "runtime.threads"  # the job's own threads count
    assert (cohort_key(one) == cohort_key(other)) is together
    facts = MODEL_FACTS.get(one.settings.model.name)
    alone = facts is not None and not facts.small  # a large network fills a GPU by itself
    assert len(form_cohorts([one, replace(other, seed=1)], on_gpu=True)) == (1 if together and not alone else 2)


@pytest.mark.parametrize(("section", "together"), [("model", False), ("optimizer", True), ("scheduler", True)])
def test_classes_of_a_section_train_together_or_apart(section: str, together: bool) -> None:
    key, classes = SECTION_CHOICES[section]
    of_torch = (TorchOptimizer, TorchSchedule)
    names = [name for name, cls in classes.items() if not issubclass(cls, of_torch)]
    keys = {cohort_key(job(f"{section}.{key}={name}")) for name in names}
    assert len(keys) == (1 if together else len(names))


def test_what_torch_executes_trains_alone(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def f(): ...\n")
    own = f"{tmp_path}/own.py:f"
    for word in ("optimizer.name=rmsprop", f"optimizer.name={own}", f"loss.name={own}", f"data.augment={own}",
                 f"scheduler.name={own}", f"metrics=[{own}]"):  # fmt: skip
        jobs = [job(word, "runtime.cohort=4", seed=seed) for seed in range(3)]
        assert [len(found) for found in form_cohorts(jobs, on_gpu=True)] == [1, 1, 1]


def test_a_backend_makes_further_settings_a_members_own(tmp_path: Path) -> None:
    shared = [case for case in every_field() if role_of(case.cls, case.name) is Role.SHARED]
    assert shared
    for case in shared:
        if case.key == "epochs":  # a cohort ends at one epoch, whatever its backend
            continue
        one, other = map(with_settings, case.pair(tmp_path))
        assert cohort_key(one, {case.key}) == cohort_key(other, {case.key}), case
        assert cohort_key(one, {"data.none"}) != cohort_key(other, {"data.none"}), case
    jobs = [job(f"data.crop_padding={padding}", seed=padding) for padding in (0, 4)]
    assert len(form_cohorts(jobs, on_gpu=True, own={"data.crop_padding"})) == 1


# --- a setting that is new: in a cohort it is never left to the first member ------------------------------------------


class Undeclared(Settings):
    """Settings with one of which nobody said what it is for."""

    ema_decay: float = 0.0


class Averaging(Section):
    """A section of which nobody said what it is for."""

    decay: float = 0.0


class WithSection(Settings):
    """Settings with that section."""

    averaging: Averaging = Averaging()


class Declared(Settings):
    """Settings with one that each member has for itself."""

    ema_decay: Annotated[float, Role.MEMBER] = 0.0


class Ema(SGD):
    """An optimizer with a setting that the whole cohort has in common."""

    ema_decay: Annotated[float, Role.SHARED] = 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Undeclared(), Undeclared(ema_decay=0.9)),
        (WithSection(), WithSection(averaging=Averaging(decay=0.9))),
        (Settings(optimizer=Ema()), Settings(optimizer=Ema(ema_decay=0.9))),
    ],
    ids=["undeclared", "undeclared section", "shared in a section of members"],
)
def test_a_new_setting_is_never_dropped_in_a_cohort(one: Settings, other: Settings) -> None:
    assert recipe(one) != recipe(other)
    assert len(form_cohorts([with_settings(one), with_settings(other, 1)], on_gpu=True)) == 2
    assert len(form_cohorts([with_settings(other), with_settings(other, 1)], on_gpu=True)) == 1


def test_a_new_setting_of_each_member_is_in_the_id_and_not_in_the_cohort() -> None:
    one, other = Declared(), Declared(ema_decay=0.9)
    assert recipe(one) != recipe(other)
    assert len(form_cohorts([with_settings(one), with_settings(other, 1)], on_gpu=True)) == 1


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


SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)


def grid(*overrides: str) -> list[Job]:
    """320 runs of eight batch sizes, as in configs/q8_grid.yaml, with the base's own settings."""
    return [
        job(f"data.batch_size={size}", f"optimizer.name={name}", f"optimizer.lr={lr}", *overrides, seed=seed)
        for size in SIZES
        for name in ("sgd", "adam")
        for lr in (0.05, 0.01, 0.005, 0.001, 0.0005)
        for seed in range(4)
    ]


@pytest.mark.parametrize(("gpus", "sizes"), [(1, [[160, 160]]), (2, [[160], [160]]), (8, [[40]] * 8)])
def test_a_grid_is_planned_as_cohorts_of_all_batch_sizes_that_fill_each_gpu(gpus: int, sizes: list[list[int]]) -> None:
    jobs = grid()
    tasks = make_tasks(jobs, gpus)
    assert [[len(cohort) for cohort in task.cohorts] for task in tasks] == sizes
    assert {each.run_id for task in tasks for each in task.jobs} == {each.run_id for each in jobs}
    for cohort in (cohort for task in tasks for cohort in task.cohorts):
        counts = Counter(each.settings.data.batch_size for each in cohort)
        assert counts.keys() == set(SIZES)
        assert max(counts.values()) - min(counts.values()) <= 2
        names = [each.settings.optimizer.name for each in cohort]
        assert names == sorted(names)


@pytest.mark.parametrize(
    "override",
    ["runtime.kernels=torch", "runtime.cohort=40", "model.name=Wide", "data.noise_std=0.1", "runtime.precision=bf16"],
)
def test_what_the_block_kernel_does_not_train_is_grouped_by_batch_size(override: str) -> None:
    (task,) = make_tasks(grid(override), 1)
    assert [len({each.settings.data.batch_size for each in cohort}) for cohort in task.cohorts] == [1] * 8
    assert [len(cohort) for cohort in task.cohorts] == [40] * 8


def test_runs_on_the_cpu_are_planned_as_ever() -> None:
    assert {len(task.jobs) for task in make_tasks(grid(), 0)} == {1}
    assert {len(task.jobs) for task in make_tasks(grid("runtime.device=cpu"), 1)} == {1}


def test_a_mixed_cohort_needs_the_networks_of_its_hardest_batch_size() -> None:
    jobs = [job(f"data.batch_size={size}", seed=seed) for size in (8, 512) for seed in range(7)]
    (task,) = make_tasks(jobs, 2)
    assert [len(cohort) for cohort in task.cohorts] == [14]
    assert [len(cohort) for task in make_tasks(jobs[1:], 1) for cohort in task.cohorts] == [6, 7]


def test_other_images_epochs_or_crops_are_another_cohort_of_the_block_kernel() -> None:
    jobs = [
        job(f"data.batch_size={size}", *more, seed=seed)
        for more in ((), ("epochs=3",), ("data.crop_padding=4",))
        for size in (8, 64)
        for seed in range(5)
    ]
    jobs += [replace(each, until_epoch=1, run_id=f"{each.run_id}-cut") for each in jobs[:10]]
    (task,) = make_tasks(jobs, 1)
    assert [len(cohort) for cohort in task.cohorts] == [10] * 4
    assert all({each.settings.data.batch_size for each in cohort} == {8, 64} for cohort in task.cohorts)


def test_thousands_of_runs_are_many_cohorts() -> None:
    jobs = [replace(job("data.batch_size=64"), seed=seed, run_id=str(seed)) for seed in range(3_000)]
    (task,) = make_tasks(jobs, 1)
    assert {len(cohort) for cohort in task.cohorts} == {166, 167}


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


@pytest.mark.parametrize(
    ("files", "on_gpu", "asked", "sizes"),
    [
        (130, False, "5", [2, 2, 1]),
        (136, True, "auto", [2, 2, 1]),  # four cohorts are open on a GPU
        (100, False, "5", [1] * 5),
        (10_000, True, "auto", [5]),
    ],
)
def test_a_cohort_has_no_more_members_than_a_process_may_open_files(
    monkeypatch: pytest.MonkeyPatch, files: int, on_gpu: bool, asked: str, sizes: list[int]
) -> None:
    monkeypatch.setattr(tasks, "most_open_files", lambda: files)
    jobs = [job(f"runtime.cohort={asked}", seed=seed) for seed in range(5)]
    assert [len(found) for found in form_cohorts(jobs, on_gpu=on_gpu)] == sizes


def test_cohorts_of_the_block_kernel_fit_in_the_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [job().settings] * 320
    assert kernel_cohorts(arms, 1) == 2
    monkeypatch.setattr(tasks, "most_open_files", lambda: 128 + 4 * 100)
    assert kernel_cohorts(arms, 1) == 4
