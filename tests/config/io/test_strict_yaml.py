"""Bytes to trees: scalars, encodings, sizes, places; any bytes give Settings or SettingsError."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.strict_yaml import parse
from cifar_lab.config.io.tree import as_number, plain, resolve, walk
from cifar_lab.config.io.yaml_files import MAX_BYTES
from cifar_lab.core.errors import Problem, SettingsError

MEANS: list[tuple[str, Any]] = [
    ("1e-3", 0.001), ("1E5", 100000.0), ("1.", 1.0), (".5", 0.5), ("-2.5e+3", -2500.0), ("+3", 3), ("-0", 0),
    ("0.001", 0.001), ("9223372036854775807", 2**63 - 1),
    ("true", True), ("True", True), ("FALSE", False), ("null", None), ("~", None), ("", None),
    ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("none", "none"), ("tRue", "tRue"),
    ("0123", "0123"), ("0o17", "0o17"), ("0x1F", "0x1F"), ("0b1", "0b1"), ("1:30", "1:30"), ("1_000", "1_000"),
    ("2024-01-05", "2024-01-05"), ("1,5", "1,5"), ("nan", "nan"), ("inf", "inf"), ("1e", "1e"), ("e3", "e3"),
    ("-", "-"), (".", "."), ("=", "="), ("1e-3x", "1e-3x"), ("１２", "１２"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), MEANS)
def test_plain_scalars(text: str, value: Any) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_quoted_scalars_are_text() -> None:
    tree = parse("a: '1'\nb: \"true\"\nc: |\n  3\nd: ''\n", "x.yaml")
    assert plain(tree.root) == {"a": "1", "b": "true", "c": "3\n", "d": ""}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1_000", "1000"), ("0123", "123"), ("1,5", "1.5"), ("1,000", "1000"), ("' 3 '", ""), ("x", ""), ("true", "")],
)
def test_numbers_that_a_person_meant(text: str, number: str) -> None:
    assert as_number(text) == number


def test_every_value_knows_its_place() -> None:
    text = "# first\nlabel: x\ndata:\n  flip: true\n\n  batch_size: 8\nseeds:\n  - 1\n  - 2\n"
    text += "model: {name: Net,\n  weights: w}\n"
    places = {key: (node.at.line, node.at.column) for key, node in walk(parse(text, "x.yaml").root)}
    assert places == {
        "": (2, 1), "label": (2, 8), "data": (4, 3), "data.flip": (4, 9), "data.batch_size": (6, 15),
        "seeds": (8, 3), "seeds[0]": (8, 5), "seeds[1]": (9, 5),
        "model": (10, 8), "model.name": (10, 15), "model.weights": (11, 12),
    }  # fmt: skip
    keys = {key: node.spot.line for key, node in walk(parse(text, "x.yaml").root)}
    assert keys["data"] == 3
    assert keys["seeds"] == 7


def load(content: bytes, folder: Path) -> Settings:
    (folder / "x.yaml").write_bytes(content)
    return load_settings(folder / "x.yaml")


def message(content: bytes, folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(content, folder)
    return str(caught.value).replace(str(folder / "x.yaml"), "x.yaml")


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfepochs: 3\n", b"epochs: 3\r\nlabel: x\r\n", b"--- # start\nepochs: 3\n...\n", b'{"epochs": 3}'],
    ids=["byte order mark", "windows line ends", "document marks", "json"],
)
def test_accepted(content: bytes, tmp_path: Path) -> None:
    assert load(content, tmp_path).epochs == 3


REFUSED: list[tuple[bytes, str]] = [
    (b"", "x.yaml: the file is empty; write at least one setting, such as epochs: 10"),
    (b"\xef\xbb\xbf", "x.yaml: the file is empty; write at least one setting, such as epochs: 10"),
    ("epochs: 3\n".encode("utf-16"), "x.yaml:1: the file is UTF-16; save it as UTF-8"),
    (
        "epochs: 3\n".encode("utf-16-le"),
        "x.yaml:1:2: control character U+0000; remove it, and check that the file is UTF-8 text",
    ),
    ("label: x\nlabel: café\n".encode("latin-1"), "x.yaml:2:11: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    (
        b"epochs: 3\nlabel: a\0b\n",
        "x.yaml:2:9: control character U+0000; remove it, and check that the file is UTF-8 text",
    ),
    (b"label: \x1b[31m\n", "x.yaml:1:8: control character U+001B; remove it, and check that the file is UTF-8 text"),
    (b"#" * (MAX_BYTES + 1), "x.yaml: more than 1,000,000 bytes; is this a settings file?"),
    (
        b"".join(b"k%d: 1\n" % i for i in range(2000)),
        "x.yaml:1001:1: more than 1,000 keys in one mapping; is this a settings file?",
    ),
    (b"seeds: [" + b"1,\n" * 60_000 + b"]", "x.yaml:49998:1: more than 50,000 values; is this a settings file?"),
    (b"label: " + b"[" * 100_000, "x.yaml:1:27: nested deeper than 20 levels"),
    (b"label: " + b"{a: " * 21 + b"1" + b"}" * 21, "x.yaml:1:84: nested deeper than 20 levels"),
    (b"- " * 3000 + b"x\n", "x.yaml:1:41: nested deeper than 20 levels"),
    (
        b"epochs: " + b"9" * 5000,
        "x.yaml:1: epochs: the integer 99999999999999999999999… is too large; the largest is 2^63 − 1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), REFUSED, ids=[repr(content)[:40] for content, _ in REFUSED])
def test_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert message(content, tmp_path) == expected


def test_alias_bomb_is_refused_unexpanded(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{c}: &{c} [" + ", ".join([f"*{b}"] * 9) + "]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)]
    told = message("\n".join(lines).encode(), tmp_path).split("\n")
    assert "x.yaml:9: i: anchors (&i) are not used here; write the value out, or put it in quotes" in told
    assert len(told) < 100


def test_self_reference_is_refused(tmp_path: Path) -> None:
    assert "x.yaml:1: data.x: aliases (*a) are not used here" in message(b"data: &a {x: *a}\n", tmp_path)


GOOD_PIECES = ("optimizer:", "  name: adam", "\n", "  ", "lr: 1e-3", "seeds: [0, 1]", "epochs: ", "data: ", "flip: on")
BAD_PIECES = (
    "&a ",
    "*a",
    "!!set ",
    "---",
    "...",
    "<<: ",
    "é",
    '"\\x',
    '"\\U00110000',
    *"{}[],:-?'\">#%@`\\~|\x85\u2028\t\r",
)


def problems(content: bytes, folder: Path) -> tuple[Problem, ...]:
    try:
        load(content, folder)
    except SettingsError as error:
        return error.problems or (Problem("", "", "an error without a problem"),)
    return ()


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_give_settings_or_one_clear_error(seed: int, tmp_path: Path) -> None:
    """Random bytes, random printable soup of YAML's own characters, and shuffled pieces of a good file."""
    random_ = random.Random(seed)
    pieces = GOOD_PIECES + BAD_PIECES
    for _ in range(30):
        soups = [
            random_.randbytes(random_.randrange(60)),
            bytes(random_.choice(b" :-[]{},&*!|>'\"%@`#?\n\tab10.") for _ in range(random_.randrange(60))),
            "".join(random_.choice(pieces) for _ in range(random_.randrange(20))).encode(),
        ]
        for soup in soups:
            for problem in problems(soup, tmp_path):
                assert str(problem).isprintable()
                assert str(problem).startswith(str(tmp_path))
