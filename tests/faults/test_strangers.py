"""Results from elsewhere: nothing outside the folder of a run is opened, hashed, renamed or written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.results import RunFolder, find_records, read_metrics
from cifar_lab.store.verify import verify_results

from .integrity_folder import Folder, make_folder_of_all_files
from .registry import case

Plant = Callable[[Folder, Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder_of_all_files(tmp_path_factory.mktemp("made"))


@pytest.fixture
def folder(made: Folder, tmp_path: Path) -> Folder:
    """One run of a stranger, and a folder of ours beside the results."""
    results = tmp_path / "results"
    shutil.copytree(made.run.path, results / "runs" / made.run.path.name)
    run = RunFolder(results, made.run.path.name)
    return Folder(made.sheet, run, run, made.plan)


@pytest.fixture
def home(made: Folder, tmp_path: Path) -> Path:
    """Files that are not the laboratory's, with names that it uses too."""
    home = tmp_path / "home"
    shutil.copytree(made.run.path, home / made.run.path.name)
    for name in ("thesis.txt", "checkpoint.bin", "record.json", "weights.safetensors", "failure.json"):
        (home / name).write_bytes(b"ours: " + name.encode())
        (home / made.run.path.name / name).write_bytes(b"ours: " + name.encode())
    return home


def name_a_file(name: str) -> Plant:
    def plant(folder: Folder, home: Path) -> None:
        values = json.loads(folder.run.record.read_bytes())
        del values["sha256"]
        values["files"] |= {name.format(home=home): "0" * 64}
        folder.run.record.write_bytes(seal_record(json.dumps(values, indent=1)))

    return plant


def link(name: str, target: str) -> Plant:
    def plant(folder: Folder, home: Path) -> None:
        path = folder.run.path / name
        path.unlink(missing_ok=True)
        path.symlink_to(home / target)

    return plant


def link_and_damage(name: str, target: str) -> Plant:
    def plant(folder: Folder, home: Path) -> None:
        link(name, target)(folder, home)
        folder.run.predictions.write_bytes(b"damaged")

    return plant


def link_folder(folder: Folder, home: Path) -> None:
    shutil.rmtree(folder.run.path)
    folder.run.path.symlink_to(home / folder.run.path.name)


def link_all_runs(folder: Folder, home: Path) -> None:
    shutil.rmtree(folder.run.path.parent)
    folder.run.path.parent.symlink_to(home)


def link_sweeps(folder: Folder, home: Path) -> None:
    (folder.results / "sweeps").symlink_to(home)


def name_a_document(folder: Folder, home: Path) -> None:
    (folder.results / "index").mkdir()
    content = {"schema": 2, "document": f"{home}/thesis.txt", "entries": 1, "contents": []}
    (folder.results / "index" / "0123456789abcdef.json").write_bytes(seal_record(json.dumps(content, indent=1)))


PLANTS: dict[str, Plant] = {
    "absolute name": name_a_file("{home}/thesis.txt"),
    "name above": name_a_file("../../../home/thesis.txt"),
    "name beside": name_a_file("record.json"),
    "linked weights": link("weights.safetensors", "weights.safetensors"),
    "linked record": link("record.json", "record.json"),
    "linked metrics": link("metrics.jsonl", "thesis.txt"),
    "linked settings": link("settings.yaml", "thesis.txt"),
    "linked checkpoint": link("checkpoint.bin", "checkpoint.bin"),
    "linked failure": link("failure.json", "failure.json"),
    "linked lock": link_and_damage("lock", "thesis.txt"),
    "linked folder": link_folder,
    "linked runs": link_all_runs,
    "linked sweeps": link_sweeps,
    "named document": name_a_document,
}


@case(
    24,
    "a record from elsewhere names a file outside its folder, or a file, a folder or a lock is a link to one",
    remains="that file as it was, never opened; `verify` names the record or the link and sets it aside",
)
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_verify_touches_only_what_is_the_labs(plant: Plant, folder: Folder, home: Path) -> None:
    plant(folder, home)
    before = {path: (path.read_bytes(), path.stat().st_atime_ns) for path in home.rglob("*") if path.is_file()}
    opened = _watch_opens(home)
    found = verify_results(folder.results)
    assert found.damage or found.notes or plant is name_a_document
    if plant is not link_all_runs:  # readers may find all runs on another disk
        find_records(folder.results)
    assert opened() == []
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == {
        path: content for path, (content, _) in before.items()
    }


def _watch_opens(home: Path) -> Callable[[], list[str]]:
    """Paths below `home` that this process opens from now on."""
    seen: list[str] = []
    is_on = [True]

    def hook(event: str, args: tuple[object, ...]) -> None:
        if is_on[0] and event == "open" and isinstance(args[0], str | os.PathLike):
            path = os.path.realpath(os.fspath(args[0]))
            is_followed = not isinstance(args[2], int) or not args[2] & os.O_NOFOLLOW
            if path.startswith(f"{home}{os.sep}") and (is_followed or not Path(args[0]).is_symlink()):
                seen.append(path)

    sys.addaudithook(hook)

    def stop() -> list[str]:
        is_on[0] = False
        return seen

    return stop


def test_a_linked_run_is_named_by_those_who_read(folder: Folder, home: Path) -> None:
    link_folder(folder, home)
    (unusable,) = find_records(folder.results).unusable
    assert (
        str(unusable.fault)
        == f"{folder.run.path}: is a symbolic link, which is not followed; replace it with the folder itself"
    )
    with pytest.raises(DataError, match="symbolic link"):
        read_metrics(folder.results, folder.run.path.name)
