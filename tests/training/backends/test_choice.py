"""Which kernels a run's steps are made of, what its record says of it, and what a resumed run goes on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab.core.errors import Interrupted, SettingsError
from cifar_lab.store.records import Environment, Record
from cifar_lab.training import checkpoint
from cifar_lab.training.backends import choice, kept_libraries
from cifar_lab.training.backends.choice import KernelChoice, choose_kernels
from cifar_lab.training.backends.kernels import compiler
from cifar_lab.training.device import Execution
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

from .kernels.small_runs import NETS, settings

CPU = Execution(torch.device("cpu"), bf16=False, threads=1)
GPU = Execution(torch.device("cuda"), bf16=False, threads=1)


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine without a C compiler, and what is said of it."""
    images = Path(kept_libraries.home())
    monkeypatch.setattr(kept_libraries, "home", lambda: tmp_path / "cache")  # not where a library was kept before
    monkeypatch.setenv("CC", "nonexistent")
    compiler._outcome.cache_clear()
    assert images.is_dir()
    yield "CC is nonexistent, which is not found"
    compiler._outcome.cache_clear()


def reason(*overrides: str, execution: Execution = CPU, members: int = 1) -> str | None:
    """Why it is torch's."""
    chosen, kernels = choose_kernels(settings(*overrides), execution, members, None)
    assert chosen == execution, "our own were chosen"
    return kernels.reason


@pytest.mark.parametrize("model", NETS)
@pytest.mark.parametrize("asked", ["auto", "own"])
def test_the_net_family_has_its_own(model: str, asked: str) -> None:
    arm = settings(f"model.name={model}", f"runtime.kernels={asked}")
    assert choose_kernels(arm, CPU, 1, None) == (replace(CPU, own_kernels=True), KernelChoice())


def test_all_else_is_torchs_and_says_why(tmp_path: Path) -> None:
    assert reason("model.name=ResNet18") == "there are none for ResNet18"
    assert reason(f"model.name={tmp_path}/tiny.py:Tiny") == "there are none for tiny.py:Tiny"
    assert reason("runtime.precision=bf16", execution=replace(CPU, bf16=True)) == "there are none for bf16"
    assert reason("runtime.compile=true") == "runtime.compile generates others"
    assert reason(members=2) == "runs that train together are stacked by torch"


