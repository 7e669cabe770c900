from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_lab.core.atomic_io import CRASH_AT, disk_errors, make_folder, remove, set_aside, write_bytes, write_text
from cifar_lab.core.errors import EnvironmentFault


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_bytes(path, b"first")
    write_text(path, "zweiter Stand: ü\n")
    assert path.read_bytes() == "zweiter Stand: ü\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "record.json"
    with pytest.raises(EnvironmentFault) as caught:
        write_text(path, "text")
    assert str(caught.value) == (
        f"{path}: cannot be written (No such file or directory); free space or choose another folder with --results, "
        "then run the same command again"
    )
    assert not path.parent.exists()


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "record.json"
    folder.mkdir()
    with pytest.raises(EnvironmentFault, match="Is a directory"):
        write_text(folder, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_text(path, "old")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(EnvironmentFault, match="Input/output error"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


FILL = """
import sys
from pathlib import Path
from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import EnvironmentFault
path = Path(sys.argv[1]) / "weights"
write_bytes(path, b"old" * 1000)
try:
    write_bytes(path, bytes(1_000_000))
except EnvironmentFault as error:
    print(error)
print([(each.name, each.stat().st_size) for each in path.parent.iterdir()])
"""


def test_a_full_disk_is_named_and_keeps_the_old_file(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    mount = 'mount -t tmpfs -o size=64k none "$1" || exit 77; exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, FILL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine does not let us mount a small disk")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/weights: cannot be written (No space left on device for 1,000,000 bytes); free space or choose "
        "another folder with --results, then run the same command again",
        "[('weights', 3000)]",
    ]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("")
    with pytest.raises(EnvironmentFault) as caught:
        make_folder(path)
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(f"{path}: cannot be written (File exists);")


def test_only_errors_of_the_system_are_translated(tmp_path: Path) -> None:
    with pytest.raises(KeyError), disk_errors(tmp_path):
        raise KeyError("x")


def test_a_folder_is_made_only_inside_one_that_must_be_there(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b", inside=tmp_path)
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(EnvironmentFault, match=r"cannot be written \(No such file or directory\)"):
        make_folder(tmp_path / "gone" / "runs", inside=tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_what_is_set_aside_or_removed_is_gone_from_its_name(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("damaged")
    assert set_aside(path) == tmp_path / "record.json.damaged"
    assert [each.name for each in tmp_path.iterdir()] == ["record.json.damaged"]
    remove(tmp_path / "record.json.damaged", tmp_path / "never there")
    assert list(tmp_path.iterdir()) == []


CRASH = """
import sys
from pathlib import Path
from cifar_lab.core.atomic_io import write_bytes
write_bytes(Path(sys.argv[1]) / "first", b"1")
write_bytes(Path(sys.argv[1]) / "second", b"22")
"""


@pytest.mark.parametrize(
    ("crash_at", "left"),
    [
        ("1", {}),
        ("4", {"first": b"1"}),
        ("5", {"first": b"1"}),
        ("5:torn", {"first": b"1", ".second": b"2"}),
        ("7", {"first": b"1", ".second": b"22"}),
        ("8", {"first": b"1", "second": b"22"}),
    ],
)
def test_the_process_crashes_at_its_nth_act(tmp_path: Path, crash_at: str, left: dict[str, bytes]) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)], env={**os.environ, CRASH_AT: crash_at})
    assert done.returncode == -9
    assert {re.sub(r"\.\d+\.tmp$", "", path.name): path.read_bytes() for path in tmp_path.iterdir()} == left
