"""Results that an earlier version left, as they are checked in beside this file; a folder for each schema."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.store.records import SCHEMA
from cifar_lab.store.results import RunFolder, run_ids

from .registry import Case, case

HERE = Path(__file__).parent


@pytest.fixture(params=range(1, SCHEMA))
def old(request: pytest.FixtureRequest, lab: Any) -> Path:
    """A copy of the results of an earlier schema, with the settings and model that they were made of."""
    source = HERE / f"schema_{request.param}"
    for name in ("model.py", "arm.yaml"):
        shutil.copy(source / name, lab.folder / name)
    shutil.copytree(source / "runs", lab.results / "runs")
    return Path(lab.results)


def listing(results: Path) -> dict[str, bytes]:
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


@case(
    35,
    "results of an earlier version, and the command that made them",
    remains="those results, byte for byte: they count as done",
    says="1 run: 1 already done",
    code=0,
)
def test_runs_of_an_earlier_version_are_there_already(old: Path, lab: Any, case: Case) -> None:
    before = listing(old)
    code, told, wrong = lab.command("run", "arm.yaml")
    case.check(told + wrong, code)
    assert listing(old) == before


@case(
    35,
    "results of an earlier version are listed and verified",
    remains="those results, byte for byte",
    says="1 run, {files} files read: none damaged",
    code=0,
)
def test_results_of_an_earlier_version_are_read(
    old: Path, lab: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(lab.folder / "cache"))
    before = listing(old)
    (run,) = run_ids(old)
    code, told, wrong = lab.command("show", run)
    assert (code, wrong) == (0, "")
    assert "test accuracy 0.2000" in told
    code, told, wrong = lab.command("verify")
    case.check(told + wrong, code)
    record = RunFolder(old, run).read_record()
    assert record is not None
    assert record.schema_ < SCHEMA
    assert listing(old) == before


@case(
    35,
    "a file beside a record of an earlier version is missing",
    remains="the old record under `record.json.damaged`; the run is made again, in the present version",
)
def test_an_earlier_record_is_checked_too(old: Path, lab: Any) -> None:
    (run,) = run_ids(old)
    folder = RunFolder(old, run)
    record = folder.read_record()
    assert record is not None
    assert folder.incomplete_file(record) is None
    folder.weights.unlink()
    assert folder.incomplete_file(record) == "weights.safetensors"
    folder.weights.write_bytes(b"")
    assert folder.incomplete_file(record) == "weights.safetensors"
