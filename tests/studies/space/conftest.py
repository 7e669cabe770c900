"""Sheets and bases of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.methods import expand
from cifar_lab.studies.space.points import Expansion

Points = Callable[..., Expansion]


@pytest.fixture
def base() -> Settings:
    return settings_from({"label": "base", "epochs": 9, "data": {"dataset": "synthetic", "val_size": 100}})


@pytest.fixture
def points(base: Settings) -> Points:
    """The points of a sweep that has these parts."""

    def points(**parts: Any) -> Expansion:
        return expand(SweepSheet.model_validate({"base": "base.yaml", **parts}), base, "sweep.yaml")

    return points