def test_where_nothing_is_open_nothing_is_said() -> None:
    assert reason("runtime.kernels=torch") is None
    assert reason("runtime.kernels=torch", execution=GPU, members=40) is None


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that the block kernel runs on."""
    monkeypatch.setattr(choice, "check_gpu", lambda device: None)


@pytest.mark.usefixtures("hopper")
def test_a_cohort_on_a_gpu_has_the_block_kernel() -> None:
    arm = settings("model.name=Net2")
    assert choose_kernels(arm, GPU, 40, None) == (replace(GPU, own_kernels=True), KernelChoice())
    assert reason(execution=GPU) == "torch's are faster below 2 networks of this batch size"
    assert reason("data.noise_std=0.1", execution=GPU, members=40) == "there are none for data.noise_std: 0.1"
    assert choose_kernels(settings("model.name=Net3"), GPU, 52, None)[0].own_kernels
    few = "torch's are faster below 52 networks of this batch size"
    assert reason("model.name=Net3", execution=GPU, members=51) == few
    assert reason("model.name=ResNet18", execution=GPU, members=40) == "there are none on a GPU for ResNet18"


@pytest.mark.usefixtures("hopper")
def test_a_run_on_a_gpu_keeps_its_kernels_whatever_its_cohort() -> None:
    assert choose_kernels(settings(), GPU, 1, "own")[0].own_kernels
    assert choose_kernels(settings("runtime.kernels=own"), GPU, 1, None)[0].own_kernels
    chosen, kernels = choose_kernels(settings(), GPU, 40, "torch")
    assert (chosen, kernels.reason) == (GPU, "its first epochs used torch's")


def test_own_kernels_without_a_block_kernel_are_an_error() -> None:
    with pytest.raises(SettingsError, match=r"own is not available: there are none on a GPU for ResNet18;"):
        choose_kernels(settings("model.name=ResNet18", "runtime.kernels=own"), GPU, 40, None)


def test_who_insists_is_told_that_it_cannot_be(no_compiler: str) -> None:
    words = "^runtime.kernels: own is not available: {}; use --set runtime.kernels=auto$"
    with pytest.raises(SettingsError, match=words.format(no_compiler)):
        reason("runtime.kernels=own")
    with pytest.raises(SettingsError, match=words.format("runs that train together are stacked by torch")):
        reason("runtime.kernels=own", members=2)


def kernels(record: Record) -> tuple[str, str | None]:
    return record.environment.kernels, record.environment.kernels_reason


def test_without_a_compiler_a_run_is_made_by_torch_and_its_record_says_why(lab: Any, no_compiler: str) -> None:
    assert kernels(lab.make(lab.job(lab.settings()))) == ("torch", no_compiler)


def test_a_record_says_what_made_its_steps(lab: Any) -> None:
    assert kernels(lab.make(lab.job(lab.settings()))) == ("own", None)
    asked = lab.job(lab.settings("runtime.kernels=torch"), results="asked")
    assert kernels(lab.make(asked)) == ("torch", None)


def test_runs_that_train_together_are_torchs(lab: Any) -> None:
    jobs = [lab.job(lab.settings("runtime.cohort=2"), seed=seed) for seed in (0, 1)]
    ends: list[Record | Exception] = []
    run_cohort(jobs, lambda job, event: None, lambda: False, lambda job, outcome: ends.append(outcome))
    why = "runs that train together are stacked by torch"
    assert [kernels(end) for end in ends if isinstance(end, Record)] == [("torch", why)] * 2


def interrupted(lab: Any, *overrides: str) -> Job:
    """A run that was stopped after its first epoch."""
    job: Job = lab.job(lab.settings(*overrides))
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    return job


def test_a_run_goes_on_with_what_it_began_with(lab: Any) -> None:
    interrupted(lab, "runtime.kernels=torch")
    record = lab.make(lab.job(lab.settings()))
    assert kernels(record) == ("torch", "its first epochs used torch's")
    assert record.notes == ("resumed after epoch 1",)


@pytest.mark.parametrize(("before", "now"), [("own", "torch"), ("torch", "own")])
def test_who_insists_on_others_gets_them_with_a_note(before: str, now: str, lab: Any) -> None:
    interrupted(lab, f"runtime.kernels={before}")
    record = lab.make(lab.job(lab.settings(f"runtime.kernels={now}")))
    assert kernels(record) == (now, None)
    assert record.notes == ("resumed after epoch 1", f"epochs 1 to 1 ran with kernels {before}")


def test_a_compiler_that_is_gone_since_is_noted(lab: Any, request: pytest.FixtureRequest) -> None:
    interrupted(lab)
    why = request.getfixturevalue("no_compiler")
    record = lab.make(lab.job(lab.settings()))
    assert kernels(record) == ("torch", why)
    assert record.notes == ("resumed after epoch 1", "epochs 1 to 1 ran with kernels own")


def test_what_was_saved_before_there_were_any_is_torchs(lab: Any) -> None:
    job = interrupted(lab, "runtime.kernels=torch")
    path = lab.run_folder(job).checkpoint
    state = checkpoint.load(path)
    for key in ("kernels", "kernels_reason"):
        del state["environment"][key]
    checkpoint.save(path, state)
    record = lab.make(lab.job(lab.settings()))
    assert kernels(record) == ("torch", "its first epochs used torch's")
    old = json.loads(record.environment.model_dump_json(exclude={"kernels", "kernels_reason"}))
    assert Environment.model_validate(old) == record.environment.model_copy(update={"kernels_reason": None})


@pytest.mark.slow
def test_insisting_in_vain_ends_a_command_with_2_and_names_the_key(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "nonexistent")
    words = "CC is nonexistent, which is not found"
    code, output, errors = lab.command("run", lab.file("insists", "runtime.kernels=own"))
    assert (code, output) == (2, "")
    assert errors == f"cifar-lab: runtime.kernels: own is not available: {words}; use --set runtime.kernels=auto\n"
    assert not lab.results.exists()
    code, _, errors = lab.command("run", lab.file("open"))
    assert (code, errors) == (0, "")
    (record,) = lab.records()
    shown = lab.command("show", record.run_id)[1]
    assert f"torch's kernels, not the C kernels: {words}\n" in shown
    assert kernels(record) == ("torch", words)
