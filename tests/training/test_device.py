"""Devices, switches and random streams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from cifar_lab.config import Runtime
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.random_streams import seeded_init, stream, stream_seed
from cifar_lab.training.device import SUBNORMAL, choose_device, flushed_subnormals, prepare_execution

PINNED_SEEDS = [2639891785492693593, 4403424721821740391, 1401542898601230660]
PINNED_ORDER = [5, 3, 2, 4, 6, 8, 9, 0, 1, 7]


def draws(name: str, seed: int, epoch: int = 0) -> torch.Tensor:
    return torch.rand(1000, generator=stream(name, seed, epoch))


def test_streams_are_pinned() -> None:
    """Other values would change every run that was ever made."""
    assert [stream_seed("order", 0), stream_seed("flip", 0, 1), stream_seed("init", 2**32 - 1)] == PINNED_SEEDS
    assert torch.randperm(10, generator=stream("order", 3, 2)).tolist() == PINNED_ORDER


def test_each_name_seed_and_epoch_has_a_stream_of_its_own() -> None:
    names, numbers = ("init", "order", "flip", "crop", "policy", "noise"), range(12)
    seeds = [stream_seed(name, seed, epoch) for name in names for seed in numbers for epoch in numbers]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_streams_are_unrelated() -> None:
    kinds = [("order", 0, 0), ("order", 0, 1), ("order", 1, 0), ("flip", 0, 0), ("crop", 0, 0)]
    for first, second in itertools.combinations(kinds, 2):
        together = torch.corrcoef(torch.stack([draws(*first), draws(*second)]))
        assert abs(float(together[0, 1])) < 0.12  # 4 standard deviations of 1000 unrelated pairs


def test_a_stream_is_the_same_each_time_and_whatever_else_was_drawn() -> None:
    first = draws("noise", 4, 7)
    torch.rand(10)
    assert torch.equal(draws("noise", 4, 7), first)


def test_seeded_init_leaves_the_global_generator_as_it_was() -> None:
    torch.manual_seed(11)
    expected = torch.rand(5)
    torch.manual_seed(11)
    with seeded_init(3):
        inside = torch.rand(5)
    assert torch.equal(torch.rand(5), expected)
    with seeded_init(3):
        assert torch.equal(torch.rand(5), inside)
    with seeded_init(4):
        assert not torch.equal(torch.rand(5), inside)


def test_seeded_init_restores_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded_init(3):
        torch.rand(1) @ torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_cpu_is_the_cpu_everywhere() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said without a GPU")
@pytest.mark.parametrize(
    ("built_for", "why"), [(None, "is a CPU-only build"), ("13.0", "finds no GPU")], ids=["cpu build", "no gpu"]
)
def test_without_a_gpu_auto_takes_the_cpu_and_cuda_says_why(
    monkeypatch: pytest.MonkeyPatch, built_for: str | None, why: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", built_for)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(SettingsError) as caught:
        choose_device("cuda")
    assert str(caught.value) == (
        f"runtime.device: cuda is not available here (torch {torch.__version__} {why}); use --set runtime.device=auto"
    )
    assert caught.value.exit_code == 2


def test_execution_sets_the_switches_that_results_depend_on() -> None:
    execution = prepare_execution(Runtime(device="cpu"), threads=1)
    assert (execution.device.type, execution.bf16, execution.threads) == ("cpu", False, 1)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert torch.get_float32_matmul_precision() == "highest"
    prepare_execution(Runtime(device="cpu", deterministic=False), threads=1)
    assert not torch.are_deterministic_algorithms_enabled()
    prepare_execution(Runtime(device="cpu"), threads=1)


def test_autocast_is_bfloat16_only_where_it_is_asked_for() -> None:
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    with prepare_execution(Runtime(device="cpu"), 1).autocast():
        assert (a @ b).dtype == torch.float32
    with prepare_execution(Runtime(device="cpu", precision="bf16"), 1).autocast():
        assert (a @ b).dtype == torch.bfloat16


def smallest_products() -> list[float]:
    """Products of a subnormal number as torch and as numpy compute them."""
    return [float(torch.full((), SUBNORMAL) * 1), float(np.full(1, SUBNORMAL, np.float32)[0] * np.float32(1))]


def test_subnormal_numbers_are_zeros_inside_the_block_alone() -> None:
    assert smallest_products() == [SUBNORMAL] * 2
    with flushed_subnormals():
        with flushed_subnormals():
            assert smallest_products() == [0, 0]
        assert smallest_products() == [0, 0]
    with pytest.raises(RuntimeError), flushed_subnormals():
        torch.rand(1) @ torch.rand(2)
    assert smallest_products() == [SUBNORMAL] * 2
