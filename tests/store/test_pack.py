"""Packs: the same files give the same bytes, and nothing but a pack is unpacked."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_lab.core import atomic_io
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.store.attack_records import attack_file
from cifar_lab.store.documents import index_entry, seal_document
from cifar_lab.store.looks import looks_files
from cifar_lab.store.pack import unpack, write_pack
from cifar_lab.store.pack_names import MANIFEST, is_packed_name
from cifar_lab.store.results import SweepFolder, stopping_file
from cifar_lab.store.run_files import RUN_FILES, is_run_file
from cifar_lab.store.run_folder import RunFolder
from cifar_lab.store.run_paths import RunPaths, _Named

from ..faults.forks import in_fork

RECORD = "results/runs/0123456789abcdef/record.json"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files to pack."""
    folder = tmp_path / "files"
    folder.mkdir()
    names = {"lab/configs/lab.yaml": "title: t\n", "lab/nets/own.py": "x = 1\n", RECORD: '{"a": 0.123}\n'}
    for number, text in enumerate(names.values()):
        (folder / str(number)).write_text(text)
    return {name: folder / str(number) for number, name in enumerate(names)}


@pytest.fixture
def archive(tmp_path: Path, files: dict[str, Path]) -> Path:
    """A good pack."""
    write_pack(tmp_path / "lab.zip", files, "configs", weights=False)
    return tmp_path / "lab.zip"


def test_files_come_back_and_the_same_files_give_the_same_bytes(
    tmp_path: Path, files: dict[str, Path], archive: Path
) -> None:
    for path in files.values():
        os.utime(path, (1, 1))
    write_pack(tmp_path / "again.zip", dict(reversed(files.items())), "configs", weights=False)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    manifest = unpack(archive, tmp_path / "lab")
    assert (manifest.runs, manifest.folder, manifest.has_weights) == (1, "configs", False)
    found = {path.relative_to(tmp_path / "lab").as_posix() for path in (tmp_path / "lab").rglob("*") if path.is_file()}
    assert found == {
        "configs/lab.yaml", "nets/own.py", "configs/results/runs/0123456789abcdef/record.json",
        "configs/results/packed.json",
    }  # fmt: skip
    assert (tmp_path / "lab" / "nets" / "own.py").read_text() == "x = 1\n"


def test_every_file_of_a_run_and_of_a_sweep_has_a_known_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "0" * 16)
    names = {value.__get__(folder, RunPaths).name for value in vars(RunPaths).values() if isinstance(value, _Named)}
    assert len(names) > 6
    assert names <= RUN_FILES
    left_out = {"checkpoint.bin", "lock"}
    assert {name for name in names if not is_packed_name(f"results/runs/{'0' * 16}/{name}")} == left_out
    attack = attack_file(folder, "0123456789ab").name
    assert is_run_file(attack)
    assert is_packed_name(f"results/runs/{'0' * 16}/{attack}")
    sweep = SweepFolder(tmp_path, "grid")
    for path in (sweep.plan, sweep.history, sweep.winners, *looks_files(tmp_path), stopping_file(tmp_path, "q1-ab")):
        assert is_packed_name(f"results/{path.relative_to(tmp_path).as_posix()}"), path
    assert is_packed_name(f"results/{index_entry(tmp_path, sweep.plan).relative_to(tmp_path).as_posix()}")


def test_no_file_is_overwritten(tmp_path: Path, files: dict[str, Path], archive: Path) -> None:
    with pytest.raises(SettingsError, match="exists; remove it"):
        write_pack(archive, files, ".", weights=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("full", "link"):
        with pytest.raises(SettingsError, match="not an empty folder"):
            unpack(archive, tmp_path / name)
    (tmp_path / "empty").mkdir()
    unpack(archive, tmp_path / "empty")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def forge(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], listed: bool = True) -> Path:
    """An archive with a manifest of these entries."""
    names = {name.filename if isinstance(name, zipfile.ZipInfo) else name: content for name, content in entries}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in names.items()} if listed else {}
    values = {"pack": 1, "cifar_lab": "0", "folder": ".", "weights": True, "files": digests}
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(MANIFEST, seal_document(values))
        for name, content in entries:
            made.writestr(name, content)
    return path


