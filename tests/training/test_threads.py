"""Number of threads per run."""

from __future__ import annotations

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.config.registry import BUILT_IN_MODELS, MODEL_FACTS
from cifar_lab.training.threads import (
    LARGE_PARAMETERS,
    choose_threads,
    least_threads,
    torch_threads,
)


@pytest.mark.parametrize("model", [*sorted(MODEL_FACTS), "model.py:Own"])
def test_runs_side_by_side_never_have_more_threads_than_there_are_cores(model: str) -> None:
    assert set(MODEL_FACTS) == set(BUILT_IN_MODELS)
    settings = settings_from({"model": {"name": model}})
    for cores in range(1, 9):
        room = cores // least_threads(settings, cores)
        for side_by_side in range(1, room + 1):
            together = side_by_side * choose_threads(settings, cores, side_by_side)
            assert side_by_side <= together <= cores


@pytest.mark.parametrize("model", sorted(MODEL_FACTS))
def test_torch_threads_follow_from_the_size_of_the_network(model: str) -> None:
    settings = settings_from({"model": {"name": model}})
    expected = 8 if MODEL_FACTS[model].parameters >= LARGE_PARAMETERS else 1
    assert torch_threads(settings, 8) == expected
    assert least_threads(settings, 8) == expected
    assert torch_threads(settings_from({"model": {"name": model}, "runtime": {"threads": 3}}), 3) == 3
