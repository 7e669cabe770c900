"""Checkpoints: whole or not used."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab.core.checksums import CHECKPOINT_MAGIC
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.training import checkpoint
from cifar_lab.training.checkpoint import DamagedCheckpointError

STATE: dict[str, Any] = {
    "cohort": {"weights": [torch.arange(6.0).view(2, 3)], "step": torch.tensor([[7.0]]), "counter": torch.tensor(3)},
    "history": [{"epoch": 1, "train_loss": 2.25, "val_loss": None}],
    "started": "2026-01-01T00:00:00Z",
}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and bool(a == b)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.bin"


def in_epoch(epoch: int) -> dict[str, Any]:
    return {**STATE, "epoch": epoch}


def test_what_was_saved_is_loaded(path: Path) -> None:
    checkpoint.save(path, STATE)
    assert equal(checkpoint.load(path), STATE)
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.bin"]


def test_the_one_before_is_kept_and_none_older(path: Path) -> None:
    for epoch in (1, 2, 3):
        checkpoint.save(path, in_epoch(epoch))
    assert checkpoint.load(path)["epoch"] == 3
    assert checkpoint.load(checkpoint.previous(path))["epoch"] == 2
    checkpoint.remove(path)
    assert list(path.parent.iterdir()) == []
    checkpoint.remove(path)


def test_nothing_there_is_nothing_to_go_on_from(path: Path) -> None:
    assert checkpoint.load_newest(path) == (None, [])


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_a_save_that_fails_at_any_moment_leaves_a_good_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoint.save(path, in_epoch(1))
    checkpoint.save(path, in_epoch(2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if moment == "fsync":
            patch.setattr("cifar_lab.core.atomic_io.os.fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(EnvironmentFault) as caught:
            checkpoint.save(path, in_epoch(3))
    assert re.fullmatch(
        rf"{path}: cannot be written \(No space left on device(?: for [\d,]+ bytes)?\); free space or choose another "
        "folder with --results, then run the same command again",
        str(caught.value),
    )
    state, notes = checkpoint.load_newest(path)
    assert state is not None
    assert (state["epoch"], notes) == (2, [])
    assert not list(path.parent.glob("*.tmp"))


def damaged(content: bytes, kind: str, chance: random.Random) -> bytes:
    if kind == "flip":
        place = chance.randrange(len(content) * 8)
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        return bytes(flipped)
    if kind == "cut":
        return content[: chance.randrange(len(content))]
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


@pytest.mark.parametrize(("kind", "times"), [("flip", 200), ("cut", 20), ("zeroed tail", 1)])
def test_no_damage_is_ever_loaded(path: Path, kind: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(path, STATE)
    content, chance = path.read_bytes(), random.Random(1)
    read: list[object] = []
    monkeypatch.setattr(torch, "load", lambda *given, **options: read.append(given))
    for _ in range(times):
        path.write_bytes(damaged(content, kind, chance))
        with pytest.raises(DamagedCheckpointError, match=r"^checkpoint\.bin is damaged$"):
            checkpoint.load(path)
    assert not read, "damaged bytes were given to the reader"


def torch_file(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [lambda: b"", lambda: b"a text of somebody's\n", lambda: torch_file(STATE), lambda: CHECKPOINT_MAGIC],
    ids=["empty", "text", "torch's own", "head alone"],
)
def test_a_foreign_file_is_not_read(path: Path, content: Callable[[], bytes]) -> None:
    path.write_bytes(content())
    with pytest.raises(DamagedCheckpointError, match=r"^checkpoint\.bin is damaged$"):
        checkpoint.load(path)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_pickle_bomb_does_not_run_even_with_a_right_checksum(path: Path, tmp_path: Path, form: str) -> None:
    victim = tmp_path / "victim"
    bomb = {"cohort": Bomb(victim)}
    payload = torch_file(bomb) if form == "torch" else pickle.dumps(bomb)
    seal(path, payload)
    with pytest.raises(DamagedCheckpointError, match=r"^checkpoint\.bin is not a checkpoint of this version \(\w+\)$"):
        checkpoint.load(path)
    assert not victim.exists()
    pickle.loads(pickle.dumps(Bomb(victim)))
    assert victim.exists(), "the bomb would have worked"


def seal(path: Path, payload: bytes) -> None:
    """Write `payload` with the head that makes its checksum hold."""
    digest = hashlib.sha256(path.parent.name.encode() + payload).digest()
    path.write_bytes(CHECKPOINT_MAGIC + digest + payload)


def test_the_checkpoint_of_another_run_is_not_loaded(path: Path, tmp_path: Path) -> None:
    checkpoint.save(path, STATE)
    other = tmp_path / "another run" / path.name
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    with pytest.raises(DamagedCheckpointError, match=r"^checkpoint\.bin is damaged$"):
        checkpoint.load(other)


def test_damage_is_set_aside_with_a_note_and_the_one_before_is_taken(path: Path) -> None:
    checkpoint.save(path, in_epoch(1))
    checkpoint.save(path, in_epoch(2))
    broken = path.read_bytes()[:-1]
    path.write_bytes(broken)
    state, notes = checkpoint.load_newest(path)
    assert state is not None
    assert state["epoch"] == 1
    assert notes == ["checkpoint.bin is damaged; set aside as checkpoint.bin.damaged"]
    assert path.with_name("checkpoint.bin.damaged").read_bytes() == broken
    checkpoint.save(path, in_epoch(2))
    assert checkpoint.load(checkpoint.previous(path))["epoch"] == 1


def test_where_both_are_damaged_nothing_is_loaded_and_both_are_named(path: Path) -> None:
    checkpoint.save(path, in_epoch(1))
    checkpoint.save(path, in_epoch(2))
    path.write_bytes(b"")
    checkpoint.previous(path).write_bytes(b"x")
    assert checkpoint.load_newest(path) == (
        None,
        [
            "checkpoint.bin is damaged; set aside as checkpoint.bin.damaged",
            "checkpoint.bin.previous is damaged; set aside as checkpoint.bin.previous.damaged",
        ],
    )


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="No such file or directory"):
        checkpoint.save(tmp_path / "gone" / "checkpoint.bin", STATE)
    assert not (tmp_path / "gone").exists()
