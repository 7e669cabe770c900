import itertools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar_lab.analysis.winners import Winners
from cifar_lab.config import SGD, Adam, AdamW, Plateau, Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.io.point_labels import point_label
from cifar_lab.config.run_id import recipe
from cifar_lab.config.sheets import Search, SweepSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.studies.documents import winners_document
from cifar_lab.studies.space.methods import expand
from cifar_lab.studies.space.points import Expansion, Point, same_numbers
from cifar_lab.studies.space.winners import SearchRuns, confirm_settings, pick_winners, search_settings, with_val_size
from cifar_lab.studies.sweep import load_sweep

BASE = settings_from(
    {
        "label": "Baseline",
        "data": {"dataset": "cifar10", "batch_size": 64},
        "optimizer": {"name": "sgd", "lr": 0.001, "momentum": 0.9},
    }
)
Q8_SPACE = {
    "data.batch_size": [8, 16, 32, 64, 128, 256, 512, 1024],
    "data.flip": [False, True],
    "optimizer.name": ["sgd", "adam"],
    "scheduler.name": ["none", "plateau"],
    "optimizer.lr": [0.05, 0.01, 0.005, 0.001, 0.0005],
}


def sheet(**parts: Any) -> SweepSheet:
    return SweepSheet.model_validate({"base": "baseline.yaml", **parts})


def points(base: Settings = BASE, **parts: Any) -> Expansion:
    return expand(sheet(**parts), base, "grid.yaml")


def names(expansion: Expansion) -> list[str]:
    return [point.name for point in expansion.points]


