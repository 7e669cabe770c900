"""The made-up images."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cifar_lab.config import Synthetic
from cifar_lab.data.splits import fingerprint, silent
from cifar_lab.data.synthetic import SyntheticSource


def draw(**options):
    return SyntheticSource(Synthetic(dataset="synthetic", **options)).read(silent)


def test_fingerprint_of_a_seed_on_every_machine():
    known = "cc218e20f3641d3e9323537d00c145a76bd554942ad3fed46c4f6ae5aa457119"
    assert fingerprint(draw(train_size=40, test_size=30)) == known


def test_six_thousand_images_within_seconds():
    started = time.perf_counter()
    drawn = draw()
    assert time.perf_counter() - started < 5  # 0.4 s on one idle core
    assert (drawn.train.images.shape, drawn.test.images.shape) == ((5000, 3, 32, 32), (1000, 3, 32, 32))


@pytest.mark.parametrize("size", [10, 500, 1003])
def test_classes_are_balanced_at_any_size(size):
    counts = np.bincount(draw(train_size=size, test_size=10).train.labels, minlength=10)
    assert counts.sum() == size
    assert counts.max() - counts.min() <= 1


def test_a_larger_set_begins_with_the_smaller_one():
    small, large = draw(train_size=330, test_size=10), draw(train_size=1200, test_size=10)
    np.testing.assert_array_equal(large.train.images[:330], small.train.images)
    np.testing.assert_array_equal(large.train.labels[:330], small.train.labels)


def test_no_test_image_is_a_training_image():
    drawn = draw(train_size=500, test_size=500)
    assert not {i.tobytes() for i in drawn.train.images} & {i.tobytes() for i in drawn.test.images}


def test_settings_that_change_the_images():
    base = fingerprint(draw(train_size=20, test_size=20))
    assert fingerprint(draw(train_size=20, test_size=20, data_seed=1)) != base
    assert fingerprint(draw(train_size=20, test_size=20, difficulty=0.6)) != base


def test_harder_images_tell_less_about_their_class():
    """To a nearest-mean classifier of coarse colour: from well over chance down to chance."""
    shares = [nearest_mean_accuracy(draw(train_size=3000, test_size=1000, difficulty=d)) for d in (0.0, 0.4, 0.7, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.35
    assert 0.07 < shares[-1] < 0.14


def nearest_mean_accuracy(drawn) -> float:
    def features(split):  # mean colour of each quarter of the image, less the whole's brightness
        blocks = split.images.reshape(-1, 3, 2, 16, 2, 16).mean(axis=(3, 5)).reshape(len(split.labels), -1)
        return blocks - blocks.mean(axis=1, keepdims=True)

    train, test = features(drawn.train), features(drawn.test)
    means = np.stack([train[drawn.train.labels == label].mean(axis=0) for label in range(10)])
    nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return float((nearest == drawn.test.labels).mean())
