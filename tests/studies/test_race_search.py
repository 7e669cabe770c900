"""Races of real runs on synthetic images: their steps, documents and resumption."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.recount import recount
from cifar_lab.analysis.search_points import best_points, read_points
from cifar_lab.analysis.under_way import read_under_way
from cifar_lab.cli.sweep_output import print_status
from cifar_lab.execution.context import RunContext
from cifar_lab.report.watch import watch_page
from cifar_lab.store.documents import write_document
from cifar_lab.store.results import RunFolder, SweepFolder, read_records
from cifar_lab.studies.run_sweep import SweepOutcome, make_sweep, sweep_status
from cifar_lab.studies.sweep import Sweep, load_sweep

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("race")]

BASE = """\
data: {dataset: synthetic, train_size: 300, test_size: 60, batch_size: 20, difficulty: 0.3}
optimizer: {lr: 0.05}
epochs: 2
runtime: {device: cpu, threads: 1}
"""

RACED = """\
base: base.yaml
search: {top: 1, seeds: [0, 1, 2, 3], confirm_seeds: [100, 101], val_size: 100, racing: {}}
space:
  optimizer.name: [sgd, adam]
  optimizer.momentum: {values: [0.0, 0.9], when: {optimizer.name: sgd}}
  optimizer.lr: [0.0001, 0.001, 0.01, 0.05, 10000.0]
