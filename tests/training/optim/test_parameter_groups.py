"""Groups of parameters: equal to torch's own groups step by step, and refused where they match nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cifar_lab import config
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.training.optim.factory import make_optimizer, make_rule
from cifar_lab.training.optim.parameter_groups import GroupValues, group_values
from tests.training.own_code import write

STEPS = 30

GROUPS = [
    {"match": r"^0\.bias", "lr_factor": 0.0},
    {"match": "bias", "weight_decay": 0.0},
    {"match": r"2\.weight", "lr_factor": 3.0, "weight_decay": 0.2},
]
VALUES = {"0.weight": (1.0, 0.05), "0.bias": (0.0, 0.05), "2.weight": (3.0, 0.2), "2.bias": (1.0, 0.0)}
"""Factor of the learning rate and weight decay that `GROUPS` give beside a decay of 0.05."""

RULES: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "momentum": 0.8, "nesterov": True},
    "plain sgd": {"name": "sgd", "momentum": 0.0},
    "adam": {"name": "adam", "eps": 1e-3},
    "adamw": {"name": "adamw", "betas": [0.8, 0.95]},
}


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def settings(rule: dict[str, Any], groups: list[dict[str, Any]] | None = None) -> config.Optimizer:
    given = GROUPS if groups is None else groups
    return settings_from({"optimizer": {**rule, "lr": 0.02, "weight_decay": 0.05, "groups": given}}).optimizer


def loss(model: nn.Module, step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(8, 6, generator=generator)
    return (model(images) - torch.randn(8, 3, generator=generator)).square().mean()


def rate(step: int) -> float:
    return 0.02 / (1 + step / 20)


def of_torch(rule: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """torch's optimizer with one group per parameter."""
    options = {key: value for key, value in rule.items() if key != "name"}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[rule["name"]]
    named = dict(model.named_parameters())
    return kind([{"params": [named[name]], "weight_decay": VALUES[name][1]} for name in VALUES], **options)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_equal_to_torchs_groups_step_by_step(name: str, stacked: bool) -> None:
    networks, references = ([network(seed) for seed in range(2)] for _ in range(2))
    flat = flatten_parameters(networks)
    optimizer = make_optimizer([settings(RULES[name])] * 2, flat, stacked=stacked)
    theirs = [of_torch(RULES[name], each) for each in references]
    for step in range(STEPS):
        flat.zero_gradients()
        for model, reference, own in zip(networks, references, theirs, strict=True):
            loss(model, step).backward()
            for group, (factor, _) in zip(own.param_groups, VALUES.values(), strict=True):
                group["lr"] = rate(step) * factor
            own.zero_grad()
            loss(reference, step).backward()
            own.step()
        optimizer.step(torch.full((2, 1), rate(step), dtype=torch.float64))
        for model, reference in zip(networks, references, strict=True):
            for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
                torch.testing.assert_close(mine, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_factor_of_zero_leaves_every_bit(name: str, stacked: bool) -> None:
    model = network(0)
    flat, before = flatten_parameters([model]), {key: value.clone() for key, value in model.named_parameters()}
    optimizer = make_optimizer([settings(RULES[name])], flat, stacked=stacked)
    for step in range(3):
        flat.zero_gradients()
        loss(model, step).backward()
        optimizer.step(torch.tensor([[0.02]]))
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert changed == set(VALUES) - {"0.bias"}


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_members_with_other_groups_end_as_they_do_alone(name: str, stacked: bool) -> None:
    members = [settings(RULES[name]), settings(RULES[name], []), settings(RULES[name], GROUPS[1:2])]

    def trained(chosen: list[int]) -> torch.Tensor:
        flat = flatten_parameters([network(number) for number in chosen])
        optimizer = make_optimizer([members[number] for number in chosen], flat, stacked=stacked)
        for step in range(5):
            for number, row in zip(chosen, flat.gradients, strict=True):
                row.copy_(torch.randn(row.shape, generator=torch.Generator().manual_seed(10 * step + number)))
            optimizer.step(torch.full((len(chosen), 1), 0.02))
        return flat.values

    together = trained([0, 1, 2])
    for number in range(3):
        torch.testing.assert_close(together[number], trained([number])[0], rtol=0, atol=1e-7 if stacked else 0)


def test_the_first_group_that_matches_counts() -> None:
    found = group_values(settings(RULES["sgd"]), list(VALUES))
    assert found == tuple(GroupValues(*values) for values in VALUES.values())


NAMES = ["conv1.weight", "conv1.bias", "layer1.0.bn.weight", "fc3.weight", "fc3.bias"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [{"match": r"^fc2$"}],
            "optimizer.groups[0].match: '^fc2$' is found in no name of a trainable parameter — did you mean fc3? the "
            "names are conv1.weight, conv1.bias, layer1.0.bn.weight, fc3.weight, fc3.bias",
        ),
        (
            [{"match": "zzz"}],
            "optimizer.groups[0].match: 'zzz' is found in no name of a trainable parameter; the names are "
            "conv1.weight, conv1.bias, layer1.0.bn.weight, fc3.weight, fc3.bias",
        ),
        (
            [{"match": "fc"}, {"match": "fc3.bias"}],
            "optimizer.groups[1].match: 'fc3.bias' is found only in names of an earlier group, such as fc3.bias; move "
            "the group up",
        ),
    ],
)
def test_a_group_without_a_parameter_is_refused(groups: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        group_values(settings(RULES["sgd"], groups), NAMES)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"groups": [{"match": "(fc"}]}, "no regular expression"),
        ({"groups": [{"match": ""}]}, "the text is empty"),
        ({"groups": [{"lr_factor": 2}]}, "optimizer.groups[0].match: missing; expected text"),
        ({"groups": [{"match": "fc", "lr": 2}]}, "optimizer.groups[0].lr: no such setting"),
        ({"groups": [{"match": "fc", "lr_factor": -1}]}, "-1 is out of range; expected a number of at least 0"),
        ({"groups": {"match": "fc"}}, "expected a list of mappings, each with match, lr_factor and weight_decay"),
        ({"name": "lbfgs", "groups": [{"match": "fc"}]}, "lbfgs has one group of parameters"),
        ({"name": "rprop", "groups": [{"match": "fc", "lr_factor": 2}]}, "in its first step only"),
        ({"name": "rprop", "groups": [{"match": "fc", "weight_decay": 2}]}, "rprop has no weight decay"),
    ],
)
def test_groups_that_cannot_be_are_refused_with_the_settings(optimizer: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({"optimizer": optimizer})
    assert message in str(caught.value)


def test_an_optimizer_of_torch_has_the_same_groups(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("rmsprop", f"{tmp_path}/lion.py:Lion"):
        rule = make_rule(settings({"name": name}), network(0))
        assert rule is not None
        found = [(group["lr"] / 0.02, group["weight_decay"]) for group in rule.optimizer.param_groups]
        assert found == [pytest.approx(values) for values in VALUES.values()]
        rule._set(0.01, None)
        assert [group["lr"] for group in rule.optimizer.param_groups] == pytest.approx([0.01, 0.0, 0.03, 0.01])


def test_groups_are_in_the_id_of_a_run() -> None:
    def stated(groups: list[dict[str, Any]]) -> Any:
        return recipe(settings_from({"optimizer": {"groups": groups}}))["optimizer"]

    assert stated([]) == recipe(config.Settings())["optimizer"]
    assert stated([{"match": "fc", "lr_factor": 2}]) == stated(
        [{"match": "fc", "lr_factor": 2.0, "weight_decay": None}]
    )
    assert stated([{"match": "fc", "lr_factor": 2}]) != stated([{"match": "fc", "lr_factor": 3}])
