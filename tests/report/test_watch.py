"""watch.html: what is under way, by validation only."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cifar_lab.analysis.under_way import read_under_way
from cifar_lab.report import watch as watching
from cifar_lab.report.watch import watch, watch_page
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.results import RunFolder

from .made_lab import make_lab

MakeRecord = Callable[..., Record]


@contextmanager
def running(results: Path, run_id: str, settings: str) -> Iterator[RunFolder]:
    """A run of another process, after its second epoch."""
    folder = RunFolder(results, run_id)
    folder.path.mkdir(parents=True)
    folder.settings.write_text(settings)
    folder.write_metrics(
        [
            EpochMetrics(
                epoch=k, lr=0.1, train_loss=2.0, train_accuracy=0.2, val_loss=2.0, val_accuracy=0.123, seconds=1
            )
            for k in (1, 2)
        ]
    )
    with folder.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def test_a_search_and_its_running_runs_are_read_without_the_test_split(tmp_path: Path, make_record: MakeRecord) -> None:
    make_lab(tmp_path, make_record)
    results = tmp_path / "results"
    with running(results, "f" * 16, "label: live\nepochs: 9\nseeds: [3]\n"):
        state = read_under_way(results)
        page = watch_page(state, results)
    (search,) = state.searches
    assert (search.name, search.runs, search.done, search.diverged, search.has_winners) == ("grid", 6, 5, 1, True)
    assert search.finished[0].accuracy == pytest.approx(60)
    (run,) = state.running
    assert (run.label, run.seed, run.epochs, run.epochs_planned, run.last("val_accuracy")) == ("live", 3, 2, 9, 0.123)
    assert (state.done, state.diverged, state.interrupted) == (19 + 5 + 9, 2, 0)
    assert '<meta http-equiv="refresh" content="5">' in page
    words = re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]*>", "", page, flags=re.S)
    assert "Best so far by validation accuracy: " in words
    assert "2 of 9" in words
    for word in ("better than", "worse than", "undecided", "equivalent", "p (Holm)"):
        assert word not in words


def test_the_page_says_how_to_get_the_answer(tmp_path: Path) -> None:
    page = watch_page(read_under_way(tmp_path), tmp_path, None)
    assert "refresh" not in page.split("<style>")[0]
    assert f'cifar-lab report</span> <span class="word">--results {tmp_path}' in page or str(tmp_path) in page


def test_it_ends_when_nothing_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(watching.time, "sleep", waits.append)
    seen: list[Path] = []
    state = watch(tmp_path, seen.append, 7.0)
    assert waits == [7.0, 7.0]
    assert seen == [tmp_path / "watch.html"]
    assert (state.done, state.running) == (0, ())
    assert "Nothing is running." in seen[0].read_text(encoding="utf-8")


def test_a_run_whose_settings_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    with running(tmp_path, "a" * 16, "no: settings\n"):
        assert read_under_way(tmp_path).running == ()
