"""The table of arms that `run` and `sweep` end with."""

from __future__ import annotations

from typing import Any

import pytest


def arm_rows(lines: list[str]) -> list[list[str]]:
    start = next(number for number, line in enumerate(lines) if line.startswith("arm "))
    return [
        line.split()[:2] for line in lines[start + 1 :] if not line.startswith("next: ") and "at chance" not in line
    ]


def test_arms_of_one_recipe_have_a_line_each_under_the_labels_just_given(trained_copy: Any) -> None:
    trained_copy.write("renamed.yaml", "extends: tiny.yaml\nlabel: renamed\n")
    trained_copy.write("first.yaml", "extends: tiny.yaml\nlabel: first\nseeds: [0]\n")
    done = trained_copy("run", "renamed.yaml", "first.yaml", "renamed.yaml")
    assert (done.code, done.progress[0]) == (0, "2 runs: 2 already done")
    assert arm_rows(done.lines) == [["renamed", "2"], ["first", "1"]]


@pytest.mark.slow
def test_a_winner_that_equals_the_base_has_a_line_of_its_own(trained_copy: Any) -> None:
    trained_copy.write(
        "same.yaml",
        "base: tiny.yaml\nsearch: {top: 1, seeds: [5], confirm_seeds: [0, 1], val_size: 50}\n"
        "space: {optimizer.lr: [0.02]}\n",
    )
    done = trained_copy("sweep", "same.yaml", "--workers", "1")
    assert (done.code, done.err) == (0, "")
    assert arm_rows(done.lines)[:2] == [["tiny", "2"], ["lr", "0.02"]]
