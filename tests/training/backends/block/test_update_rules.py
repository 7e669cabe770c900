"""Numbers that the block kernel has from the settings of an optimizer."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.nets import Net, Net1
from cifar_lab.training.backends.block.jobs import MOST_PARAMETERS, BlockMember
from cifar_lab.training.backends.block.rows import matrices
from cifar_lab.training.backends.block.shapes import NET, NET1, Shape
from cifar_lab.training.backends.block.update_rules import MATRICES, optimizers_of, rule_fields
from cifar_lab.training.optim.muon import matrices_of

from .block_runs import arms, eager

NAMES = [each.name for each in matrices(NET, 10)]


def fields(**optimizer: Any) -> dict[str, Any]:
    settings: Any = settings_from({"optimizer": optimizer}).optimizer
    return dict(rule_fields(settings, NAMES, NAMES))


@pytest.mark.parametrize(("network", "shape", "count"), [(Net, NET, 10), (Net1, NET1, MOST_PARAMETERS)])
def test_matrices_are_those_of_the_optimizer(network: type[Net], shape: Shape, count: int) -> None:
    parameters = flatten_parameters([network(10)])
    names = [each.name for each in matrices(shape, 10)]
    assert [matrix.span.name for matrix in matrices_of(parameters)] == list(MATRICES)
    assert [span.name for span in parameters.spans] == names
    assert len(names) == count


def test_every_field_is_one_of_the_structure() -> None:
    muon = fields(name="muon", lr=0.01, clip_norm=1)
    assert muon.keys() <= {name for name, _ in BlockMember._fields_}
    assert fields(name="adam", lr=0.01).keys() <= muon.keys() | {"beta2", "eps"}


def test_rates_and_decays_are_those_of_each_parameter() -> None:
    others = {"lr": 0.02, "weight_decay": 0.5}
    groups = [{"match": "fc1", "lr_factor": 3}, {"match": "conv", "weight_decay": 0}]
    found = fields(name="muon", lr=0.01, weight_decay=0.1, others=others, groups=groups)
    rates = dict(zip(NAMES, found["factors"], strict=True))
    decays = dict(zip(NAMES, found["decays"], strict=True))
    assert rates == pytest.approx(
        dict.fromkeys(NAMES, 2) | dict.fromkeys(MATRICES, 1) | {"fc1.weight": 3, "fc1.bias": 6}
    )
    expected = {name: 0 if name.startswith("conv") else 0.1 if name in MATRICES else 0.5 for name in NAMES}
    assert decays == expected


def test_layers_have_their_rates() -> None:
    some = arms("fine_tune.layer_decay=0.5", names=("muon", "sgd, none"))
    muon, sgd = (rule_fields(each, NAMES, NAMES)["factors"] for each in optimizers_of(eager(some, 10).cohort))
    assert sgd[::2] == (0.0625, 0.125, 0.25, 0.5, 1)
    assert muon[::2] == sgd[::2]
