"""Images sent to another machine: found by fingerprint, whatever they are called there; damage is never kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cifar_lab import data
from cifar_lab.config import Synthetic
from cifar_lab.core.errors import DataError
from cifar_lab.data import cache, shipping

SOURCE = Synthetic(dataset="synthetic", train_size=60, test_size=30)


@pytest.fixture
def cargo() -> shipping.Cargo:
    return shipping.pack(SOURCE, data.prepare(SOURCE).fingerprint)


def test_a_machine_without_the_images_keeps_and_then_finds_them(
    cargo: shipping.Cargo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, into, wanted = tmp_path / "home", tmp_path / "work", cargo.info.fingerprint
    assert not shipping.link(SOURCE, wanted, home, into)
    shipping.keep(cargo, home)
    shipping.keep(cargo, home)
    assert shipping.link(SOURCE, wanted, home, into)
    assert shipping.link(SOURCE, wanted, home, into)
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(into))
    assert data.prepare(SOURCE, fingerprint=wanted) == cargo.info
    assert np.array_equal(data.load_train(SOURCE, wanted).images, cargo.train.images)
    assert np.array_equal(data.load_test(SOURCE, wanted).labels, cargo.test.labels)
    assert [path.name for path in home.iterdir()] == ["shipped"]


def test_a_machine_that_has_the_images_needs_none(cargo: shipping.Cargo, tmp_path: Path) -> None:
    home = cache.home()
    assert shipping.link(SOURCE, cargo.info.fingerprint, home, tmp_path)
    assert (tmp_path / data.folder_name(SOURCE)).resolve() == home / data.folder_name(SOURCE)
    assert not shipping.link(SOURCE, "0" * 64, home, tmp_path)


def test_kept_images_that_were_damaged_are_kept_anew(cargo: shipping.Cargo, tmp_path: Path) -> None:
    wanted = cargo.info.fingerprint
    shipping.keep(cargo, tmp_path)
    (images,) = tmp_path.glob("shipped/*/train_images.npy")
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not shipping.link(SOURCE, wanted, tmp_path, tmp_path / "work")
    shipping.keep(cargo, tmp_path)
    assert shipping.link(SOURCE, wanted, tmp_path, tmp_path / "work")


def test_images_that_are_not_those_of_their_fingerprint_are_refused(cargo: shipping.Cargo, tmp_path: Path) -> None:
    other = replace(cargo, train=replace(cargo.train, labels=cargo.train.labels[::-1].copy()))
    with pytest.raises(DataError, match="arrived damaged"):
        shipping.keep(other, tmp_path)
    assert list(tmp_path.glob("shipped/*/")) == []


def test_images_are_known_by_their_fingerprint_whatever_became_of_their_source() -> None:
    """A run is for certain images; that its folder has other ones by now is for the next command to find."""
    wanted = data.prepare(SOURCE).fingerprint
    assert data.known(SOURCE, wanted) == data.known(SOURCE)
    assert data.known(SOURCE, "0" * 64) is None
