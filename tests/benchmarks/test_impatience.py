"""Readers who look again are seldom misled: 2,000 labs each. Two standard errors of a rate of 0.05 are 0.01."""

from __future__ import annotations

import pytest

from benchmarks.impatience import CASES, share_misled

LABS = 2_000
BY_NAME = {case.name: case for case in CASES}
SLOW = (
    "a report after every seed from 3 to 20",
    "what the report advises, from 3 seeds",
    "the same, three arms",
    "reports at 3, 4 and 5 seeds, then what is advised",
    "*equivalent* at the margin, what is advised",
)
ALONE = [name for name in BY_NAME if name.startswith("one report")]
MOST_MISLED = 0.062


def test_a_reader_who_does_what_the_report_advises_is_misled_in_one_lab_of_twenty() -> None:
    assert share_misled(BY_NAME["what the report advises, from 5 seeds"], LABS) <= MOST_MISLED


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_so_are_other_readers_who_look_again(name: str) -> None:
    assert share_misled(BY_NAME[name], LABS) <= MOST_MISLED


@pytest.mark.parametrize("name", ALONE)
def test_a_look_alone_keeps_most_of_the_error_rate(name: str) -> None:
    assert 0.02 <= share_misled(BY_NAME[name], LABS) <= 0.062
