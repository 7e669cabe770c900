"""`cifar-lab run`, from the first run to the things that go wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.checksums import seal_record

EPOCH = r"tiny · seed \d: epoch 1/1, loss \d\.\d{3}, training accuracy \d\.\d{3}, \d+\.\d s"


def records(results: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in results.glob("runs/*/record.json")]
    return sorted(found, key=lambda record: record["seed"])


def test_the_first_run_says_what_it_does_and_what_came_of_it(trained: Any) -> None:
    done, results = trained.first, trained.lab.results
    assert (done.code, done.err) == (0, "")
    told = [line for line in done.progress if not line.startswith(("drawing images:", "writing the cache"))]
    assert told[:2] == ["2 runs: 2 to train", "device: cpu, 1 CPU thread per run"]
    assert len([line for line in told if re.fullmatch(EPOCH, line)]) == 2
    ends = [line.partition(", training accuracy 0.")[0] for line in told if ": done, " in line]
    assert [line[:6] for line in ends] == ["[1/2] ", "[2/2] "]
    assert sorted(line[6:] for line in ends) == ["tiny · seed 0: done", "tiny · seed 1: done"]
    first, second = (record["test"]["accuracy"] for record in records(results))
    header, row, at_chance, following = done.lines
    assert at_chance.startswith("tiny is at chance (10.00 %, ")
    assert following == "next: cifar-lab run tiny.yaml --seeds 0,1,2"  # two seeds are too few for a verdict
    assert header.split("  ")[0] == "arm"
    assert f"{first:.4f} {second:.4f}" in row
    assert row.startswith("tiny  2 ")
    assert row.endswith("synthetic")
    for record in records(results):
        assert sorted(path.name for path in (results / "runs" / record["run_id"]).iterdir()) == [
            "metrics.jsonl", "predictions.npz", "record.json", "settings.yaml", "weights.safetensors",
        ]  # fmt: skip


def test_the_second_run_is_quick_and_changes_nothing(trained: Any) -> None:
    before = trained.lab.listing()
    done = trained.lab("run", "tiny.yaml")
    assert (done.code, done.err, done.progress) == (0, "", ["2 runs: 2 already done"])
    assert done.lines == trained.first.lines
    again = (trained.lab("run", "tiny.yaml").processor_seconds for _ in range(3))
    assert done.processor_seconds < 1.2 or any(seconds < 1.2 for seconds in again)
    assert trained.lab.listing() == before


def test_the_second_run_imports_no_torch(trained: Any) -> None:
    done = trained.lab("run", "tiny.yaml", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "pydantic" in imported
    assert not imported & {"torch", "torchvision", "matplotlib"}


def test_a_dry_run_does_nothing(lab: Any, trained: Any) -> None:
    before = lab.listing()
    done = lab("run", "tiny.yaml", "--dry-run", CIFAR_LAB_CACHE=str(lab.folder / "no cache"))
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "2 runs of 1 arm. The images have not been prepared yet, so it is not known which runs already exist.",
        "next: cifar-lab run tiny.yaml",
    ]
    prepared = lab("run", "tiny.yaml", "--dry-run", "--seeds", "0")
    run = records(trained.lab.results)[0]["run_id"]
    assert [line.split() for line in prepared.lines[:-1]] == [
        ["run", "arm", "seed", "state", "epochs"],
        [run, "tiny", "0", "to", "train", "1"],
        ["1", "run:", "1", "to", "train"],
    ]
    assert lab.listing() == before


def test_a_dry_run_says_what_is_there(trained: Any) -> None:
    before = trained.lab.listing()
    done = trained.lab("run", "tiny.yaml", "--dry-run", "--seeds", "0-2")
    assert [" ".join(line.split()[3:-1]) for line in done.lines[1:4]] == ["already done", "already done", "to train"]
    assert done.lines[4] == "3 runs: 2 already done, 1 to train"
    forced = trained.lab("run", "tiny.yaml", "--dry-run", "--force")
    assert forced.lines[-2] == "2 runs: 2 to train"
    assert trained.lab.listing() == before


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", [0]), ("3,1", [3, 1]), ("0-3", [0, 1, 2, 3]), (" 1, 4-5 ,9", [1, 4, 5, 9])]
)
def test_seeds(lab: Any, trained: Any, text: str, seeds: list[int]) -> None:
    done = lab("run", "tiny.yaml", "--dry-run", "--seeds", text)
    assert [int(line.split()[2]) for line in done.lines[1:-2]] == seeds


def test_seeds_given_twice_are_refused_and_not_the_last_taken(lab: Any) -> None:
    done = lab("run", "tiny.yaml", "--seeds", "0", "--seeds", "1-2")
    assert (done.code, done.out) == (2, "")
    assert done.err == "cifar-lab: --seeds: given 2 times; give one list, such as --seeds 0,1-2\n"


@pytest.mark.parametrize(("text", "seeds"), [("3x", [0, 1, 2]), ("1x", [0]), (" 2x ", [0, 1]), ("3", [3])])
def test_a_number_of_seeds_ends_in_x(lab: Any, text: str, seeds: list[int]) -> None:
    done = lab("run", "tiny.yaml", "--dry-run", "--seeds", text)
    assert [int(line.split()[2]) for line in done.lines[1:-2]] == seeds
    told = "note: --seeds 3 is seed number 3 alone; for 3 seeds, write --seeds 3x\n" if text == "3" else ""
    assert done.err == told


def test_short_options_are_settings(lab: Any) -> None:
    arguments = ("--epochs", "2", "--batch-size", "50", "--lr", "0.5", "--device", "cpu")
    done = lab("run", "tiny.yaml", *arguments, "--resume", "-q", "--seeds", "3x")
    assert (done.code, done.err, done.progress) == (0, "", [])
    for record in records(lab.results):
        settings = record["settings"]
        assert (settings["epochs"], settings["data"]["batch_size"], settings["optimizer"]["lr"]) == (2, 50, 0.5)
        assert settings["runtime"]["device"] == "cpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--seeds: '' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("1,", "--seeds: '1,' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("a", "--seeds: 'a' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("1.5", "--seeds: '1.5' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("4-1", "--seeds: '4-1' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("1-", "--seeds: '1-' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("²", "--seeds: '²' is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7"),
        ("1,0-2", "--seeds: '1,0-2' names a seed twice"),
        ("0-99999999999", "--seeds: 0-99999999999 is more than 10,000 seeds"),
        ("4294967296", "--seeds: 4294967296 is above 4294967295, the largest seed; choose a smaller one"),
    ],
)
def test_wrong_seeds(lab: Any, text: str, message: str) -> None:
    done = lab("run", "tiny.yaml", "--seeds", text)
    assert (done.code, done.out, done.err) == (2, "", f"cifar-lab: {message}\n")


def test_the_problems_of_every_file_and_option_come_in_one_pass(lab: Any) -> None:
    lab.write("a.yaml", "extends: tiny.yaml\noptimizer: {lr: -1}\nepoch: 3\n")
    lab.write("b.yaml", "model: {name: Nett}\n")
    before = lab.listing()
    done = lab("run", "a.yaml", "tiny.yaml", "b.yaml", "none.yaml", "--set", "loss.label_smoothing=2")
    told = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert [line.split(": ")[1:3] for line in told[:2]] == [["a.yaml:2", "optimizer.lr"], ["a.yaml:3", "epoch"]]
    assert told[1].endswith("did you mean epochs?")
    assert sum(line.startswith("cifar-lab: --set loss.label_smoothing=2: loss.label_smoothing: ") for line in told) == 1
    assert any(line.startswith("cifar-lab: b.yaml:1: model.name: ") and "did you mean Net" in line for line in told)
    assert any(line.startswith("cifar-lab: no file none.yaml") for line in told)
    assert len(told) == 5
    assert lab.listing() == before


@pytest.mark.parametrize("setting", ["optimizer.lr", "=3", "optimizer.lr=", "optimizer.rl=1", "runtime.device=gpu"])
def test_wrong_overrides(lab: Any, setting: str) -> None:
    done = lab("run", "tiny.yaml", "--set", setting)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("cifar-lab: --set")
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_force_makes_the_runs_again(trained_copy: Any) -> None:
    before = records(trained_copy.results)
    times = {path: path.stat().st_mtime_ns for path in trained_copy.results.glob("runs/*/weights.safetensors")}
    done = trained_copy("run", "tiny.yaml", "--force", "--seeds", "0")
    assert (done.code, done.progress[0]) == (0, "1 run: 1 to train")
    after = records(trained_copy.results)
    assert [record["test"] for record in after] == [record["test"] for record in before]
    changed = [path.parent.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == [before[0]["run_id"]]


@pytest.mark.slow
def test_a_damaged_record_is_made_again_and_says_so(trained_copy: Any) -> None:
    first = records(trained_copy.results)[0]
    folder = trained_copy.results / "runs" / first["run_id"]
    (folder / "record.json").write_text("{")
    listed = trained_copy("list")
    assert listed.code == 3
    assert f"{first['run_id']}/record.json: is damaged" in listed.err
    (line,) = (line.split() for line in listed.lines if line.startswith(first["run_id"]))
    assert line[:4] == [first["run_id"], "tiny", "0", "damaged"]
    done = trained_copy("run", "tiny.yaml")
    assert (done.code, done.progress[0]) == (0, "2 runs: 1 already done, 1 to train")
    again = records(trained_copy.results)[0]
    assert again["test"] == first["test"]
    assert again["notes"] == ["the record was damaged; set aside as record.json.damaged, and the run trained again"]
    assert (folder / "record.json.damaged").read_text() == "{"


@pytest.mark.slow
def test_cuda_without_cuda_is_2_before_anything_is_written(lab: Any) -> None:
    nowhere = {"CUDA_VISIBLE_DEVICES": "", "CIFAR_LAB_CACHE": str(lab.folder / "cache")}
    done = lab("run", "tiny.yaml", "--set", "runtime.device=cuda", **nowhere)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(
        r"cifar-lab: runtime\.device: cuda is not available here \(torch \S+ (finds no GPU|is a CPU-only build)\); "
        r"use --set runtime\.device=auto\n",
        done.err,
    )
    assert sorted(path.name for path in lab.folder.iterdir()) == ["tiny.yaml"]


@pytest.mark.slow
def test_a_diverged_run_is_a_result_with_a_reason(lab: Any) -> None:
    arguments = ("run", "tiny.yaml", "--seeds", "0", "--set", "optimizer.lr=1e9")
    done = lab(*arguments)
    assert (done.code, done.err) == (5, "")
    (record,) = records(lab.results)
    assert (record["status"], record["test"], record["test_reason"]) == ("diverged", None, "diverged")
    assert re.fullmatch(
        r"the loss was not finite in epoch 1 at step \d+; the last finite loss was \S+", record["reason"]
    )
    assert f"[1/1] tiny (optimizer.lr=1e9) · seed 0: diverged: {record['reason']}" in done.progress
    assert any("1 diverged" in line for line in done.lines)
    assert "NaN" not in json.dumps(record)
    strict = lab(*arguments, "--strict")
    assert (strict.code, strict.progress[0]) == (5, "1 run: 1 already done")


MODELS = """\
import os
import torch