def problems(base: Settings = BASE, **parts: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        points(base, **parts)
    return [str(problem) for problem in caught.value.problems]


# --- the product ----------------------------------------------------------------------------------------------------


def test_q8_has_320_points() -> None:
    found = points(space=Q8_SPACE)
    assert (len(found.points), found.duplicates, found.excluded) == (320, 0, 0)
    assert len(set(names(found))) == 320
    assert len({json.dumps(recipe(point.settings), sort_keys=True) for point in found.points}) == 320
    seen = {
        (s.data.batch_size, s.data.flip, s.optimizer.name, s.scheduler.name, s.optimizer.lr)
        for s in (point.settings for point in found.points)
    }
    assert seen == set(itertools.product(*Q8_SPACE.values()))


def test_the_shipped_q8_is_that_space() -> None:
    path = Path(__file__).parents[2] / "configs" / "q8_grid.yaml"
    assert yaml.safe_load(path.read_text())["space"] == Q8_SPACE


def test_names_say_what_sets_a_point_apart() -> None:
    found = points(space=Q8_SPACE)
    assert names(found)[0] == "batch 8 · no flip · SGD · no scheduler · lr 0.05"
    assert names(found)[-1] == "batch 1024 · flip · Adam · plateau · lr 0.0005"
    assert [point.settings.label for point in found.points] == names(found)


def test_names_of_other_values() -> None:
    space = {"data.policy": ["none", "randaugment"], "optimizer.name": ["adam"], "optimizer.betas": [[0.8, 0.99]]}
    assert names(points(space=space)) == [
        "no policy · Adam · betas [0.8, 0.99]",
        "policy randaugment · Adam · betas [0.8, 0.99]",
    ]
    assert names(points(space={"epochs": [3], "data.noise_std": [1e-05]})) == ["epochs 3 · noise_std 1e-05"]


def test_what_is_disabled_is_named_where_the_base_enables_it_or_nothing_else_is_set() -> None:
    space = {"model.freeze": [[], ["conv1"]], "fine_tune.layer_decay": [1, 0.7], "optimizer.lr": [0.1]}
    found = names(points(space=space))
    assert (found[0], found[1]) == ("lr 0.1", "layer decay 0.7 · lr 0.1")
    assert names(points(settings_from({"model": {"freeze": ["conv1"]}}), space=space))[0] == "nothing frozen · lr 0.1"
    assert names(points(space={"model.freeze": [[], "all_but_head"]})) == ["nothing frozen", "head alone"]
    both = {"model.freeze": [[]], "fine_tune.layer_decay": [1.0, 0.7]}
    assert names(points(space=both)) == ["as base", "layer decay 0.7"]


def test_sweeps_of_the_first_version_keep_their_names() -> None:
    space = {"data.flip": [False], "data.policy": ["none"], "scheduler.name": ["none"], "optimizer.nesterov": [False]}
    assert names(points(space=space)) == ["no flip · no policy · no scheduler · no nesterov"]


def test_the_arms_of_a_list_are_named_like_points(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("model: {freeze: all_but_head}\n")
    path = tmp_path / "arms.yaml"
    path.write_text(
        "base: base.yaml\nsearch: {}\narms:\n"
        "- {optimizer.lr: 0.1, model.freeze: [], fine_tune.layer_decay: 1.0}\n"
        "- {optimizer.lr: 0.1, fine_tune.layer_decay: 1.0}\n"
    )
    assert names(load_sweep(path).expansion) == ["lr 0.1 · nothing frozen", "lr 0.1"]


def test_names_that_would_be_the_same_are_spelled_out() -> None:
    found = points(space={"data.batch_size": [32]}, arms={"batch 32": {"data.batch_size": 16}, "other": {"epochs": 4}})
    assert names(found) == ["data.batch_size: 32", "data.batch_size: 16", "other"]


def test_a_long_name_is_cut_in_the_label_only() -> None:
    (point,) = points(arms={"x" * 300: {"epochs": 2}}).points
    assert len(point.name) == 300
    assert point.settings.label == "x" * 199 + "…"
    assert Settings.model_validate(point.settings.model_dump()) == point.settings


def test_another_optimizer_drops_what_it_has_not() -> None:
    found = points(space={"optimizer.name": ["sgd", "adam", "adamw"]})
    assert [point.settings.optimizer for point in found.points] == [
        SGD(lr=0.001, momentum=0.9),
        Adam(name="adam", lr=0.001),
        AdamW(name="adamw", lr=0.001),
    ]


def test_the_order_of_keys_does_not_matter() -> None:
    one = {
        "optimizer.name": ["adam"],
        "optimizer.betas": [[0.8, 0.9]],
        "scheduler.name": ["plateau"],
        "scheduler.patience": [2],
    }
    other = dict(reversed(one.items()))
    (first,), (second,) = points(space=one).points, points(space=other).points
    assert recipe(first.settings) == recipe(second.settings)
    assert first.settings.optimizer == Adam(name="adam", lr=0.001, betas=(0.8, 0.9))
    assert first.settings.scheduler == Plateau(name="plateau", patience=2)


def test_paired_keys_change_together() -> None:
    found = points(
        space={"data.flip": [False, True]},
        paired=[{"data.batch_size": [64, 128, 256], "optimizer.lr": [0.001, 0.002, 0.004]}],
    )
    assert [(p.settings.data.flip, p.settings.data.batch_size, p.settings.optimizer.lr) for p in found.points] == [
        (False, 64, 0.001), (False, 128, 0.002), (False, 256, 0.004),
        (True, 64, 0.001), (True, 128, 0.002), (True, 256, 0.004),
    ]  # fmt: skip


def test_two_paired_groups_multiply() -> None:
    found = points(
        paired=[{"data.batch_size": [64, 128], "optimizer.lr": [0.01, 0.02]}, {"epochs": [2, 3, 4]}],
    )
    assert len(found.points) == 6


def test_exclude_takes_out_what_agrees() -> None:
    found = points(space=Q8_SPACE, exclude=[{"optimizer.name": "adam", "optimizer.lr": 0.05}, {"data.batch_size": 8}])
    assert found.excluded == 2 * 2 * 8 + 40 - 2 * 2
    assert len(found.points) == 320 - found.excluded
    for point in found.points:
        assert point.values["data.batch_size"] != 8
        assert not (point.values["optimizer.name"] == "adam" and point.values["optimizer.lr"] == 0.05)


def test_exclude_compares_numbers_but_not_truth_with_one() -> None:
    space = {"epochs": [1, 2], "data.flip": [False, True]}
    assert points(space=space, exclude=[{"epochs": 1.0}]).excluded == 2
    assert problems(space=space, exclude=[{"data.flip": 1}]) == [
        "grid.yaml: exclude[0]: data.flip: 1 matches no point; check its values against space and paired"
    ]


def test_arms_stand_beside_the_product_and_are_not_excluded() -> None:
    found = points(
        space={"data.batch_size": [32, 64]},
        exclude=[{"data.batch_size": 32}],
        arms={"Adam, small": {"optimizer.name": "adam", "data.batch_size": 32}, "as it is": {}},
    )
    assert names(found) == ["batch 64", "Adam, small"]
    assert (found.duplicates, found.excluded) == (1, 1)
    assert found.points[1].settings.optimizer.name == "adam"


def test_equal_points_are_merged_and_counted() -> None:
    found = points(space={"optimizer.lr": yaml.safe_load("[1, 1.0, 1.0e+0, 0.5]")})
    assert (names(found), found.duplicates) == (["lr 1", "lr 0.5"], 2)


def test_a_value_at_its_default_is_the_same_point() -> None:
    found = points(
        arms={"a": {"scheduler.name": "none"}, "b": {"optimizer.momentum": 0.9}, "c": {"runtime.threads": 2}}
    )
    assert (names(found), found.duplicates) == (["a"], 2)


def test_other_images_are_another_point() -> None:
    base = settings_from({"data": {"dataset": "synthetic"}})
    assert len(points(base, space={"data.difficulty": [0.2, 0.9]}).points) == 2
    assert len(points(base, space={"data.dataset": ["cifar10", "cifar100"]}).points) == 2


def test_weights_are_told_apart_without_reading_them() -> None:
    base = settings_from({"model": {"name": "ResNet18"}})
    found = points(base, space={"model.weights": [None, "one.pt", "two.pt"]})
    assert len(found.points) == 3


def test_points_do_not_depend_on_seeds_label_or_runtime_of_the_base() -> None:
    other = BASE.model_copy(update={"label": "else", "seeds": (7,)})
    one, two = points(space=Q8_SPACE).points[200], points(other, space=Q8_SPACE).points[200]
    assert recipe(one.settings) == recipe(two.settings)
    assert same_numbers(one.settings, two.settings)


def test_a_base_that_is_itself_a_point_is_found_again() -> None:
    found = points(space=Q8_SPACE)
    same = [point.name for point in found.points if same_numbers(point.settings, BASE)]
    assert same == ["batch 64 · no flip · SGD · no scheduler · lr 0.001"]
    search = Search()
    (point,) = [point for point in found.points if point.name == same[0]]
    assert recipe(confirm_settings(point.settings, search)) == recipe(confirm_settings(BASE, search))


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (
            {"optimizer.name": "adam", "optimizer.lr": 5e-4, "data.batch_size": 64, "data.flip": True},
            "Adam · lr 0.0005 · batch 64 · flip",
        ),
        ({"data.flip": False, "scheduler.name": "none", "optimizer.name": "sgd"}, "no flip · no scheduler · SGD"),
        ({"model.name": "Net1", "scheduler.name": "one_cycle", "epochs": 20}, "Net1 · one-cycle · epochs 20"),
        ({"data.dataset": "cifar100", "optimizer.nesterov": False}, "cifar100 · no nesterov"),
        ({}, ""),
    ],
)
def test_a_label_says_what_a_point_sets(values: dict[str, Any], label: str) -> None:
    assert point_label(values) == label


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, ["grid.yaml: nothing to sweep; state space, paired or arms"]),
        (
            {"paired": [{"epochs": [1, 2], "optimizer.lr": [0.1]}]},
            [
                "grid.yaml: paired[0]: values change together, so their lists must have the same length; "
                "epochs has 2, optimizer.lr has 1"
            ],
        ),
        ({"paired": [{}], "arms": {"a": {"epochs": 2}}}, ["grid.yaml: paired[0]: an empty group; remove it"]),
        (
            {"space": {"epochs": [1]}, "paired": [{"epochs": [2]}, {"epochs": [3]}]},
            [
                "grid.yaml: paired[0].epochs: epochs is already an axis, as space.epochs; keep one of them",
                "grid.yaml: paired[1].epochs: epochs is already an axis, as space.epochs; keep one of them",
            ],
        ),
        (
            {"space": {"epochs": [1]}, "exclude": [{"epoch": 1}, {}]},
            [
                "grid.yaml: exclude[0].epoch: is not a key of space or paired; the keys are epochs",
                "grid.yaml: exclude[1]: an empty entry would exclude every point; remove it",
            ],
        ),
        (
            {"space": {"epochs": [1, 2]}, "exclude": [{"epochs": 3}]},
            ["grid.yaml: exclude[0]: epochs: 3 matches no point; check its values against space and paired"],
        ),
        (
            {"space": {"epochs": [1, 2]}, "exclude": [{"epochs": 1}, {"epochs": 2}]},
            ["grid.yaml: exclude: excludes every point; keep at least one"],
        ),
        (
            {"space": {"seeds": [[0], [1]]}, "arms": {"a": {"label": "b"}}},
            [
                "grid.yaml: space.seeds: seeds repeat a point and are not part of it; set search.seeds",
                "grid.yaml: arms.a.label: points and arms are named by their settings; remove it",
            ],
        ),
        (
            {"space": {"epochs": [1]}, "search": {"seeds": [0, 4], "confirm_seeds": [3, 4]}},
            ["grid.yaml: search.confirm_seeds: seed 4 is a seed of the search; winners are confirmed with fresh seeds"],
        ),
    ],
)
def test_a_sheet_that_cannot_be_meant(parts: Mapping[str, Any], expected: list[str]) -> None:
    assert problems(**parts) == expected


