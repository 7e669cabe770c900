from __future__ import annotations

import pytest

from cifar_lab.core.durations import in_words, parse_duration
from cifar_lab.core.errors import SettingsError


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
    assert str(found.value) == f"--time-limit: {text!r} is no length of time; write 90s, 15m, 2h or 1h30m"


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