class NoInit(torch.nn.Module):
    def __init__(self, num_classes):
        raise ValueError("no such\\nthing")


class NoForward(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = torch.nn.Linear(3072, num_classes)

    def forward(self, images):
        raise RuntimeError("not \x1b[31mtoday")


class Dies(torch.nn.Module):
    def __init__(self, num_classes):
        os._exit(9)


class FailsInTraining(NoForward):
    def forward(self, images):
        if len(images) > 10:
            raise RuntimeError("a batch of [bold]20[/]")
        return self.linear(images.flatten(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        (
            "NoInit",
            2,
            "model.name: {file}:NoInit could not be created: ValueError: no such ({file}:7); correct it",
        ),
        (
            "Dies",
            2,
            "model.name: {file}:Dies: its trial ended: its process ended with 9; correct its code, or choose a smaller "
            "batch or model if memory is short",
        ),
    ],
)
def test_a_model_that_does_not_build_writes_nothing(lab: Any, name: str, code: int, message: str) -> None:
    path = lab.write("models.py", MODELS)
    done = lab("run", "tiny.yaml", "--set", f"model.name=models.py:{name}")
    assert (done.code, done.err) == (code, f"cifar-lab: {message.format(file=path)}\n")
    assert not lab.results.exists()


@pytest.mark.slow
def test_a_model_that_fails_in_training_fails_its_runs_and_no_others(lab: Any) -> None:
    lab.write("models.py", MODELS)
    lab.write("mine.yaml", "extends: tiny.yaml\nmodel: {name: 'models.py:FailsInTraining'}\n")
    done = lab("run", "mine.yaml", "tiny.yaml", "--seeds", "0", "--workers", "1", "--no-trial")
    assert (done.code, done.err) == (1, "")
    reason = f"RuntimeError: a batch of [bold]20[/] ({lab.folder}/models.py:27)"
    assert f"[1/2] mine · seed 0: failed: {reason}" in done.progress
    assert any(line.startswith("[2/2] tiny · seed 0: done, ") for line in done.progress)
    assert f"failed mine · seed 0: {reason}" in " ".join(done.lines)
    assert [record["label"] for record in records(lab.results)] == ["tiny"]


def test_missing_weights_are_3_and_nothing_is_written(lab: Any) -> None:
    done = lab("run", "tiny.yaml", "--set", "model.weights=none.pt")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        f"cifar-lab: {lab.folder}/none.pt: cannot be read (No such file or directory); check the path in the settings\n"
    )
    assert not lab.results.exists()


