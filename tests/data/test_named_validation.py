"""Validation images that a file names: forms of the file, and each way in which its indices are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.data import named_indices


def save_json(path: Path) -> None:
    path.write_text(json.dumps([7, 3, 5]))


def save_object(path: Path) -> None:
    path.write_text(json.dumps({"train": [0, 1], "val": [7, 3, 5]}))


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", text("7\n3\n5\n")),
        ("a.txt", text("\ufeff# of another project\n7\r\n\r\n 3 \n5  # the last\n")),
        ("no_suffix", text("7\n3\n5")),
        ("a.csv", text("index\n7\n3\n5\n")),
        ("a.csv", text("image;val_index;label\na.png;7;cat\nb.png;3;dog\nc.png;5;dog\n")),
        ("a.csv", text('"index"\n"7"\n"3"\n"5"\n')),
        ("a.json", save_json),
        ("a.json", save_object),
        ("a.npy", lambda path: np.save(path, np.array([7, 3, 5]))),
        ("a.npy", lambda path: np.save(path, np.array([[7.0], [3.0], [5.0]]))),
        ("a.txt", lambda path: np.savetxt(path, np.array([7, 3, 5]))),
    ],
)
def test_forms_of_the_file(name: str, write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / name)
    assert named_indices(str(tmp_path / name), 8).tolist() == [3, 5, 7]


@pytest.mark.parametrize(
    ("name", "write", "lines"),
    [
        (
            "a.txt",
            text("1\nx\n1\n8\n-1\n2.5\n"),
            [
                "{path}:2: data.val_indices: 'x' is not the index of an image",
                "{path}:3: data.val_indices: index 1 is stated twice, first in {path}:1",
                "{path}:4: data.val_indices: index 8 is out of range; the 8 training images have the indices 0 to 7",
                "{path}:5: data.val_indices: index -1 is out of range; the 8 training images have the indices 0 to 7",
                "{path}:6: data.val_indices: '2.5' is not the index of an image",
            ],
        ),
        ("a.txt", text(""), ["{path}: data.val_indices: the file has no index; write one per line"]),
        (
            "a.txt",
            text("".join(f"{index}\n" for index in range(8))),
            ["{path}: data.val_indices: the file names all 8 training images; leave some to train on"],
        ),
        (
            "a.txt",
            text("1 2 3\n"),
            ["{path}:1: data.val_indices: several values in a line; write one index per line"],
        ),
        (
            "a.csv",
            text("file,label\na.png,1\n"),
            ["{path}: data.val_indices: no column is called index; the columns are file, label"],
        ),
        (
            "a.npy",
            lambda path: np.save(path, np.array([3, 9])),
            [
                "{path}: item 2: data.val_indices: index 9 is out of range; the 8 training images have the indices 0 "
                "to 7"
            ],
        ),
        (
            "a.npy",
            lambda path: np.save(path, np.zeros(8, bool)),
            ["{path}: data.val_indices: holds true and false; save numpy.flatnonzero of it"],
        ),
        ("a.npy", text("x"), ["{path}: data.val_indices: cannot be read as an array (EOF: reading magic string, "
                              "expected 8 bytes got 1)"]),
        (
            "a.json",
            text('{"train": [1]}'),
            ["{path}: data.val_indices: has no list of indices; save [0, 5, …], or an object with the key val"],
        ),
        (
            "a.pt",
            lambda path: path.write_bytes(b"PK\3\4\0\0"),
            ["{path}: data.val_indices: is not a text file; save the indices as .txt, .csv, .json or .npy"],
        ),
    ],
)  # fmt: skip
def test_indices_that_cannot_be_used(
    name: str, write: Callable[[Path], object], lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(SettingsError) as caught:
        named_indices(str(path), 8)
    assert str(caught.value).splitlines() == [line.format(path=path) for line in lines]


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1\n" + "x\n" * 200)
    with pytest.raises(SettingsError) as caught:
        named_indices(str(path), 8)
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"{path}: data.val_indices: 190 more problems like these"


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read \\(No such file or directory\\); check the path"):
        named_indices(str(tmp_path / "none.txt"), 8)
