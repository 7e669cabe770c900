"""Searches from start to end on made-up images: what trains, what is pruned, what is read and what is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.analysis.recount import recount
from cifar_lab.cli.inspect_output import print_list
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.runner import make_runs
from cifar_lab.store.documents import write_document
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, SweepFolder, read_records
from cifar_lab.studies.documents import pruned_runs
from cifar_lab.studies.run_sweep import SweepOutcome, make_sweep, sweep_status
from cifar_lab.studies.sweep import Sweep, load_sweep

pytestmark = pytest.mark.slow

BASE = """\
data: {dataset: synthetic, train_size: 180, test_size: 60, batch_size: 20, difficulty: 0.2}
optimizer: {lr: 0.05}
scheduler: {name: cosine}
epochs: 4
runtime: {device: cpu, threads: 1}
"""

HALVED = """\
base: base.yaml
search: {top: 1, seeds: [0], confirm_seeds: [100], val_size: 60, halving: {eta: 2, rungs: 3}}
space:
  optimizer.lr: [0.0001, 0.05, 0.1, 10000.0]
"""

PROPOSED = """\
base: base.yaml
search: {method: tpe, trials: 6, batch: 3, top: 1, seeds: [0], confirm_seeds: [100], val_size: 60}
space:
  optimizer.lr: {min: 1e-3, max: 0.3, log: true}
  data.flip: [false, true]
