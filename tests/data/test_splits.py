"""The validation split."""

from __future__ import annotations

import numpy as np
import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.data import split_hash, validation_split


def uneven_labels() -> np.ndarray:
    return np.repeat(np.arange(4), [50, 31, 17, 9])[np.arange(107) * 41 % 107]


def test_the_two_parts_are_sorted_and_make_up_the_whole():
    train, val = validation_split(uneven_labels(), 23, 0)
    assert (train.dtype, val.dtype) == (np.int64, np.int64)
    assert (len(train), len(val)) == (84, 23)
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(val) > 0)
    assert sorted([*train, *val]) == list(range(107))


def test_classes_keep_their_shares_by_largest_remainder():
    labels = uneven_labels()
    _, val = validation_split(labels, 23, 0)
    # 23 · (50, 31, 17, 9) / 107 = 10.75, 6.66, 3.65, 1.93: 10 + 6 + 3 + 1 = 20, and 3 go to the largest remainders
    assert np.bincount(labels[val]).tolist() == [11, 7, 3, 2]


def test_cifar_sized_split_takes_the_same_from_each_class():
    labels = np.arange(50_000) % 10
    _, val = validation_split(labels, 5_000, 0)
    assert np.bincount(labels[val]).tolist() == [500] * 10


def test_known_split_of_a_seed():
    labels = uneven_labels()
    assert validation_split(labels, 6, 0)[1].tolist() == [2, 3, 11, 20, 59, 92]
    assert split_hash(validation_split(labels, 6, 0)[1]) == (
        "64d214e41687df50746d0fc71e00ae4854d58f939b925107ddba893cbf757242"
    )


def test_another_seed_cuts_others():
    labels = uneven_labels()
    assert validation_split(labels, 23, 1)[1].tolist() != validation_split(labels, 23, 2)[1].tolist()


def test_a_larger_split_holds_the_smaller_one():
    labels = np.arange(200) % 10
    small, large = validation_split(labels, 20, 4)[1], validation_split(labels, 40, 4)[1]
    assert set(small) < set(large)


def test_no_validation_split():
    train, val = validation_split(uneven_labels(), 0, 0)
    assert train.tolist() == list(range(107))
    assert val.tolist() == []


def test_copies_of_an_image_stay_in_the_training_part():
    labels = np.arange(60) % 3
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    plain = validation_split(labels, 30, 0)[1]
    assert validation_split(labels, 30, 0, images)[1].tolist() == plain.tolist()
    copied = plain[:5]
    images[(copied + 7) % 60] = images[copied]  # also into other classes
    train, val = validation_split(labels, 30, 0, images)
    assert len(val) == 30
    assert not {images[i].tobytes() for i in val} & {images[i].tobytes() for i in train}


@pytest.mark.parametrize(
    ("val_size", "message"),
    [
        (107, "data.val_size: 107 of 107 training images leave none to train on; the largest size that works is 100"),
        (
            5_000,
            "data.val_size: 5,000 of 107 training images leave none to train on; the largest size that works is 100",
        ),
        (106, "data.val_size: 106 takes all 31 training images of class 1; the largest size that works is 100"),
        (-1, "data.val_size: -1 is below 0"),
    ],
)
def test_too_many(val_size, message):
    with pytest.raises(SettingsError) as caught:
        validation_split(uneven_labels(), val_size, 0)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_too_few_images_without_a_copy():
    images = np.zeros((20, 3, 32, 32), np.uint8)
    with pytest.raises(SettingsError) as caught:
        validation_split(np.arange(20) % 2, 4, 0, images)
    assert (
        str(caught.value)
        == "data.val_size: class 0 has 0 images without a duplicate, 2 are needed; no size works; remove it"
    )