def test_every_invalid_point_is_told_once() -> None:
    found = problems(space={"data.batch_size": [0, 64], "optimizer.lr": [-1, 0.1, 0.2], "optimizer.moment": [0.5]})
    assert len(found) == 3
    batch, lr, moment = (next(p for p in found if p.startswith(f"grid.yaml: {key}: ")) for key in (
        "data.batch_size", "optimizer.lr", "optimizer.moment",
    ))  # fmt: skip
    assert batch.endswith(" (in 3 of 6 points, first in: batch 0 · lr -1 · moment 0.5)")
    assert lr.endswith(" (in 2 of 6 points, first in: batch 0 · lr -1 · moment 0.5)")
    assert moment.endswith(" (in 6 of 6 points, first in: batch 0 · lr -1 · moment 0.5)")


def test_ten_problems_are_shown_and_the_others_counted() -> None:
    found = problems(space={"optimizer.lr": [-float(i) for i in range(1, 14)]})
    assert len(found) == 11
    assert found[-1] == "grid.yaml: and 3 more problems"


def test_a_contradiction_of_some_points_only() -> None:
    found = problems(space={"optimizer.momentum": [0.0, 0.9], "optimizer.nesterov": [False, True]})
    assert len(found) == 1
    assert found[0].startswith("grid.yaml: optimizer.nesterov: nesterov needs momentum above 0")
    assert found[0].endswith("(in 1 of 4 points, first in: momentum 0.0 · nesterov)")


