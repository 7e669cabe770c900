from __future__ import annotations

from collections.abc import Callable

import pytest

from cifar_lab.analysis.data_choice import DataChoice, NamedData, choose_data, data_sets
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def records(make_record: MakeRecord) -> list[Record]:
    return [
        make_record(0.5, 0, data="synthetic", classes=4),
        *(make_record(0.5, seed) for seed in range(2)),
        *(make_record(0.5, seed, data="imagefolder", images="1") for seed in range(3)),
        make_record(0.5, 0, data="imagefolder", images="2"),
    ]


def test_data_sets_are_counted_and_sized(records: list[Record]) -> None:
    found = data_sets(records)
    assert [(each.name, each.runs) for each in found] == [
        ("imagefolder", 3), ("cifar10", 2), ("imagefolder", 1), ("synthetic", 1),
    ]  # fmt: skip
    assert (found[0].train_size, found[0].test_size) == (50_000, 10_000)
    assert (found[3].chance, found[3].is_synthetic, found[3].title) == (0.25, True, "synthetic data")
    assert found[1].title == "CIFAR-10"
    assert found[0].title != found[2].title


def test_the_control_means_images_not_a_name(records: list[Record]) -> None:
    found = data_sets(records)
    fewer = NamedData("imagefolder", frozenset({found[2].fingerprint}))
    assert choose_data(found, None, fewer) == DataChoice(found[2])
    assert choose_data(found, None, NamedData("cifar10", frozenset({found[1].fingerprint}))) == DataChoice(found[1])


def test_without_its_images_the_control_s_name_else_the_most_runs_and_it_is_said(records: list[Record]) -> None:
    found = data_sets(records)
    assert choose_data(found, None, NamedData("cifar10")) == DataChoice(
        found[1], "The control names images without runs here; these have the most of the runs on cifar10."
    )
    assert choose_data(found, None, NamedData("cifar100", frozenset({"f"}))) == DataChoice(
        found[0], "The control names images without runs here; these have the most of all runs."
    )
    assert choose_data([], None, NamedData("cifar10")) == DataChoice(None)


def test_images_that_an_option_names_are_never_replaced_by_others(records: list[Record]) -> None:
    found = data_sets(records[:3])
    cifar10, synthetic = (each.fingerprint[:8] for each in found)
    with pytest.raises(SettingsError) as refused:
        choose_data(found, None, NamedData("synthetic", frozenset({"f"}), "--set data.difficulty=0.9"))
    assert str(refused.value) == (
        "--set data.difficulty=0.9: no runs of these arms on these images; "
        f"there are runs on: cifar10 ({cifar10}, 2 runs), synthetic ({synthetic}, 1 run)"
    )


def test_a_name_or_a_fingerprint_chooses(records: list[Record]) -> None:
    found = data_sets(records)
    assert choose_data(found, "synthetic", NamedData("cifar10")) == DataChoice(found[3])
    assert choose_data(found, found[2].fingerprint[:40], NamedData("cifar10")) == DataChoice(found[2])
    mine = NamedData("imagefolder", frozenset({found[2].fingerprint}))
    assert choose_data(found, "imagefolder", mine) == DataChoice(found[2])
    with pytest.raises(
        SettingsError,
        match=r"^--data imagefolder: several data sets have this name; give the first digits of a fingerprint: ",
    ):
        choose_data(found, "imagefolder", NamedData("cifar10"))


def test_an_unknown_name_lists_what_there_is(records: list[Record]) -> None:
    found = data_sets(records[:3])
    with pytest.raises(SettingsError) as refused:
        choose_data(found, "svhn", NamedData("cifar10"))
    cifar10, synthetic = (each.fingerprint[:8] for each in found)
    assert str(refused.value) == (
        "--data svhn: no runs of these arms on these images; "
        f"there are runs on: cifar10 ({cifar10}, 2 runs), synthetic ({synthetic}, 1 run)"
    )
    with pytest.raises(SettingsError, match="these arms have no runs yet"):
        choose_data([], "cifar10", NamedData("cifar10"))


def test_images_of_set_without_any_run_are_no_mistake() -> None:
    asked = NamedData("imagefolder", asked="--set data.root=images.zip")
    assert choose_data([], None, asked) == DataChoice(None)
