"""The old lab, with its images prepared once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import outline
from .cases import REPORT
from .commands import Lab
from .golden import CACHE_VARIABLE


@pytest.fixture(scope="session")
def old_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the images of the old lab and nothing else, as `verify` counts its files."""
    folder = tmp_path_factory.mktemp("old") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        assert Lab.copied(folder.parent / "lab").give("run baseline.yaml").code == 0
    return folder


@pytest.fixture(autouse=True)
def images_of_old_lab(session_images: Path, old_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests here read the images of the old lab."""
    monkeypatch.setenv(CACHE_VARIABLE, str(old_cache))


@pytest.fixture(scope="session")
def old(old_cache: Path) -> Lab:
    """A copy of the old lab, to be read only."""
    return Lab(old_cache.parent / "lab")


@pytest.fixture
def copy(tmp_path: Path) -> Lab:
    """A copy of the old lab, to be changed."""
    return Lab.copied(tmp_path / "lab")


def _made(old_cache: Path, folder: Path) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(old_cache))
        yield Lab.copied(folder)


@pytest.fixture(scope="module")
def reported(old_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A copy with a report."""
    for lab in _made(old_cache, tmp_path_factory.mktemp("reported") / "lab"):
        assert lab.give(REPORT.line).code == REPORT.code
        yield lab


@pytest.fixture(scope="module")
def written(old_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A copy into which the present code has written a file of each kind."""
    for lab in _made(old_cache, tmp_path_factory.mktemp("written") / "lab"):
        ended = outline.write_files(lab)
        assert [said.code for said in ended] == [1, 0, 0, 0], "\n".join(said.text for said in ended)
        yield lab
