"""Uncommitted changes of a checkout: tracked files alone, at most a few kilobytes, and none where they are off."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.core import git_diff as module
from cifar_lab.core.git_diff import GIT_DIFF, MOST_BYTES, git_diff
from cifar_lab.core.host import GIT_STATE, git_state


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one committed file, as working folder."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(GIT_DIFF)
    monkeypatch.setattr(module, "git_state", git_state.__wrapped__)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    (tmp_path / "file").write_text("one\n")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *who, *words], check=True, capture_output=True)
    return tmp_path


look: Callable[[], str | None] = git_diff.__wrapped__


def test_changes_of_tracked_files_are_told_and_no_other(checkout: Path) -> None:
    assert look() is None
    (checkout / ".env").write_text("SECRET=1\n")
    assert look() is None
    (checkout / "file").write_text("two\n")
    found = look()
    assert found is not None
    assert "-one\n+two\n" in found
    assert "SECRET" not in found


def test_changes_can_be_kept_out(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "file").write_text("two\n")
    monkeypatch.setenv(GIT_DIFF, "0")
    assert look() is None


def test_a_long_diff_is_cut_after_a_line_and_says_so(checkout: Path) -> None:
    (checkout / "file").write_text("".join(f"line {number}\n" for number in range(10_000)))
    found = look()
    assert found is not None
    assert len(found.encode()) < MOST_BYTES + 100
    *_, line, cut = found.splitlines()
    assert line.startswith("+line ")
    assert cut.startswith("(cut: the whole diff has ")


def test_a_program_that_the_checkout_names_is_not_started(checkout: Path) -> None:
    for name, command in (("diff.external", "touch started"), ("diff.x.textconv", "touch started;cat")):
        subprocess.run(["git", "config", name, command], check=True)
    (checkout / ".gitattributes").write_text("file diff=x\n")
    (checkout / "file").write_text("two\n")
    assert "+two" in (look() or "")
    assert not (checkout / "started").exists()


def test_a_remote_worker_takes_what_the_driver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GIT_DIFF)
    monkeypatch.setenv(GIT_STATE, json.dumps(["c0ffee", True, "a diff"]))
    assert look() == "a diff"
    assert git_state.__wrapped__() == ("c0ffee", True)
    monkeypatch.setenv(GIT_STATE, json.dumps(["c0ffee", True]))
    assert look() is None


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GIT_DIFF)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "git_state", lambda: ("c0ffee", True))
    assert look() is None
