"""Folders and files that another user could change, part by part of their path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.core.private_folders import exposed_part, is_private

ANOTHER_USER = 54321

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "a" / "b" / "c"
    path.mkdir(parents=True)
    return path


def test_a_private_folder(deep: Path) -> None:
    assert exposed_part(deep) is None
    assert exposed_part(deep / "not" / "there") is None
    assert is_private(deep.stat())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o775, 0o757, 0o720])
@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_part_that_others_can_write(mode: int, above: int, deep: Path) -> None:
    part = (deep, *deep.parents)[above]
    part.chmod(mode)
    assert exposed_part(deep) == part


def test_a_sticky_folder_keeps_the_entries_of_their_owner(deep: Path) -> None:
    deep.parent.chmod(0o1777)
    assert exposed_part(deep) is None
    deep.chmod(0o1777)
    assert exposed_part(deep) == deep, "others may make a file there"
    assert exposed_part(deep, is_sticky_enough=True) is None


@as_root
@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_part_of_another_user(above: int, deep: Path) -> None:
    part = (deep, *deep.parents)[above]
    os.chown(part, ANOTHER_USER, -1)
    assert exposed_part(deep) == part


@as_root
def test_an_entry_of_another_user_in_a_sticky_folder(deep: Path) -> None:
    deep.parent.chmod(0o1777)
    os.chown(deep, ANOTHER_USER, -1)
    assert exposed_part(deep) == deep


@pytest.mark.parametrize("target", [lambda deep: deep, lambda deep: Path("b") / ".." / "b" / "c"])
def test_links_are_followed_part_by_part(target: Callable[[Path], Path], deep: Path) -> None:
    link = deep.parents[1] / "link"
    link.symlink_to(target(deep))
    assert exposed_part(link) is None
    deep.parent.chmod(0o777)
    assert exposed_part(link) == deep.parent


def test_a_link_in_a_folder_of_others(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link").symlink_to(deep)
    (tmp_path / "open").chmod(0o777)
    assert exposed_part(tmp_path / "open" / "link") == tmp_path.resolve() / "open"


@as_root
def test_a_link_of_another_user_in_a_sticky_folder(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    link = tmp_path / "open" / "link"
    link.symlink_to(deep)
    assert exposed_part(link) is None
    os.lchown(link, ANOTHER_USER, -1)
    assert exposed_part(link) == link


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(OSError, match="Too many levels"):
        exposed_part(tmp_path / "one")
