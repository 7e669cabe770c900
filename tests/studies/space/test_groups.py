"""`search.per`: groups of points, the same tries for each, and the best of each."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cifar_lab.analysis.winners import Winners
from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.documents import search_document, winners_document
from cifar_lab.studies.space.groups import by_group, group_count, group_name
from cifar_lab.studies.space.methods import expand, start_method
from cifar_lab.studies.space.points import PointResult
from cifar_lab.studies.space.winners import SearchRuns, choose_winners, reference_winner

SPACE: dict[str, Any] = {
    "optimizer.name": ["adam", "sgd"],
    "optimizer.momentum": {"values": [0.0, 0.9], "when": {"optimizer.name": "sgd"}},
    "optimizer.lr": [0.1, 0.01, 0.001],
}


def sheet(space: dict[str, Any] | None = None, **search: Any) -> SweepSheet:
    search = {"per": "optimizer.name", **search}
    return SweepSheet.model_validate({"base": "b.yaml", "space": space or SPACE, "search": search})


def test_a_grid_has_the_points_of_each_group(base: Settings) -> None:
    found = sheet()
    groups = by_group(expand(found, base, "s.yaml").points, found.search)
    assert {name: len(points) for name, points in groups.items()} == {"Adam": 3, "SGD": 6}
    assert group_count(found) == 2
    assert group_count(sheet(per=["optimizer.name", "optimizer.lr"])) == 6


def test_a_group_is_named_without_what_is_disabled_by_default(base: Settings) -> None:
    ways = {
        "model.freeze": [[], "all_but_head", [], []],
        "fine_tune.layer_decay": [1.0, 1.0, 0.7, 1.0],
        "fine_tune.freeze_epochs": [0, 0, 0, 1],
    }
    found = SweepSheet.model_validate({"base": "b.yaml", "paired": [ways], "search": {"per": list(ways)}})
    groups = by_group(expand(found, base, "s.yaml").points, found.search)
    assert list(groups) == ["nothing frozen", "head alone", "layer decay 0.7", "head alone for 1 epoch"]


def test_files_of_one_name_in_two_folders_are_two_groups(base: Settings) -> None:
    space = {"model.weights": ["/a/weights.safetensors", "/b/weights.safetensors"], "optimizer.lr": [0.1, 0.01]}
    found = sheet(space, per="model.weights")
    points = expand(found, base, "s.yaml").points
    groups = by_group(points, found.search)
    assert {name: len(own) for name, own in groups.items()} == {
        "model.weights: /a/weights.safetensors": 2,
        "model.weights: /b/weights.safetensors": 2,
    }
    winners = choose_winners(points, {point.name: [0.5] for point in points}, found.search)
    assert [each.group for each in winners] == list(groups)
    second = points[-1].settings
    reference = reference_winner(winners, second, found.search)
    assert reference is not None
    assert reference.point.settings.model.weights == second.model.weights


def test_random_search_draws_the_same_for_each_group(base: Settings) -> None:
    space = {**SPACE, "optimizer.lr": {"min": 1e-4, "max": 0.1, "log": True}}
    found = sheet(space, method="random", trials=7)
    groups = by_group(expand(found, base, "s.yaml").points, found.search)
    assert {name: len(points) for name, points in groups.items()} == {"Adam": 7, "SGD": 7}
    rates = [[point.settings.optimizer.lr for point in points] for points in groups.values()]
    assert rates[0] == rates[1]


def test_tpe_proposes_for_each_group_by_its_own_results(base: Settings) -> None:
    space = {**SPACE, "optimizer.lr": {"min": 1e-4, "max": 0.1, "log": True}}
    found = sheet(space, method="tpe", trials=16, batch=4)

    def propose() -> list[str]:
        method, results, names = start_method(found, base, expand(found, base, "s.yaml"), "s.yaml"), {}, []
        assert method.trials_left == 32
        while batch := method.propose(results):
            names += [point.name for point in batch]
            results |= {each.name: PointResult(each, (1 - each.settings.optimizer.lr,)) for each in batch}
        assert Counter(group_name(each.point.settings, found.search) for each in results.values()) == {
            "Adam": 16, "SGD": 16,
        }  # fmt: skip
        return names

    assert propose() == propose()


def test_the_best_of_each_group_is_ranked_and_the_control_is_of_the_base_s(base: Settings) -> None:
    found = sheet()
    points = expand(found, base, "s.yaml").points
    accuracies = {point.name: [0.5 + number / 100] for number, point in enumerate(points)}
    winners = choose_winners(points, accuracies, found.search)
    assert [(each.rank, each.group, each.tried) for each in winners] == [(1, "SGD", 6), (2, "Adam", 3)]
    document = winners_document(
        "s", base, found.search, winners, points=9, runs=SearchRuns(9, 0, 0), base_val_accuracy=None,
        fingerprint="f" * 64, plan_sha256="0" * 64, val_size=100,
    )  # fmt: skip
    assert document["schema"] == 3
    read = Winners.model_validate(document)
    assert [(each.group, each.rank, each.points) for each in read.group_winners] == [("SGD", 1, 6), ("Adam", 2, 3)]
    assert read.best == read.control
    assert read.control.recipe == recipe(winners[0].point.settings)


def test_a_search_without_groups_is_written_as_before(base: Settings) -> None:
    plain = SweepSheet.model_validate({"base": "b.yaml", "space": SPACE})
    assert set(search_document(plain.search)) == {"method", "top", "seeds", "confirm_seeds", "val_size"}
    assert search_document(sheet().search)["per"] == "optimizer.name"
    winners = choose_winners(expand(plain, base, "s.yaml").points, {}, plain.search)
    document = winners_document(
        "s", base, plain.search, winners, points=9, runs=SearchRuns(9, 0, 0), base_val_accuracy=None,
        fingerprint="f" * 64, plan_sha256="0" * 64, val_size=100,
    )  # fmt: skip
    assert "schema" not in document
    assert "per" not in document["search"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"per": "optimizer.nam"}, "search.per: optimizer.nam does not vary in this sweep — did you mean optimizer.name?"),
    (
        {"per": "data.flip"},
        "search.per: data.flip does not vary in this sweep; the lists of values are optimizer.name, "
        "optimizer.momentum, optimizer.lr",
    ),
    ({"top": 3}, "search.top: per confirms the best point of each group; remove top"),
    (
        {"per": "optimizer.momentum", "method": "random", "trials": 3},
        "search.per: optimizer.momentum depends on optimizer.name; write per: [optimizer.name, optimizer.momentum]",
    ),
]


@pytest.mark.parametrize(("search", "message"), BAD)
def test_what_makes_no_groups_is_refused(search: dict[str, Any], message: str, base: Settings) -> None:
    with pytest.raises(SettingsError) as refused:
        expand(sheet(**search), base, "s.yaml")
    assert [str(problem) for problem in refused.value.problems] == [f"s.yaml: {message}"]
