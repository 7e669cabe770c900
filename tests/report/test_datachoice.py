from __future__ import annotations

from collections.abc import Callable

import pytest

from cifar_lab.errors import SettingsError
from cifar_lab.records import Record
from cifar_lab.report.datachoice import choose_data, data_sets

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


def test_the_control_names_the_data_set_else_the_most_runs(records: list[Record]) -> None:
    found = data_sets(records)
    assert choose_data(found, None, "cifar10") == found[1]
    assert choose_data(found, None, "cifar100") == found[0]
    assert choose_data(found[3:], None, "cifar10") == found[3]
    assert choose_data([], None, "cifar10") is None


def test_a_name_or_a_fingerprint_chooses(records: list[Record]) -> None:
    found = data_sets(records)
    assert choose_data(found, "synthetic", "cifar10") == found[3]
    assert choose_data(found, "imagefolder") == found[0]
    assert choose_data(found, found[2].fingerprint[:40]) == found[2]


def test_an_unknown_name_lists_what_there_is(records: list[Record]) -> None:
    found = data_sets(records[:3])
    with pytest.raises(SettingsError) as refused:
        choose_data(found, "svhn")
    cifar10, synthetic = (each.fingerprint[:8] for each in found)
    assert str(refused.value) == (
        "--data svhn: no runs of these arms on it; "
        f"there are: cifar10 ({cifar10}, 2 runs), synthetic ({synthetic}, 1 run)"
    )
    with pytest.raises(SettingsError, match="there are: no runs at all"):
        choose_data([], "cifar10")
