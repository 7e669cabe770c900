from __future__ import annotations

import csv
import io

import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import code_span, csv_cell, in_words, markdown, parse_duration, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand\r\na tab", "two lines and a tab"),
        ("\x1b[31mred\x00\x07", "[31mred"),
        ("abc\u202edcba\u2066", "abcdcba"),
        ("half a pair \ud800!", "half a pair !"),
        ("  Ünï 日本 😀 · 2 × 3  ", "Ünï 日本 😀 · 2 × 3"),
        ("paragraph\u2029break", "paragraph break"),
    ],
)
def test_plain_keeps_one_printable_line(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("*a* _b_ `c` ~d~ #e $f$ !", r"\*a\* \_b\_ \`c\` \~d\~ \#e \$f\$ \!"),
        ("back\\slash | pipe", r"back\\slash \| pipe"),
        ("A & B &lt;", "A &amp; B &amp;lt;"),
        ("two\n# lines", r"two \# lines"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


def test_code_span_outlasts_backticks() -> None:
    assert code_span("cifar-lab run a.yaml") == "`cifar-lab run a.yaml`"
    assert code_span("a``b`c") == "``` a``b`c ```"


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-1+1", "@SUM(A1)", "\t=cmd()", "\r\n=cmd()", "\x00=cmd()"])
def test_csv_cell_is_never_a_formula(text: str) -> None:
    assert csv_cell(text).startswith("'")


def test_csv_cell_leaves_numbers_and_plain_text_alone() -> None:
    assert csv_cell(-0.5) == "-0.5"
    assert csv_cell(3) == "3"
    assert csv_cell(None) == ""
    assert csv_cell("Adam, lr 0.001") == "Adam, lr 0.001"


def test_csv_cell_survives_a_csv_round_trip() -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([csv_cell('a "quoted", cell\nof two lines')])
    assert next(csv.reader(io.StringIO(buffer.getvalue()))) == ['a "quoted", cell of two lines']


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), (" 1.5h ", 5400), ("1d", 86400), ("0.5s", 0.5)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text, "--time-limit") == seconds


@pytest.mark.parametrize("text", ["", "90", "2 h", "h", "-5m", "1h foo", "2H", "1:30", "1e3s", "٣s", "nans"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(SettingsError) as found:
        parse_duration(text, "--time-limit")
    assert str(found.value) == f"--time-limit: {text!r} is not a duration; write 90s, 15m, 2h or 1h30m"


@pytest.mark.parametrize("text", ["0s", "0h0m", "400d"])
def test_a_length_of_time_that_makes_no_sense(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--run-timeout: '.*' is out of range; write a time above 0 and up to a"):
        parse_duration(text, "--run-timeout")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.25 s"), (8, "8 s"), (59.6, "60 s"), (99, "99 s"), (600, "10 min"), (5940, "99 min"), (7200, "2 h"),
     (12_000, "3 h 20 min"), (47 * 3600, "47 h"), (172_800, "2 d"), (200_000, "2 d 8 h")],
)  # fmt: skip
def test_lengths_of_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
