"""Bits that flip and files that are cut: all of it is noticed, and nothing of it is used."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_lab import data
from cifar_lab.config import Synthetic
from cifar_lab.core.errors import DataError, Interrupted
from cifar_lab.data import cache
from cifar_lab.data.synthetic import SyntheticSource
from cifar_lab.store.records import EpochMetrics
from cifar_lab.store.results import DamagedFileError, DamagedRecordError, RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.checkpoint import DamagedCheckpointError

from .registry import Case, case

FLIPS, CUTS = 200, 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, session_images: Path) -> RunFolder:
    """The folder of a finished run, with the last checkpoint that it had on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_LAB_CACHE", str(session_images))
        from ..conftest import Laboratory

        lab = Laboratory(tmp_path_factory.mktemp("made"))
        job = lab.job(lab.settings("data.val_size=30"))
        folder = lab.run_folder(job)
        with pytest.raises(Interrupted):
            lab.make(job, should_stop=lambda: True)
        kept = folder.checkpoint.read_bytes()
        lab.make(job)
        folder.checkpoint.write_bytes(kept)
        return folder


@pytest.fixture
def folder(made: RunFolder, tmp_path: Path) -> RunFolder:
    """The same, to be damaged."""
    shutil.copytree(made.path, tmp_path / "results" / "runs" / made.path.name)
    return RunFolder(tmp_path / "results", made.path.name)


def damages(content: bytes, seed: int) -> Iterator[bytes]:
    """The content with one bit flipped, `FLIPS` times, and cut, `CUTS` times, down to nothing."""
    chance = random.Random(seed)
    for _ in range(FLIPS):
        place = chance.randrange(len(content) * 8)
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        yield bytes(flipped)
    for size in (0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(CUTS - 2))):
        yield content[:size]


def assert_all_noticed(path: Path, read: Callable[[], object], fault: type[Exception], seed: int = 1) -> None:
    good = path.read_bytes()
    for number, content in enumerate(damages(good, seed)):
        path.write_bytes(content)
        with pytest.raises(fault):
            pytest.fail(f"damage {number} was read as {read()!r}")
    path.write_bytes(good)
    read()


@case(12, "a bit of a record flips, or it is cut", remains="the record, until it is set aside; it counts nowhere")
def test_no_damaged_record_is_read(folder: RunFolder) -> None:
    assert_all_noticed(folder.record, folder.read_record, DamagedRecordError)


@case(11, "a bit of a checkpoint flips, or it is cut", remains="the checkpoint, set aside as `checkpoint.bin.damaged`")
def test_no_damaged_checkpoint_is_read(folder: RunFolder) -> None:
    assert_all_noticed(folder.checkpoint, lambda: checkpoint.load(folder.checkpoint), DamagedCheckpointError)


@case(
    12,
    "a bit of the weights or of the predictions flips, or they are cut",
    remains="the file, until it is set aside with its record",
    says="{path}: is damaged (its SHA-256 differs from the record); to retrain the run: cifar-lab run {settings} "
    "--results {results} --force",
)
@pytest.mark.parametrize("name", ["weights.safetensors", "predictions.npz"])
def test_no_damaged_file_of_a_run_is_read(folder: RunFolder, name: str, case: Case) -> None:
    record = folder.read_record()
    assert record is not None
    assert_all_noticed(folder.path / name, lambda: folder.read_file(record, name), DamagedFileError)
    (folder.path / name).write_bytes(b"x")
    with pytest.raises(DamagedFileError) as caught:
        folder.read_file(record, name)
    case.check(str(caught.value), path=folder.path / name)


@case(12, "a bit of the epochs' numbers flips, or they are cut", remains="the file, until it is set aside")
def test_no_damaged_epoch_is_read(folder: RunFolder) -> None:
    record, good = folder.read_record(), folder.metrics.read_bytes()
    assert record is not None
    history = folder.read_metrics(record)

    def numbers(epochs: list[EpochMetrics]) -> list[dict[str, Any]]:
        return [epoch.model_dump(exclude={"seconds"}) for epoch in epochs]

    noticed = 0
    for content in damages(good, 2):
        folder.metrics.write_bytes(content)
        try:
            read = folder.read_metrics(record)
        except DamagedFileError:
            noticed += 1
        else:  # white space, or less than a nanosecond
            assert numbers(read) == numbers(history)
            assert sum(epoch.seconds for epoch in read) == pytest.approx(record.train_seconds, rel=1e-9)
    assert noticed > 0.8 * FLIPS + CUTS - 2