@pytest.mark.slow
def test_more_than_ten_thousand_points_must_be_meant() -> None:
    space = {key: list(range(1, 11)) for key in ("epochs", "a", "b", "c", "d", "e", "f", "g")}
    assert problems(space=space) == ["grid.yaml: 100,000,000 points, more than 10,000; make it smaller, or add --yes"]
    many = sheet(space={"epochs": list(range(1, 10_001))}, arms={"one more": {"data.flip": True}})
    with pytest.raises(SettingsError, match=r"10,001 points, more than 10,000"):
        expand(many, BASE, "grid.yaml")
    assert len(expand(many, BASE, "grid.yaml", allow_large=True).points) == 10_001


# --- search and winners ---------------------------------------------------------------------------------------------


def test_the_search_cuts_a_validation_split_where_there_is_none() -> None:
    search = Search(seeds=(4, 5), confirm_seeds=(7, 8), val_size=1234)
    (point,) = points(space={"data.batch_size": [32]}).points
    searched, confirmed = search_settings(point.settings, search), confirm_settings(point.settings, search)
    assert (searched.data.val_size, searched.seeds) == (1234, (4, 5))
    assert (confirmed.data.val_size, confirmed.seeds) == (0, (7, 8))
    assert searched.label == confirmed.label == "batch 32"
    assert recipe(confirmed) == recipe(point.settings)
    own = points(space={"data.val_size": [500]}).points[0].settings
    assert search_settings(own, search).data.val_size == confirm_settings(own, search).data.val_size == 500


def test_a_validation_split_that_leaves_nothing_is_refused() -> None:
    base = settings_from({"label": "Tiny", "data": {"dataset": "synthetic", "train_size": 300}})
    with pytest.raises(
        SettingsError, match=r"^search of Tiny: data.val_size: 5,000 of 300 training images leave none to train on"
    ):
        search_settings(base, Search(val_size=5_000))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ({"dataset": "cifar10"}, 5_000), ({"dataset": "cifar100"}, 5_000),
        ({"dataset": "synthetic", "train_size": 100_000}, 5_000), ({"dataset": "synthetic", "train_size": 300}, 30),
        ({"dataset": "synthetic", "train_size": 70}, 10), ({"dataset": "synthetic", "val_size": 7}, 7),
    ],
)  # fmt: skip
def test_a_search_sets_a_tenth_aside_where_nothing_is_stated(data: dict[str, Any], size: int) -> None:
    base = settings_from({"label": "x", "data": data})
    search = with_val_size(Search(), base.data, DatasetCatalog())
    assert search_settings(base, search).data.val_size == size


