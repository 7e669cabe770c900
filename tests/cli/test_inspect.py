"""`cifar-lab list` and `show`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.cli.show_output import spark

from ..compatibility.commands import Lab as OldLab


def record(lab: Any, seed: int) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in lab.results.glob("runs/*/record.json")]
    return next(each for each in found if each["seed"] == seed)


def test_list_without_runs_says_how_to_make_some(lab: Any) -> None:
    done = lab("list")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "cifar-lab: results: no such results folder; give another with --results, or create it: cifar-lab run FILE "
        "--results results\n"
    )
    assert not lab.results.exists()
    lab.results.mkdir()
    done = lab("list")
    assert (done.code, done.out) == (0, "no runs in results yet; try: cifar-lab quickstart\n")


def test_list_is_a_line_a_run(trained: Any) -> None:
    done = trained.lab("list")
    assert (done.code, done.err) == (0, "")
    first = record(trained.lab, 0)
    assert done.lines[0].split() == [
        "run", "arm", "seed", "status", "test", "accuracy", "validation", "accuracy", "epochs", "seconds", "data",
        "finished",
    ]  # fmt: skip
    assert done.lines[1].split() == [
        first["run_id"], "tiny", "0", "done", f"{first['test']['accuracy']:.4f}", "1", f"{first['train_seconds']:.1f}",
        "synthetic", first["finished"],
    ]  # fmt: skip
    assert len(done.lines) == 3


@pytest.mark.slow
def test_list_tells_running_from_interrupted(trained_copy: Any) -> None:
    ids = [record(trained_copy, seed)["run_id"] for seed in (0, 1)]
    for run in ids:
        (trained_copy.results / "runs" / run / "record.json").rename(
            trained_copy.results / "runs" / run / "checkpoint.bin"
        )
    hold = (
        "import sys; from pathlib import Path; from cifar_lab.store.results import RunFolder\n"
        "with RunFolder(Path('results'), sys.argv[1]).lock(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, ids[0]], cwd=trained_copy.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        states = {line.split()[0]: line.split()[1:] for line in trained_copy("list").lines[1:]}
        skipped = trained_copy("run", "tiny.yaml", "--seeds", "0")
        refused = trained_copy("run", "tiny.yaml", "--seeds", "0", "--force")
        holder.communicate()
    assert states == {ids[0]: ["tiny", "0", "running", "1"], ids[1]: ["tiny", "1", "interrupted", "1"]}
    assert skipped.code == 0
    assert any(f"tiny · seed 0: skipped: held by process {holder.pid} on " in line for line in skipped.progress)
    assert "1 run held by another command and skipped; with --wait, the command waits for them" in skipped.out
    assert skipped.lines[-1] == "next: cifar-lab run tiny.yaml --seeds 0 --wait"
    assert refused.code == 4
    assert f"held by process {holder.pid} on " in refused.err


def test_show_tells_everything_of_a_run(trained: Any) -> None:
    found = record(trained.lab, 1)
    whole = trained.lab("show", found["run_id"])
    assert (whole.code, whole.err) == (0, "")
    assert whole.lines[0] == f"tiny · seed 1 · done · results/runs/{found['run_id']}"
    assert whole.lines[1].startswith("synthetic (200 training, 0 validation, 100 test images) · 62,006 parameters · ")
    assert ", 1 thread · torch " in whole.out
    assert whole.lines[1].endswith(", C kernels")
    for line in ("label: tiny", "  dataset: synthetic", "  lr: 0.02", "seeds: [1]"):
        assert line in whole.lines
    assert f"test accuracy {found['test']['accuracy']:.4f}, loss {found['test']['loss']:.4f}" in whole.lines
    run = found["run_id"][:8]
    assert whole.lines[-2:] == [
        f"to classify images: cifar-lab predict {run} IMAGE",
        f"to export: cifar-lab export {run} --format onnx",
    ]
    rows = [line.split() for line in whole.lines[-13:-3]]
    assert [row[0] for row in rows] == found["data"]["classes"]
    assert [[int(cell) for cell in row[2:]] for row in rows] == found["test"]["confusion"]
    assert [row[1] for row in rows] == [f"{share:.3f}" for share in found["test"]["per_class"]]
    assert trained.lab("show", found["run_id"][:8]).out == whole.out


def test_show_of_an_unfinished_run_is_its_settings_and_its_curve_so_far(trained_copy: Any) -> None:
    first, second = (record(trained_copy, seed)["run_id"] for seed in (0, 1))
    (trained_copy.results / "runs" / first / "record.json").rename(
        trained_copy.results / "runs" / first / "checkpoint.bin"
    )
    done = trained_copy("show", first)
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == f"tiny · seed 0 · interrupted · results/runs/{first}"
    assert "  lr: 0.02" in done.lines
    assert done.lines[-2].split()[:2] == ["epoch", "lr"]
    assert done.lines[-1].split()[:2] == ["1", "0.02"]
    for name in ("record.json", "metrics.jsonl", "weights.safetensors", "predictions.npz"):
        (trained_copy.results / "runs" / second / name).unlink()
    assert trained_copy("show", second).lines[-1] == "no epoch has ended yet"


@pytest.mark.slow
def test_one_damaged_record_hides_no_other_run(trained_copy: Any) -> None:
    first, second = (record(trained_copy, seed)["run_id"] for seed in (0, 1))
    runs = trained_copy.results / "runs"
    shutil.copytree(runs / second, runs / "backup")
    (runs / first / "record.json").write_text("{")
    rows = {line.split()[0]: line.split()[1:] for line in trained_copy("list").lines[1:]}
    assert rows[first] == ["tiny", "0", "damaged", "1"]
    assert rows["backup"] == ["tiny", "1", "copy", "of", second, "1"]
    assert rows[second][:3] == ["tiny", "1", "done"]
    assert trained_copy("show", second).code == 0
    shown = trained_copy("show", first)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err.startswith(f"cifar-lab: results/runs/{first}/record.json: is damaged and left out; ")
    question = "questions:\n  q: {title: B, arms: [arm.yaml], chart: q.png}\n"
    trained_copy.write("arm.yaml", "extends: tiny.yaml\nepochs: 2\n")
    trained_copy.write("sheet.yaml", f"title: A\ncontrol: tiny.yaml\n{question}")
    report = trained_copy("report", "--lab", "sheet.yaml")
    assert report.code == 3
    assert report.err == (
        f"cifar-lab: results/runs/{first}/record.json: is damaged and left out; to retrain the run: "
        f"cifar-lab run results/runs/{first}/settings.yaml --results results\n"
        f"cifar-lab: results/runs/backup/record.json: is a copy of run {second} and is not counted; move "
        "results/runs/backup elsewhere\n"
    )
    assert "not answered yet: q" in report.out.splitlines()
    assert trained_copy("run", f"results/runs/{first}/settings.yaml").code == 0
    assert trained_copy("report", "--lab", "sheet.yaml").code == 0


def test_before_a_run_is_suggested_its_code_is_named(tmp_path: Path) -> None:
    lab = OldLab.copied(tmp_path / "lab")
    with (lab.run("13747b80a8ccfdc5") / "weights.safetensors").open("r+b") as file:
        file.write(b"damage")
    said = lab.give("verify")
    assert said.code == 3
    note, damage = said.err.splitlines()
    assert note == (
        "note: `cifar-lab run` executes the model code that a settings.yaml names; if these results came from others, "
        "read settings.yaml and that code first"
    )
    assert "to retrain the run: cifar-lab run " in damage


def test_show_of_nothing_that_is_there(trained: Any) -> None:
    none = trained.lab("show", "zzz")
    assert (none.code, none.out, none.err) == (
        2,
        "",
        "cifar-lab: no run id starts with 'zzz', and no settings file, label or sweep of results has this name; "
        "list all runs: cifar-lab list --results results\n",
    )
    assert trained.lab("show", "").code == 2


def test_spark() -> None:
    assert spark([0.0, 0.5, 1.0]) == "▁▄█"
    assert spark([2.0, 2.0]) == "▁▁"
    assert spark([1.0, None, 0.0]) == "█ ▁"
    assert spark([]) == ""
    assert len(spark([float(number) for number in range(1000)])) == 20
