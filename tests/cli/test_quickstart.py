"""`cifar-lab quickstart`: the first thing that anybody does, whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHANCE = 0.1
"""Ten classes of the same size."""


@pytest.mark.slow
def test_the_first_experiment(lab: Any, without_network: Callable[[], tuple[tuple[str, ...], dict[str, str]]]) -> None:
    before, variables = without_network()
    done = lab("quickstart", before=before, **variables, CIFAR_LAB_CACHE=str(lab.folder / "cache"))
    assert (done.code, done.err) == (0, "")
    assert done.seconds < 60
    results = lab.results / "quickstart"
    found = [json.loads(path.read_text()) for path in results.glob("runs/*/record.json")]
    arms = {
        label: [r["test"]["accuracy"] for r in found if r["label"] == label]
        for label in ("SGD", "Adam", "Net1 (BatchNorm)")
    }
    assert [len(each) for each in arms.values()] == [3, 3, 3]
    assert all(3 * CHANCE < accuracy < 0.99 for each in arms.values() for accuracy in each)
    assert done.lines.count("chart: results/quickstart/quickstart.png") == 1
    for label, each in arms.items():
        assert any(line.startswith(f"{label} ") and f"{np.mean(each):.4f}" in line for line in done.lines)
    assert sum(line.endswith("  synthetic") for line in done.lines) == 3
    chart = np.asarray(Image.open(results / "quickstart.png").convert("RGB"))
    assert chart.shape[0] >= 300
    assert chart.shape[1] >= 400
    assert len(np.unique(chart.reshape(-1, 3), axis=0)) > 50
    again = lab("quickstart", CIFAR_LAB_CACHE=str(lab.folder / "cache"))
    assert (again.code, again.progress[0]) == (0, "9 runs: 9 already done")