def some_points(count: int) -> tuple[Point, ...]:
    return points(space={"epochs": list(range(1, count + 1))}).points


def ranking(
    accuracies: Mapping[str, list[float | None]], top: int = 10, count: int = 5
) -> list[tuple[int, str, float, int]]:
    ranked = pick_winners(some_points(count), accuracies, top)
    return [(r.rank, r.point.name, r.val_accuracy, r.seeds_searched) for r in ranked]


def test_winners_are_the_best_means() -> None:
    accuracies: dict[str, list[float | None]] = {
        "epochs 1": [0.5, 0.6], "epochs 2": [0.9, 0.3], "epochs 3": [0.7, 0.7], "epochs 4": [0.1, 0.2],
        "epochs 5": [0.6],
    }  # fmt: skip
    assert ranking(accuracies, top=3) == [
        (1, "epochs 3", pytest.approx(0.7), 2),
        (2, "epochs 2", pytest.approx(0.6), 2),
        (3, "epochs 5", pytest.approx(0.6), 1),
    ]


def test_ties_keep_the_order_of_the_sweep() -> None:
    accuracies: dict[str, list[float | None]] = {
        "epochs 4": [0.5, 0.7, 0.1], "epochs 2": [0.1, 0.5, 0.7], "epochs 3": [0.7, 0.1, 0.5], "epochs 1": [0.2],
    }  # fmt: skip
    for order in itertools.permutations(accuracies):
        found = ranking({name: accuracies[name] for name in order})
        assert [name for _, name, _, _ in found] == ["epochs 2", "epochs 3", "epochs 4", "epochs 1"]


def test_diverged_runs_come_last_and_a_point_without_a_finite_result_is_no_winner() -> None:
    found = ranking({
        "epochs 1": [None, None], "epochs 2": [0.9, None], "epochs 3": [0.2, 0.2], "epochs 4": [0.0, 0.0],
        "epochs 5": [None, 0.95],
    })  # fmt: skip
    assert found == [
        (1, "epochs 3", 0.2, 2),
        (2, "epochs 4", 0.0, 2),
        (3, "epochs 5", 0.95, 2),
        (4, "epochs 2", 0.9, 2),
    ]
    assert ranking({"epochs 1": [None], "epochs 2": [None, None]}) == []


def test_a_point_that_was_not_tried_is_not_ranked() -> None:
    assert ranking({"epochs 2": [0.4], "epochs 3": []}) == [(1, "epochs 2", 0.4, 1)]


def test_the_document_is_what_the_report_reads() -> None:
    search = Search(top=2, seeds=(0,), confirm_seeds=(100, 101))
    found = points(space={"data.batch_size": [32, 64, 128]})
    accuracies: dict[str, list[float | None]] = {"batch 32": [0.6], "batch 64": [0.5], "batch 128": [None]}
    ranked = pick_winners(found.points, accuracies, search.top)
    document = winners_document(
        "q8_grid", BASE, search, ranked, points=3, runs=SearchRuns(3, 0, 1), base_val_accuracy=0.5,
        fingerprint="f" * 64, val_size=5_000, plan_sha256="a" * 64,
    )  # fmt: skip
    assert document == {
        "sweep": "q8_grid",
        "plan_sha256": "a" * 64,
        "fingerprint": "f" * 64,
        "search": {"method": "grid", "seeds": [0], "val_size": 5_000},
        "confirm_seeds": [100, 101],
        "points": 3,
        "runs": {"searched": 3, "failed": 0, "diverged": 1},
        "control": {"label": "Baseline", "recipe": recipe(BASE), "val_accuracy": 0.5},
        "winners": [
            {
                "rank": 1,
                "label": "batch 32",
                "recipe": {**recipe(BASE), "data": {"batch_size": 32}},
                "values": {"data.batch_size": 32},
                "val_accuracy": 0.6,
                "seeds_searched": 1,
            },
            {
                "rank": 2,
                "label": "batch 64",
                "recipe": recipe(BASE),
                "values": {"data.batch_size": 64},
                "val_accuracy": 0.5,
                "seeds_searched": 1,
            },
        ],
    }
    read = Winners.model_validate_json(json.dumps(document, allow_nan=False))
    assert [winner.label for winner in read.top] == ["batch 32", "batch 64"]
    assert read.control.recipe == read.top[1].recipe


def test_no_torch_is_imported() -> None:
    code = "import sys, cifar_lab.studies.space.methods, cifar_lab.studies.space.winners; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
