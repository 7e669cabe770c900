"""The folder of a sweep: named by the file's stem, whatever the stem holds, and the same to sweep and report."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.analysis.winners import winners_path
from cifar_lab.store.results import SweepFolder


@pytest.mark.parametrize("stem", ["q8_grid", "A.b-c_9", "x" * 64])
def test_a_safe_stem_is_the_name(stem: str) -> None:
    assert SweepFolder(Path("results"), stem).path == Path("results/sweeps") / stem


@pytest.mark.parametrize("stem", ["my grid", "..", "-x", "ü", "", "x" * 65, "a/b", "new\nline"])
def test_any_other_is_made_safe_and_stays_apart(stem: str) -> None:
    folder = SweepFolder(Path("results"), stem)
    assert folder.path.parent == Path("results/sweeps")
    assert folder.path.name.isascii()
    assert len(folder.path.name) < 64
    assert folder.path != SweepFolder(Path("results"), stem + " ").path
    assert winners_path(Path("results"), stem) == folder.winners
