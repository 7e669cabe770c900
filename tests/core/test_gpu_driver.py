"""Number of GPUs that the driver reports, with a fake NVML library."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
import torch

from cifar_lab.core import gpu_driver
from cifar_lab.core.gpu_driver import driver_gpu_count, torch_cuda_major


class Driver:
    """Fake NVML with `count` GPUs. Its functions return 0 on success."""

    def __init__(self, count: int = 2, cuda: int = 13000, *, fails: str = "", mig: int | None = None) -> None:
        self.count, self.cuda, self.fails, self.mig = count, cuda, fails, mig
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlInit_v2": None, "nvmlSystemGetCudaDriverVersion_v2": self.cuda, "nvmlDeviceGetCount_v2": self.count,
            "nvmlDeviceGetHandleByIndex_v2": 1, "nvmlDeviceGetMigMode": self.mig,
        }  # fmt: skip
        if name not in answers:
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            if name == self.fails or (name == "nvmlDeviceGetMigMode" and self.mig is None):
                return 3
            if answers[name] is not None:
                where = arguments[1] if name == "nvmlDeviceGetMigMode" else arguments[-1]
                where._obj.value = answers[name]
            return 0

        return function

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed = True


def asked(driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str | None = None, built_for: int = 13) -> Any:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return driver_gpu_count(environment=environment, built_for=built_for)


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 2), ("", 0), ("0", 1), (" 1, 0", 2), ("2", None), ("0,0", None), ("-1", None), ("GPU-ab12", None)],
)
def test_the_driver_counts_what_torch_will_see(
    visible: str | None, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(2)
    assert (asked(driver, monkeypatch, visible), driver.closed) == (count, True)


@pytest.mark.parametrize(
    "driver",
    [
        Driver(cuda=12080),
        Driver(mig=1),
        *(Driver(fails=name) for name in (
            "nvmlInit_v2", "nvmlSystemGetCudaDriverVersion_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"
        )),
    ],
)  # fmt: skip
def test_in_doubt_torch_is_asked(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(driver, monkeypatch) is None


def test_a_gpu_without_mig_and_a_torch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(Driver(mig=0), monkeypatch) == 2
    assert asked(Driver(), monkeypatch, built_for=0) == 0


def test_no_driver_means_that_torch_is_asked() -> None:
    assert driver_gpu_count("libno-such-library.so", {}, 13) is None


def test_the_version_of_cuda_is_that_of_torch() -> None:
    built = torch.version.cuda
    assert torch_cuda_major() == (0 if built is None else int(built.partition(".")[0]))
    assert gpu_driver.LIBRARY.startswith("libnvidia-ml")
