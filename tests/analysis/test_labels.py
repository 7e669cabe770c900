"""Labels of arms in one table."""

from __future__ import annotations

from cifar_lab.analysis.labels import LabelledArm, distinct_labels, labelled
from cifar_lab.config import SGD, Adam, Settings


def labels(*settings: Settings) -> list[str]:
    return distinct_labels([labelled(each) for each in settings])


def test_different_labels_stay_as_they_are() -> None:
    assert labels(Settings(label="a"), Settings(label="b", epochs=2)) == ["a", "b"]


def test_the_arm_with_most_defaults_keeps_a_shared_label() -> None:
    short = Settings(label="a", epochs=2)
    assert labels(short, Settings(label="a")) == ["a (epochs=2)", "a"]


def test_equal_arms_share_their_label() -> None:
    assert labels(Settings(label="a"), Settings(label="a", seeds=(7,))) == ["a", "a"]


def test_every_setting_that_differs_is_named() -> None:
    tuned = Settings(label="a", epochs=2, optimizer=SGD(lr=0.1))
    adam = Settings(label="a", optimizer=Adam(name="adam"))
    assert labels(Settings(label="a"), tuned, adam) == [
        "a",
        "a (epochs=2, optimizer.lr=0.1)",
        "a (optimizer.name=adam)",
    ]


def test_images_tell_arms_with_the_same_settings_apart() -> None:
    first = LabelledArm("a", {}, {}, "cifar10", "ff")
    assert distinct_labels([first, LabelledArm("a", {}, {}, "synthetic", "ee")]) == ["a", "a (synthetic)"]
    assert distinct_labels([first, LabelledArm("a", {}, {}, "cifar10", "0123456789")]) == ["a", "a (01234567)"]


def test_a_label_that_another_arm_has_is_not_given() -> None:
    taken = Settings(label="a (epochs=2)", epochs=5)
    found = labels(Settings(label="a"), Settings(label="a", epochs=2), taken)
    assert len(set(found)) == 3
