"""Some classes of a data set: their images in order, with new numbers, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_lab import data
from cifar_lab.config import Cifar10, Cifar100, ImageFolder, Synthetic
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.imagefolder import ImageFolderSource
from cifar_lab.data.splits import ListedCounts

from .conftest import draw_folder

WHOLE = Synthetic(dataset="synthetic", train_size=60, test_size=30)


def part(*classes: str) -> Synthetic:
    return Synthetic.model_validate({**WHOLE.model_dump(), "classes": classes})


def test_the_images_of_the_classes_in_their_order() -> None:
    names = data.prepare(WHOLE).classes
    chosen = part(names[7], names[2], names[7])
    info = data.prepare(chosen)
    assert info.classes == (names[2], names[7])
    for load in (data.load_train, data.load_test):
        whole, ours = load(WHOLE), load(chosen)
        kept = np.isin(whole.labels, (2, 7))
        assert np.array_equal(ours.images, whole.images[kept])
        assert np.array_equal(ours.labels, (whole.labels[kept] == 7).astype(np.int64))
    assert info.fingerprint != data.prepare(WHOLE).fingerprint
    assert info.fingerprint == data.prepare(part(names[2], names[7])).fingerprint


def test_a_class_that_is_not_there_is_named() -> None:
    first = data.prepare(WHOLE).classes[0]
    with pytest.raises(SettingsError, match=f"data.classes: there is no class {first}x; did you mean {first}?"):
        data.prepare(part(first, f"{first}x"))


def test_counts_follow_from_the_number_of_classes() -> None:
    assert Cifar10(classes=("cat", "dog", "frog")).sizes() == (15_000, 3_000, 3)
    assert Cifar100(dataset="cifar100", classes=("apple", "bee")).sizes() == (1_000, 200, 2)
    assert part("a", "b").sizes() is None


def test_counts_of_a_folder_that_is_not_decoded() -> None:
    from cifar_lab.data.chosen_classes import chosen_counts

    counts = ListedCounts(("ant", "bee", "cow"), (3, 4, 5))
    assert chosen_counts(counts, ("cow", "ant")) == ListedCounts(("ant", "cow"), (3, 5))


def test_a_run_on_some_classes_has_another_id_and_as_many_logits(lab: Any) -> None:
    names = data.prepare(lab.settings().data).classes
    jobs = [lab.job(lab.settings(*own)) for own in ((), (f"data.classes=[{names[1]},{names[4]}]",))]
    assert jobs[0].run_id != jobs[1].run_id
    record = lab.make(jobs[1])
    assert record.data.classes == (names[1], names[4])
    assert len(record.test.per_class) == 2


def test_images_are_decoded_once_for_every_choice_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    root = draw_folder(tmp_path / "images", classes=("ant", "bee", "cow", "dog"))
    read = ImageFolderSource.read
    times: list[int] = []
    monkeypatch.setattr(ImageFolderSource, "read", lambda own, progress: (times.append(1), read(own, progress))[1])
    whole = ImageFolder(dataset="imagefolder", root=str(root))
    first, second = (whole.model_copy(update={"classes": names}) for names in (("ant", "bee"), ("cow", "dog")))
    assert data.prepare(first).classes == ("ant", "bee")
    info = data.prepare(second)
    assert info.classes == ("cow", "dog")
    assert times == [1]
    images = data.load_train(whole)
    assert times == [1]
    chosen = data.load_train(second, info.fingerprint)
    assert np.array_equal(chosen.images, images.images[images.labels >= 2])
    (tmp_path / "images" / "pics" / "train" / "cow" / "extra.png").write_bytes(
        next((tmp_path / "images" / "pics" / "train" / "cow").iterdir()).read_bytes()
    )
    assert data.prepare(second).train_size == info.train_size + 1
    assert times == [1, 1]