def _entry(name: str, mode: int = 0, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr, entry.compress_type, entry.create_system = mode << 16, method, 3
    return entry


FOREIGN = {
    "path upwards": ("lab/../../evil.py", b"x"),
    "absolute path": ("/evil.py", b"x"),
    "absolute path inside": ("lab//etc/evil.py", b"x"),
    "backslashes": ("lab\\..\\evil.py", b"x"),
    "drive": ("lab/C:/evil.py", b"x"),
    "hidden file": ("lab/.git/config", b"x"),
    "home": ("lab/~/x.py", b"x"),
    "option": ("lab/-rf", b"x"),
    "unknown result": ("results/evil.sh", b"x"),
    "unknown file of a run": ("results/runs/0123456789abcdef/evil.json", b"x"),
    "results among the sources": ("lab/results/x.py", b"x"),
    "no known folder": ("evil.py", b"x"),
    "folder": ("lab/folder/", b""),
    "control character": ("lab/a\nb.py", b"x"),
    "link": (_entry("lab/link.py", stat.S_IFLNK | 0o777), b"/etc/passwd"),
    "device": (_entry("lab/device.py", stat.S_IFCHR | 0o666), b"x"),
    "compressed file": (_entry("lab/bomb.py", method=zipfile.ZIP_DEFLATED), b"0" * 1_000_000),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_entry_that_no_pack_has_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    path = forge(tmp_path / "x.zip", FOREIGN[name])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="no pack has"):
        unpack(path, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_other_files_are_no_packs(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip file")
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:-200])
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("lab/x.py", "x")
    with pytest.warns(UserWarning, match="Duplicate name"):
        forge(tmp_path / "twice.zip", ("lab/x.py", b"x"), ("lab/x.py", b"y"))
    forge(tmp_path / "unlisted.zip", ("lab/x.py", b"x"), listed=False)
    for name in ("text", "cut", "other", "twice", "unlisted"):
        with pytest.raises(DataError, match=r"no pack|is damaged"):
            unpack(tmp_path / f"{name}.zip", tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(SettingsError, match="no file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_a_pack_of_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(MANIFEST, seal_document({"pack": 2, "files": {}, "folder": "."}))
    with pytest.raises(DataError, match="format 2; install a newer cifar-lab"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_files_that_claim_more_bytes_than_the_archive_are_refused(tmp_path: Path, archive: Path) -> None:
    content = archive.read_bytes()
    at = content.index(b"PK\x01\x02")  # the first entry of the central directory: both sizes
    many = (10**9).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(content[: at + 20] + many + many + content[at + 28 :])
    with pytest.raises(DataError, match="no pack"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_a_changed_byte_anywhere_is_found(tmp_path: Path, archive: Path) -> None:
    content = archive.read_bytes()
    directory = content.index(b"PK\x01\x02")
    for at in range(0, directory, 7):
        (tmp_path / "x.zip").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            unpack(tmp_path / "x.zip", tmp_path / "out")
        except DataError:
            assert not (tmp_path / "out").exists()
            continue
        assert at < 30 or content[at - 40 : at + 40].count(b"PK\x03\x04"), at  # a header, which says nothing of a file
        shutil.rmtree(tmp_path / "out")


@given(st.text(max_size=30))
def test_every_name_of_a_pack_stays_below_its_folder(text: str) -> None:
    for name in (f"lab/{text}", f"results/{text}", text):
        if is_packed_name(name):
            parts = Path(name).parts
            assert not Path(name).is_absolute()
            assert ".." not in parts
            assert "/".join(parts) == name


@pytest.mark.parametrize("what", ["pack", "unpack"])
def test_an_archive_is_never_half_there(tmp_path: Path, files: dict[str, Path], archive: Path, what: str) -> None:
    target = tmp_path / "target"

    def action() -> None:
        write_pack(target, files, ".", weights=False) if what == "pack" else unpack(archive, target)

    for number in range(1, 60):
        if _killed_at(number, action) == 0:
            assert target.exists()
            assert number > 3
            return
        if target.exists():  # killed after the rename
            assert target.is_file() or len(list(target.rglob("*.*"))) >= 4
            return
    raise AssertionError("more acts than the test looks at")


def _killed_at(number: int, action: Callable[[], object]) -> int:
    def counted() -> None:
        atomic_io._acts = itertools.count(1)
        os.environ[atomic_io.CRASH_AT] = str(number)
        action()

    return in_fork(counted)[0]