@case(
    13,
    "a bit of the prepared images flips, or a file of them is cut",
    remains="good images: they are prepared again when they are used",
    says="{path}: SHA-256 is {found}, expected {expected}; the images are prepared again",
)
@pytest.mark.parametrize(
    "name", ["train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "meta.json"]
)
def test_no_damaged_images_are_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, case: Case
) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path))
    settings = Synthetic(dataset="synthetic", train_size=20, test_size=10)
    data.prepare(settings)
    folder = cache.folder_of(SyntheticSource(settings))
    good = (folder / name).read_bytes()
    meta = cache.read_meta(folder)
    missed = 0
    for content in damages(good, 3):
        (folder / name).write_bytes(content)
        if cache.damage(folder) is None:
            missed += 1
            assert cache.read_meta(folder) == meta
    assert missed < FLIPS // 4 if name == "meta.json" else missed == 0, "white space between keys may change"
    (folder / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    data.load_train(settings)
    data.load_test(settings)
    assert (folder / name).read_bytes() == good
    if name.endswith("images.npy"):
        case.check(caplog.messages[0], path=folder / name)


@pytest.mark.slow
@case(
    12,
    "damage in a results folder, found by `verify`",
    remains="the damaged file under a name that ends in `.damaged`, and so its record; all else as it was",
    says="{path}: is damaged; set aside as {aside}; to retrain the run: cifar-lab run {settings} --results {results}",
    code=3,
)
@pytest.mark.parametrize("name", ["record.json", "weights.safetensors", "predictions.npz", "metrics.jsonl"])
def test_verify_names_damage_and_the_command_it_names_mends_it(
    folder: RunFolder, lab: Any, name: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(lab.folder / "cache"))
    folder.checkpoint.unlink()
    good = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    damaged = bytearray(good[name])
    damaged[len(damaged) // 2] ^= 4
    (folder.path / name).write_bytes(damaged)
    code, out, told = lab.command("verify", "--results", folder.path.parents[1])
    settings, results = folder.settings, folder.path.parents[1]
    case.check(told, code, path=folder.path / name, aside=f"{name}.damaged", settings=settings, results=results)
    assert out == f"1 run, {0 if name == 'record.json' else 5} files read: 1 damaged\n"
    assert (folder.path / f"{name}.damaged").read_bytes() == damaged
    assert (folder.path / "record.json.damaged").exists()
    if name == "weights.safetensors":
        code, told, wrong = lab.command("run", settings, "--results", results)
        assert (code, wrong) == (0, "")
        record = folder.read_record()
        assert record is not None
        assert (folder.weights.read_bytes(), folder.predictions.read_bytes()) == (good[name], good["predictions.npz"])
    code, out, told = lab.command("verify", "--results", results)
    assert (code, told) == (0, "")


@pytest.mark.slow
@case(
    12,
    "a file beside a record is missing or cut",
    remains="the record under `record.json.damaged`; the run is made again",
    says="1 run: 1 to train",
    code=0,
)
@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_a_file_that_is_gone_is_noticed_without_reading_any(folder: RunFolder, kind: str, lab: Any, case: Case) -> None:
    folder.checkpoint.unlink()
    good = folder.predictions.read_bytes()
    folder.predictions.unlink() if kind == "missing" else folder.predictions.write_bytes(good[:-1])
    code, told, _ = lab.command("run", folder.settings, "--results", folder.path.parents[1])
    case.check(told, code)
    assert folder.predictions.read_bytes() == good
    record = folder.read_record()
    assert record is not None
    assert record.notes == (
        "predictions.npz was missing or cut short, so the record was wrong; set aside as record.json.damaged, and the "
        "run trained again",
    )


@case(
    11,
    "the checkpoint is damaged when a run goes on",
    remains="the one before is taken, or the run begins anew; the record has a note of it",
    says="checkpoint.bin is damaged; set aside as checkpoint.bin.damaged",
)
def test_a_damaged_checkpoint_costs_an_epoch_and_not_the_run(lab: Any, case: Case) -> None:
    job = lab.job(lab.settings("label=again"))
    epochs: list[int] = []
    with pytest.raises(Interrupted):
        lab.make(job, lambda event: epochs.append(getattr(event, "epoch", 0)), lambda: 2 in epochs)
    folder = lab.run_folder(job)
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:-1])
    record = lab.make(job)
    assert record.notes[1] == "resumed after epoch 1"
    case.check(record.notes[0])


@case(
    12,
    "a record of a newer version",
    remains="the record as it is",
    says="{path}: has schema 6, but this cifar-lab reads up to 5; install a newer cifar-lab",
    code=3,
)
def test_a_record_of_a_newer_version_is_left_alone(folder: RunFolder, lab: Any, case: Case) -> None:
    content = '{"schema": 6, "run_id": "unheard of"}'
    folder.record.write_text(content)
    code, _, told = lab.command("run", folder.settings, "--results", folder.path.parents[1])
    case.check(told, code, path=folder.record)
    with pytest.raises(DataError):
        folder.read_record()
    assert folder.record.read_text() == content