"""

GROUPS = RACED.replace("top: 1", "per: optimizer.name")


def sweep(folder: Path, name: str, text: str) -> Sweep:
    (folder / "base.yaml").write_text(BASE)
    (folder / f"{name}.yaml").write_text(text)
    return load_sweep(folder / f"{name}.yaml")


def make(folder: Path, name: str, text: str, workers: int = 2) -> tuple[SweepOutcome, list[str]]:
    said: list[str] = []
    context = RunContext(folder / "results", workers=workers)
    return make_sweep(sweep(folder, name, text), context, say=said.append), said


def document(folder: Path, name: str, file: str) -> Any:
    return json.loads((SweepFolder(folder / "results", name).path / file).read_bytes())


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SweepOutcome, list[str]]:
    """A folder with a race that is over. Not to be changed."""
    folder = tmp_path_factory.mktemp("raced")
    return (folder, *make(folder, "raced", RACED))


def test_a_race_trains_what_may_still_win(raced: tuple[Path, SweepOutcome, list[str]]) -> None:
    _, outcome, said = raced
    assert said[0].startswith(
        "estimate: 25 to 60 runs to search, 0 already done, 25 to 60 to train; then at most 4 runs"
    )
    assert " s to " in said[1]
    lines = [line for line in said if line.startswith("race")]
    assert lines[0] == "race: 15 points with seed 0 (1 of 4)"
    assert lines[2] == "race: 10 points with seed 1 (2 of 4)"
    assert lines[-1].endswith("; the race is over")
    counts = outcome.run_counts
    assert 25 <= counts.searched < 60
    assert counts.diverged
    assert len(outcome.state.dropped) == 15 - len(outcome.state.accuracies)
    assert outcome.winners[0].point.name == outcome.state.races.by_group[""].leader  # type: ignore[union-attr]


def test_documents_of_a_race(raced: tuple[Path, SweepOutcome, list[str]]) -> None:
    folder, outcome, _ = raced
    plan, history, winners = (document(folder, "raced", f"{name}.json") for name in ("plan", "history", "winners"))
    assert (plan["search"]["racing"], winners["search"]["racing"]) == ({"error": 0.05}, {"error": 0.05})
    assert (history["schema"], winners["schema"]) == (4, 4)
    assert winners["dropped"] == sum(point["dropped_after_seeds"] is not None for point in history["points"])
    runs = {run for point in plan["points"] for run in point["runs"]}
    assert len(runs) == winners["runs"]["searched"]
    assert [point["runs"] for point in plan["points"]] == [point["runs"] for point in history["points"]]
    for point in history["points"]:
        assert len(point["val_accuracies"]) == len(point["runs"])
    assert winners["winners"][0]["seeds_searched"] == len(
        outcome.state.results[winners["winners"][0]["label"]].val_accuracies
    )
    records = list(read_records(folder / "results"))
    assert recount(folder / "results", records) == []


def test_points_in_the_race_come_first_in_reports(raced: tuple[Path, SweepOutcome, list[str]]) -> None:
    folder, outcome, _ = raced
    records = {record.run_id: record for record in read_records(folder / "results")}
    points = best_points(read_points(folder / "results", "raced", records))
    standing = [point.dropped_after is None for point in points]
    assert standing == sorted(standing, reverse=True)
    assert points[0].name == outcome.winners[0].point.name
    state = read_under_way(folder / "results")
    (search,) = state.searches
    assert (search.in_race, search.is_race) == (1, True)
    page = watch_page(state, folder / "results", None)
    assert "1 point of 15 in the race." in page
    assert page.count('<td class="text">in the race</td>') == 1
    assert re.search(r'<td class="text">dropped after \d seeds?</td>', page)
    lab = answer_folder(None, folder / "results")
    (answer,) = (each for each in lab.answers if each.sweep)
    note = f"a race over 4 seeds at error rate 0.05) in {outcome.run_counts.searched} runs"
    assert any(note in line and "of the points were dropped before their last seed" in line for line in answer.notes)


def test_dropped_points_are_known_by_their_runs(raced: tuple[Path, SweepOutcome, list[str]], tmp_path: Path) -> None:
    shutil.copytree(raced[0] / "results", tmp_path / "results")
    history = document(tmp_path, "raced", "history.json")
    earlier = [{**point, "name": f"{point['name']} · no layer decay"} for point in history["points"]]
    path = SweepFolder(tmp_path / "results", "raced").history
    write_document(tmp_path / "results", path, {"sweep": "raced", "points": earlier, "schema": history["schema"]})
    records = {record.run_id: record for record in read_records(tmp_path / "results")}
    dropped = [point.dropped_after for point in read_points(tmp_path / "results", "raced", records)]
    assert dropped == [point["dropped_after_seeds"] for point in history["points"]]
    assert recount(tmp_path / "results", list(records.values())) == []


def test_a_race_that_was_killed_makes_the_same_runs(
    raced: tuple[Path, SweepOutcome, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, outcome, _ = raced
    shutil.copytree(folder / "results", tmp_path / "results")
    files = SweepFolder(tmp_path / "results", "raced")
    before = [path.read_bytes() for path in (files.plan, files.history, files.winners)]
    second = [run for point in document(folder, "raced", "plan.json")["points"] for run in point["runs"][1:]]
    for run_id in second[1:]:
        RunFolder(tmp_path / "results", run_id).discard()
    for path in (files.plan, files.history, files.winners):
        path.unlink()
    status = sweep_status(sweep(tmp_path, "raced", RACED), RunContext(tmp_path / "results"))
    assert status.step is not None
    assert [arm.seeds for arm in status.step.arms] == [(1,)] * 10
    print_status(sweep(tmp_path, "raced", RACED), status)
    printed = capsys.readouterr().out
    assert "over 1 seed); next seed: to train" in printed
    assert "dropped after 1 seed (diverged)" in printed
    again, said = make(tmp_path, "raced", RACED, workers=1)
    assert [path.read_bytes() for path in (files.plan, files.history, files.winners)] == before
    assert again.run_counts == outcome.run_counts
    assert said[0].startswith("estimate: 25 to ")
    assert "race: 15 points" not in said[4]


def test_each_group_has_its_race(raced: tuple[Path, SweepOutcome, list[str]], tmp_path: Path) -> None:
    folder, _, _ = raced
    shutil.copytree(folder / "results", tmp_path / "results")
    outcome, said = make(tmp_path, "grouped", GROUPS)
    assert {winner.group for winner in outcome.winners} == {"SGD", "Adam"}
    races = outcome.state.races
    assert races is not None
    assert {group: len(race.results) for group, race in races.by_group.items()} == {"SGD": 10, "Adam": 5}
    assert sum(line.startswith("race of SGD: ") for line in said) >= 1
    assert recount(tmp_path / "results", list(read_records(tmp_path / "results"))) == []