"""


@dataclass
class Bench:
    """A folder with a base and sweeps."""

    folder: Path

    def sweep(self, name: str, text: str) -> Sweep:
        (self.folder / "base.yaml").write_text(BASE)
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return load_sweep(path)

    def make(self, name: str, text: str, workers: int = 1) -> tuple[SweepOutcome, list[str]]:
        """What it found, and what it said."""
        said: list[str] = []
        outcome = make_sweep(
            self.sweep(name, text), RunContext(self.folder / "results", workers=workers), say=said.append
        )
        return outcome, said

    def read(self, name: str, file: str) -> Any:
        return json.loads((SweepFolder(self.folder / "results", name).path / file).read_bytes())


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, SweepOutcome, list[str]]:
    """A halved sweep that was made once; to be read."""
    bench = Bench(tmp_path_factory.mktemp("halved"))
    return (bench, *bench.make("halved", HALVED))


def bits(record: Record, results: Path) -> tuple[Any, ...]:
    lines = RunFolder(results, record.run_id).read_metrics()
    return record.val, record.files, [line.model_copy(update={"seconds": 0.0}) for line in lines]


def test_halving_prunes_and_says_so(halved: tuple[Bench, SweepOutcome, list[str]]) -> None:
    bench, outcome, said = halved
    assert said[0].startswith("estimate: 4 runs to search, 0 already done, 4 to train; then at most 2 runs for")
    halving = [line for line in said if "rung" in line or line.startswith("after")]
    assert halving[0] == "rung 1 of 3: 4 points to epoch 1 of 4; the best 2 continue"
    assert halving[1].startswith(
        "after epoch 1: 2 points of 4 continue, 1 pruned, 1 without a finite number; best: lr 0."
    )
    assert halving[2] == "rung 2 of 3: 2 points to epoch 2 of 4; the best 1 continue"
    assert halving[3].startswith("after epoch 2: 1 point of 2 continue, 1 pruned; best: lr 0.")
    assert halving[4:] == ["rung 3 of 3: 1 point to the last epoch, 4"]
    points = {point["name"]: point for point in bench.read("halved", "history.json")["points"]}
    assert points["lr 10000.0"]["val_accuracies"] == [None]
    ends = sorted(point["pruned_after_epoch"] or 9 for point in points.values())
    assert ends == [1, 2, 9, 9]
    winners = bench.read("halved", "winners.json")
    assert (winners["points"], winners["pruned"]) == (4, 2)
    assert winners["runs"] == {"searched": 4, "failed": 0, "diverged": 1}
    assert winners["search"]["halving"] == {"eta": 2, "rungs": 3}
    (winner,) = outcome.winners
    assert points[winner.point.name]["pruned_after_epoch"] is None


def test_a_pruned_run_has_no_record_and_keeps_its_epochs(
    halved: tuple[Bench, SweepOutcome, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, outcome, _ = halved
    results = bench.folder / "results"
    marks = pruned_runs(results)
    assert sorted(marks.values()) == [1, 2]
    for run_id, epoch in marks.items():
        folder = RunFolder(results, run_id)
        assert (folder.read_record(), len(folder.read_metrics()), folder.has_checkpoint()) == (None, epoch, True)
        assert not folder.predictions.exists()
    assert not marks.keys() & {record.run_id for record in read_records(results)}
    print_list(results)
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert all(f"pruned after epoch {epoch}" in listed[run_id] for run_id, epoch in marks.items())
    assert {name: len(values) for name, values in outcome.state.accuracies.items()} == {
        outcome.winners[0].point.name: 1,
        "lr 10000.0": 1,
    }


def test_a_full_search_goes_on_from_what_was_pruned_to_the_same_bits(
    halved: tuple[Bench, SweepOutcome, list[str]], tmp_path: Path
) -> None:
    bench, outcome, _ = halved
    full = bench.sweep("full", HALVED.replace(", halving: {eta: 2, rungs: 3}", "")).search_arms()
    undisturbed = make_runs(full, RunContext(tmp_path / "undisturbed", workers=1), read_test=False).records
    results = tmp_path / "results"
    shutil.copytree(bench.folder / "results", results)
    marks, done = pruned_runs(results), {record.run_id for record in read_records(results)}
    made = make_runs(full, RunContext(results, workers=1), read_test=False)
    assert {run.job.run_id: run.state for run in made.planned} == {
        **dict.fromkeys(marks, "interrupted"),
        **{run.job.run_id: "done" for run in outcome.search_runs.planned if run.job.run_id in done},
    }
    assert [bits(record, results) for record in made.records] == [
        bits(record, tmp_path / "undisturbed") for record in undisturbed
    ]
    for record in made.records:
        if record.run_id in marks:
            assert record.notes[-1] == f"resumed after epoch {marks[record.run_id]}"


def test_a_halved_search_that_is_over_is_read_from_its_runs(
    halved: tuple[Bench, SweepOutcome, list[str]],
) -> None:
    bench, outcome, _ = halved
    status = sweep_status(bench.sweep("halved", HALVED), RunContext(bench.folder / "results"))
    assert (status.step, status.estimate) == (None, None)
    assert (status.state.pruned, status.state.results) == (outcome.state.pruned, outcome.state.results)


def test_a_search_goes_on_where_another_version_named_its_points_otherwise(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    rates = [0.0001, 0.05, 0.1, 10000.0]
    settings = [f"{{optimizer.lr: {lr}, fine_tune.layer_decay: 1.0, scheduler.name: cosine}}" for lr in rates]
    head = HALVED.partition("space:")[0]
    earlier = "".join(
        f"  lr {lr} · no layer decay · cosine: {each}\n" for lr, each in zip(rates, settings, strict=True)
    )
    bench.make("halved", f"{head}arms:\n{earlier}")
    results = bench.folder / "results"
    before, pruned = bench.read("halved", "history.json")["points"], pruned_runs(results)
    written = {path: path.read_bytes() for path in results.glob("runs/*/record.json")}
    assert written
    outcome, _ = bench.make("halved", f"{head}arms:\n" + "".join(f"- {each}\n" for each in settings))
    assert [point.name for point in outcome.state.points] == [f"lr {lr} · cosine" for lr in rates]
    assert [each["name"] for each in bench.read("halved", "plan.json")["points"]] == [*outcome.state.results]
    after = bench.read("halved", "history.json")["points"]
    assert [{**each, "name": ""} for each in after] == [{**each, "name": ""} for each in before]
    assert pruned_runs(results) == pruned
    assert {path: path.read_bytes() for path in results.glob("runs/*/record.json")} == written
    records = list(read_records(results))
    assert recount(results, records) == []

    # Stopped between the two documents: the plan has the new names, the history those of before.
    path = SweepFolder(results, "halved").history
    write_document(results, path, {"sweep": "halved", "points": before})
    assert recount(results, records) == []


def test_tpe_stopped_and_begun_again_proposes_and_finds_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    outcome, said = bench.make("proposed", PROPOSED)
    assert said[0].startswith("estimate: 6 runs to search, 0 already done, at most 6 to train;")
    assert said[4:] == ["tpe: 3 points after 0, 3 proposals to come", "tpe: 3 points after 3, 0 proposals to come"]
    folder = SweepFolder(bench.folder / "results", "proposed")
    plan, history, winners = (path.read_bytes() for path in (folder.plan, folder.history, folder.winners))

    # What a sweep that was killed in its second batch leaves: a plan of the first, some of its runs.
    runs = [run for point in bench.read("proposed", "plan.json")["points"] for run in point["runs"]]
    assert len(runs) == 6
    for run_id in runs[4:]:
        RunFolder(bench.folder / "results", run_id).discard()
    for path in (folder.plan, folder.history, folder.winners):
        path.unlink()
    status = sweep_status(bench.sweep("proposed", PROPOSED), RunContext(bench.folder / "results"))
    assert status.planned is not None
    assert [len(status.state.results), *(run.state for run in status.planned)] == [3, "done", "missing", "missing"]

    again, said = bench.make("proposed", PROPOSED, workers=2)
    assert said[0].startswith("estimate: 6 runs to search, 4 already done, 2 to train; then at most 2 runs")
    assert (folder.plan.read_bytes(), folder.history.read_bytes(), folder.winners.read_bytes()) == (
        plan,
        history,
        winners,
    )
    assert [each.point.name for each in again.winners] == [each.point.name for each in outcome.winners]


def test_a_disk_that_cannot_hold_the_runs_ends_it_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    bench = Bench(tmp_path)
    with pytest.raises(EnvironmentFault) as refused:
        bench.make("halved", HALVED)
    assert str(refused.value).startswith(f"{tmp_path / 'results'}: the missing runs need about ")
    assert ", 2.0 MB are free; free space or choose another folder" in str(refused.value)
    assert not (tmp_path / "results").exists()


OWN_MODEL = """\
from torch import nn


class Own(nn.Sequential):
    def __init__(self, num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))
"""


def test_points_that_share_a_run_are_each_judged_by_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.py").write_text(OWN_MODEL)
    search = "base: base.yaml\nsearch: {top: 1, seeds: [0], confirm_seeds: [100], val_size: 60}\n"
    outcome, _ = bench.make("shared", search + "space: {epochs: [1], model.name: [one/own.py:Own, two/own.py:Own]}\n")
    (record,) = outcome.search_runs.records
    assert record.val is not None
    assert list(outcome.state.accuracies.values()) == [(record.val.accuracy,)] * 2
    assert [point["runs"] for point in bench.read("shared", "plan.json")["points"]] == [[record.run_id]] * 2
