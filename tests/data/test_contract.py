"""What every data set keeps to."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from cifar_lab import data as images
from cifar_lab.core.errors import DataError
from cifar_lab.data import DATASETS, cache
from cifar_lab.data.splits import Source


def test_every_choice_of_the_settings_has_a_data_set():
    from cifar_lab.config.registry import SECTION_CHOICES

    assert set(DATASETS) == set(SECTION_CHOICES["data"][1])


def test_splits_are_what_the_facts_say(example):
    info = images.prepare(example.data)
    assert info.name == example.data.dataset
    assert info.synthetic == (info.name == "synthetic")
    for split, size in (
        (images.load_train(example.data), info.train_size),
        (images.load_test(example.data), info.test_size),
    ):
        assert split.images.dtype == np.uint8
        assert split.images.shape == (size, 3, 32, 32)
        assert split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64
        assert split.labels.shape == (size,)
        assert split.labels.min() >= 0
        assert split.labels.max() < len(info.classes)
        assert len(set(info.classes)) == len(info.classes)


def test_channel_statistics_are_those_of_the_training_pixels(example):
    info = images.prepare(example.data)
    pixels = images.load_train(example.data).images.astype(np.float64) / 255
    np.testing.assert_allclose(info.channel_mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(info.channel_std, pixels.std(axis=(0, 2, 3)), rtol=1e-10)


def test_fingerprint_is_a_hash_of_classes_images_and_labels(example):
    info = images.prepare(example.data)
    train, test = images.load_train(example.data), images.load_test(example.data)
    head = {"classes": info.classes, "test": len(test.labels), "train": len(train.labels)}
    content = json.dumps(head).encode()
    for split in (train, test):
        content += split.images.tobytes() + split.labels.tobytes()
    assert info.fingerprint == hashlib.sha256(content).hexdigest()


def test_made_twice_it_is_the_same(example, cache_home):
    first = images.prepare(example.data), images.load_train(example.data), images.load_test(example.data)
    shutil.rmtree(cache_home)
    second = images.prepare(example.data), images.load_train(example.data), images.load_test(example.data)
    assert first[0] == second[0]
    for one, other in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_unknown_before_and_known_after(example):
    assert images.known(example.data) is None
    info = images.prepare(example.data)
    assert images.known(example.data) == info


def test_a_good_cache_needs_neither_source_nor_network(example, monkeypatch):
    info = images.prepare(example.data)
    train, test = images.load_train(example.data), images.load_test(example.data)
    example.remove_source()

    def refuse(*args, **kwargs):
        raise AssertionError("read again")

    monkeypatch.setattr(DATASETS[example.data.dataset], "read", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    started = time.perf_counter()
    assert images.known(example.data) == info
    assert time.perf_counter() - started < 0.1
    assert images.prepare(example.data) == info
    np.testing.assert_array_equal(images.load_train(example.data, info.fingerprint).images, train.images)
    np.testing.assert_array_equal(images.load_test(example.data, info.fingerprint).images, test.images)


def test_preparing_twice_writes_nothing(example, cache_home):
    images.prepare(example.data)
    before = _state(cache_home)
    images.prepare(example.data)
    images.load_train(example.data)
    assert _state(cache_home) == before


def test_progress_counts_up_to_its_total(example):
    calls = []
    images.prepare(example.data, lambda what, done, total: calls.append((what, done, total)))
    assert calls
    assert all(what and done >= 0 and (done <= total or total == 0) for what, done, total in calls)
    for what in {what for what, _, _ in calls}:
        counts = [done for name, done, _ in calls if name == what]
        assert counts == sorted(counts)


def test_training_images_are_read_without_the_test_file(example, caplog):
    info = images.prepare(example.data)
    folder = _folder(example.data)
    for name in ("test_images.npy", "test_labels.npy"):
        (folder / name).write_bytes(b"\0" * (folder / name).stat().st_size)
    train = images.load_train(example.data, info.fingerprint)
    assert len(train.labels) == info.train_size
    assert caplog.records == []
    assert (folder / "test_images.npy").read_bytes().strip(b"\0") == b""


def test_another_fingerprint_is_refused(example):
    info = images.prepare(example.data)
    with pytest.raises(DataError) as caught:
        images.load_test(example.data, "0" * 64)
    assert str(caught.value) == (
        f"{info.name}: the images changed (fingerprint {info.fingerprint[:16]}, expected 0000000000000000); "
        "run again to train on the new ones"
    )


def _folder(data) -> Path:
    source: Source = DATASETS[data.dataset](data)
    return cache.folder_of(source)


def _state(home: Path) -> list[tuple[str, int, int]]:
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(home.rglob("*"))]
