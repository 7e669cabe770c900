"""Few training images per class: a choice that larger numbers add to, beside whole test images."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from cifar_lab import data
from cifar_lab.config import Cifar10, Cifar100, Synthetic
from cifar_lab.data.fewer_images import chosen_images, fewer_counts
from cifar_lab.data.splits import ListedCounts

WHOLE = Synthetic(dataset="synthetic", train_size=80, test_size=30)


def few(number: int, **own: Any) -> Synthetic:
    return WHOLE.model_copy(update={"images_per_class": number, **own})


def test_so_many_images_of_each_class_in_the_order_of_the_data_set() -> None:
    whole, ours = data.load_train(WHOLE), data.load_train(few(3))
    assert np.bincount(ours.labels).tolist() == [3] * 10
    kept = chosen_images(whole.labels, 3)
    assert np.array_equal(ours.images, whole.images[kept])
    assert np.array_equal(ours.labels, whole.labels[kept])
    assert np.array_equal(data.load_test(few(3)).images, data.load_test(WHOLE).images)
    assert data.prepare(few(3)).fingerprint != data.prepare(WHOLE).fingerprint


def test_a_larger_number_adds_to_the_choice_and_every_image_is_enough() -> None:
    labels = np.random.default_rng(1).integers(0, 4, 200)
    chosen = [set(chosen_images(labels, number).tolist()) for number in (1, 5, 20, 200)]
    assert all(small < large for small, large in pairwise(chosen))
    assert len(chosen[0]) == 4
    assert chosen[3] == set(range(200))


def test_the_choice_of_a_class_does_not_depend_on_the_others() -> None:
    names = data.prepare(WHOLE).classes
    pair = data.load_train(few(4, classes=(names[2], names[5])))
    every = data.load_train(few(4))
    assert np.array_equal(pair.images, every.images[np.isin(every.labels, (2, 5))])


def test_the_choice_is_the_same_for_ever() -> None:
    labels = np.repeat(np.arange(2), 10)
    assert chosen_images(labels, 3).tolist() == [1, 2, 3, 11, 12, 13]


def test_counts_are_known_before_the_images_are_read() -> None:
    assert Cifar10(images_per_class=100).sizes() == (1_000, 10_000, 10)
    assert Cifar10(images_per_class=100, classes=("cat", "dog")).sizes() == (200, 2_000, 2)
    assert Cifar100(dataset="cifar100", images_per_class=900).sizes() == (50_000, 10_000, 100)
    assert few(3).sizes() is None
    listed = ListedCounts(("ant", "bee"), (3, 9))
    assert fewer_counts(listed, few(5)) == ListedCounts(("ant", "bee"), (3, 5))
    assert fewer_counts(ListedCounts(("ant", "bee"), (3, 9), own_val=2), few(5)) is None


def test_the_validation_split_is_cut_from_the_chosen_images(lab: Any) -> None:
    jobs = [lab.job(lab.settings("data.images_per_class=12", f"data.val_size={size}")) for size in (0, 20)]
    assert len({lab.job(lab.settings()).run_id, *(job.run_id for job in jobs)}) == 3
    record = lab.make(jobs[1])
    assert record.data.train_size + record.data.val_size == 120
