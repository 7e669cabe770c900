"""Names of points that differ in how they are fine-tuned."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.config.io.point_labels import point_label


@pytest.mark.parametrize(
    ("key", "value", "label"),
    [
        ("model.weights", None, "from scratch"),
        ("model.weights", "/some/folder/weights.safetensors", "weights.safetensors"),
        ("model.weights", "run:0123456789abcdef", "run:0123456789abcdef"),
        ("model.freeze", [], "nothing frozen"),
        ("model.freeze", "all_but_head", "head alone"),
        ("model.freeze", ("stem", "layer1"), "frozen stem, layer1"),
        ("fine_tune.layer_decay", 1.0, "no layer decay"),
        ("fine_tune.layer_decay", 0.7, "layer decay 0.7"),
        ("fine_tune.freeze_epochs", 0, "all epochs alike"),
        ("fine_tune.freeze_epochs", 1, "head alone for 1 epoch"),
    ],
)
def test_ways_of_fine_tuning_have_names(key: str, value: Any, label: str) -> None:
    assert point_label({key: value}) == label