@pytest.mark.slow
def test_weights_that_are_none_are_3(lab: Any) -> None:
    lab.write("weights.pt", "these are no weights")
    done = lab("run", "tiny.yaml", "--set", "model.weights=weights.pt")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert done.err.startswith(f"cifar-lab: {lab.folder}/weights.pt: ")
    assert not lab.results.exists()


def test_missing_data_without_a_network_is_3_soon_and_names_the_ways_on(
    lab: Any, without_network: Callable[[], tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    before, variables = without_network()
    lab.write("real.yaml", "data: {dataset: cifar10}\nepochs: 1\nseeds: [0]\n")
    cache = lab.folder / "cache"
    done = lab("run", "real.yaml", before=before, **variables, CIFAR_LAB_CACHE=str(cache))
    assert (done.code, done.out) == (3, "")
    assert done.seconds < 10
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"cifar-lab: {cache}/downloads/cifar-10-python.tar.gz: missing, and ")
    assert "Put cifar-10-python.tar.gz (SHA-256 6d958be0745" in done.err
    for way in (
        f") into {cache}/downloads",
        "--set data.dataset=imagefolder --set data.root=PATH",
        "--set data.dataset=synthetic",
    ):
        assert way in done.err
    assert not lab.results.exists()


def test_a_cache_that_is_good_needs_no_network(
    trained: Any, without_network: Callable[[], tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    before, variables = without_network()
    done = trained.lab("run", "tiny.yaml", before=before, **variables)
    assert (done.code, done.progress) == (0, ["2 runs: 2 already done"])


def test_a_file_in_the_place_of_the_results_is_4(lab: Any) -> None:
    lab.write("results", "")
    done = lab("run", "tiny.yaml")
    assert done.code == 4
    assert done.err == (
        "cifar-lab: results: cannot be written (File exists); free space or choose another folder with --results, "
        "then run the same command again\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ünï 日本 😀", "with 'quotes\" and [red]markup", "two\nlines", "-dash", "n" * 255])
def test_any_name_of_a_results_folder_is_read(trained_copy: Any, name: str) -> None:
    trained_copy.results.rename(trained_copy.folder / name)
    record = records(trained_copy.folder / name)[0]
    for command in (["list"], ["show", record["run_id"]], ["run", "tiny.yaml"]):
        shown = trained_copy(*command, f"--results={name}")
        assert (shown.code, shown.err) == (0, "")
        assert f"{record['test']['accuracy']:.4f}" in shown.out
    shown = trained_copy("show", "none", f"--results={name}")
    assert (shown.code, shown.err.count("cifar-lab: ")) == (2, 1)


@pytest.mark.slow
def test_any_name_of_a_results_folder_is_written(lab: Any) -> None:
    name = "ünï 'quotes\" [red]x\nand a line"
    done = lab("run", "tiny.yaml", "--seeds", "0", f"--results={name}")
    assert (done.code, done.err) == (0, "")
    assert len(records(lab.folder / name)) == 1


@pytest.mark.slow
def test_a_label_is_shown_and_never_obeyed(trained_copy: Any) -> None:
    record = records(trained_copy.results)[0]
    path = trained_copy.results / "runs" / record["run_id"] / "record.json"
    # As a record from elsewhere could hold it: settings files refuse control characters.
    label = "[red]bold[/] [/nothing] <b> 😀 a\x1b[2Jb\x07\nc\u202e"
    del record["sha256"]
    path.write_bytes(seal_record(json.dumps({**record, "label": label}, indent=1)))
    for command in (["list"], ["show", record["run_id"]]):
        shown = trained_copy(*command)
        assert (shown.code, shown.err) == (0, "")
        assert "[red]bold[/] [/nothing] <b> 😀 a[2Jb c" in shown.out
        assert not {"\x1b", "\x07", "\u202e"} & set(shown.out)


def test_a_label_with_escape_codes_is_refused(lab: Any) -> None:
    lab.write("odd.yaml", 'extends: tiny.yaml\nlabel: "\\e[2J"\n')
    done = lab("run", "odd.yaml")
    assert (done.code, done.err) == (2, "cifar-lab: odd.yaml:2: label: holds a control character; remove it\n")


def test_two_arms_of_the_same_numbers_are_trained_once(lab: Any) -> None:
    lab.write("same.yaml", "extends: tiny.yaml\nlabel: same\n")
    done = lab("run", "tiny.yaml", "same.yaml", "tiny.yaml", "--seeds", "0", "--dry-run")
    assert done.lines[-2] == "1 run: 1 to train"
