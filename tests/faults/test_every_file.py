"""Every kind of file of a results folder with every kind of damage: `verify` names it, the report is not misled."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.analysis.interim_looks import read_stopping_plans
from cifar_lab.analysis.recount import recount
from cifar_lab.analysis.summary import Row
from cifar_lab.config.io.load import recorded_settings_text
from cifar_lab.core.checksums import seal_record, unseal_record
from cifar_lab.report.build import build_report
from cifar_lab.report.recheck import check_report
from cifar_lab.store.documents import DOCUMENT_SCHEMA, write_document
from cifar_lab.store.records import Record
from cifar_lab.store.results import find_records
from cifar_lab.store.verify import verify_results

from .integrity_folder import Folder, make_folder_of_all_files
from .registry import case

KINDS = (
    "record", "weights", "predictions", "metrics", "settings", "checkpoint", "failure", "plan", "winners", "looks",
    "index", "notes", "mark",
)  # fmt: skip

EDITS = ("digit", "bit", "cut", "emptied", "appended", "another's", "a folder", "a link", "removed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder_of_all_files(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_folder_of_all_files(tmp_path_factory.mktemp("others"), seed=1)


@pytest.fixture
def folder(made: Folder, tmp_path: Path) -> Folder:
    """A copy, to be damaged."""
    shutil.copytree(made.sheet.parent, tmp_path / "lab")
    place = tmp_path / "lab"
    return Folder(
        place / "lab.yaml", type(made.run)(place / "results", made.run.path.name),
        type(made.run)(place / "results", made.failed.path.name),
        place / "results" / made.plan.relative_to(made.results),
    )  # fmt: skip


def edit(path: Path, how: str, other: Path, outside: Path) -> None:
    """Damage one file."""
    content = path.read_bytes()
    if how == "digit":
        places = [found.start() for found in re.finditer(rb"[0-8]", content)] or [len(content) // 2]
        place = places[len(places) // 3]
        path.write_bytes(content[:place] + bytes([content[place] + 1]) + content[place + 1 :])
    elif how == "bit":
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how in ("emptied", "appended"):
        path.write_bytes(b"" if how == "emptied" else content + b"x")
    elif how == "another's":
        path.write_bytes(other.read_bytes())
    else:
        path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "a link":
        outside.write_bytes(content)
        path.symlink_to(outside)


def settings_of(record: Record) -> str | None:
    return recorded_settings_text(record.settings, record.seed)


def test_every_kind_of_file_is_there(made: Folder) -> None:
    assert tuple(made.files()) == KINDS
    found = verify_results(made.results)
    assert (found.damage, found.notes) == ((), ())


@case(
    12,
    "any file of the results is edited, cut, emptied, replaced by another run's, made a link, or removed",
    remains="the damaged file under a name that ends in `.damaged`, all else as it was; nothing behind a link is read",
)
@pytest.mark.parametrize("how", EDITS)
@pytest.mark.parametrize("kind", KINDS)
def test_verify_names_it(kind: str, how: str, folder: Folder, others: Folder, tmp_path: Path) -> None:
    path, outside = folder.files()[kind], tmp_path / "outside"
    if how == "another's" and kind in ("plan", "winners", "index", "mark"):
        pytest.skip("these are equal in both folders")
    edit(path, how, others.files()[kind], outside)
    kept = outside.read_bytes() if outside.exists() else b""
    found = verify_results(folder.results, settings_of)
    if how == "removed" and kind in ("checkpoint", "failure", "index", "notes", "mark"):
        assert found.damage == ()
        return
    assert any(str(path) in line for line in found.damage), found
    assert (outside.read_bytes() if outside.exists() else b"") == kept
    again = verify_results(folder.results, settings_of)
    assert (again.damage == ()) == (kind not in ("looks", "record") or how != "removed")


@pytest.mark.parametrize("how", ["digit", "cut", "emptied", "a folder", "a link", "removed", "whole folder"])
def test_a_lost_plan_counts_as_many_looks_and_goes_on_doing_so(how: str, folder: Folder, tmp_path: Path) -> None:
    plans, faults = read_stopping_plans(folder.results)
    assert faults == []
    control = Row("control", key=plans.plans[0].control, fingerprint=plans.plans[0].fingerprint)
    if how == "whole folder":
        shutil.rmtree(folder.plan.parent)
    else:
        edit(folder.plan, how, folder.plan, tmp_path / "outside")
    for _ in range(2):  # before and after `verify` has set it aside
        plans, faults = read_stopping_plans(folder.results)
        assert plans.may_have_lost(Row("any"), control)
        assert [fault.startswith(str(folder.plan)) for fault in faults] == [True]
        verify_results(folder.results)


def test_a_plan_that_a_run_names_must_be_there(folder: Folder) -> None:
    record = folder.run.read_record()
    assert record is not None
    name = folder.plan.relative_to(folder.results).as_posix()
    folder.run.write_record(record.model_copy(update={"plan": name}))
    shutil.rmtree(folder.plan.parent)
    shutil.rmtree(folder.results / "index")
    assert read_stopping_plans(folder.results)[1] == []
    assert len(read_stopping_plans(folder.results, find_records(folder.results).records)[1]) == 1


def reseal(path: Path, change: Any) -> None:
    """Edit a document and give it a checksum that fits."""
    content, _ = unseal_record(path.read_bytes())
    values = json.loads(content)
    change(values)
    path.write_bytes(seal_record(json.dumps(values, indent=1, ensure_ascii=False)))


def set_to(*keys: str | int, value: Any) -> Any:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_to("winners", 0, "val_accuracy", value=0.97),
        set_to("winners", 1, "val_accuracy", value=0.97),
        set_to("winners", 0, "seeds_searched", value=5),
        set_to("winners", 0, "values", value={"optimizer.lr": 9}),
        set_to("winners", 0, "label", value="other"),
        set_to("winners", 0, "rank", value=2),
        set_to("winners", 0, "recipe", value={"epochs": 1}),
        set_to("control", "val_accuracy", value=0.1),
        set_to("runs", "diverged", value=0),
        set_to("runs", "searched", value=600),
        set_to("points", value=2),
        lambda values: values["winners"].pop(),
        lambda values: values["winners"].reverse(),
    ],
)
def test_an_edited_winner_with_a_new_checksum_differs_from_the_records(change: Any, folder: Folder) -> None:
    records = find_records(folder.results).records
    assert recount(folder.results, records) == []
    reseal(folder.files()["winners"], change)
    lines = recount(folder.results, records)
    assert any(line.startswith("sweeps/grid/winners.json: ") for line in lines), lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_to("test", "accuracy", value=0.97), "test.accuracy: 0.97 on disk, 0.5 from the predictions"),
        (set_to("files", "predictions.npz", value="0" * 64), "is damaged"),
    ],
)
def test_an_edited_record_with_a_new_checksum_differs_from_its_files(change: Any, told: str, folder: Folder) -> None:
    reseal(folder.run.record, change)
    lines = recount(folder.results, find_records(folder.results).records)
    assert any(told in line and str(folder.run.path.name) in line for line in lines), lines


@pytest.mark.parametrize(
    "change",
    [
        set_to("seed", value=3),
        set_to("recipe", "epochs", value=3),
        set_to("data", "fingerprint", value="0" * 64),
    ],
)
def test_a_record_whose_id_is_not_that_of_its_settings_is_left_out(change: Any, folder: Folder) -> None:
    reseal(folder.run.record, change)
    (fault,) = find_records(folder.results).unusable
    assert fault.folder.path == folder.run.path
    assert "its id does not match its settings, images and seed" in fault.message


def test_a_report_that_repeats_an_edited_winner_fails_its_check(folder: Folder) -> None:
    reseal(folder.files()["winners"], set_to("winners", 0, "val_accuracy", value=0.97))
    build_report(folder.sheet, folder.results, formats=["json"])
    lines = check_report(folder.sheet, folder.results)[1]
    assert lines == ["sweeps/grid/winners.json: winners[1].val_accuracy: 0.97 on disk, 0.6 from the records"]


def test_an_edited_history_differs_from_the_records(folder: Folder) -> None:
    plan = json.loads(folder.files()["plan"].read_bytes())
    history = [
        {"name": point["name"], "runs": point["runs"], "val_accuracies": [value], "pruned_after_epoch": None}
        for point, value in zip(plan["points"], (0.4, 0.45, 0.5, 0.55, 0.6, None), strict=True)
    ]
    path = folder.files()["plan"].with_name("history.json")
    write_document(folder.results, path, {"sweep": "grid", "points": history})
    records = find_records(folder.results).records
    assert recount(folder.results, records) == []
    reseal(path, set_to("points", 0, "val_accuracies", value=[0.9]))
    assert [line.partition(": ")[0] for line in recount(folder.results, records)] == ["sweeps/grid/history.json"]


def test_an_edited_plan_of_looks_differs_from_its_runs(folder: Folder) -> None:
    record = folder.run.read_record()
    assert record is not None
    name = folder.plan.relative_to(folder.results).as_posix()
    folder.run.write_record(record.model_copy(update={"plan": name}))
    assert recount(folder.results, find_records(folder.results).records) == []
    reseal(folder.plan, set_to("looks", value=[1]))
    assert any(name in line for line in recount(folder.results, find_records(folder.results).records))
    reseal(folder.plan, set_to("looks", value=[0, 5]))
    assert any(name in line for line in recount(folder.results, find_records(folder.results).records))
    reseal(folder.plan, lambda values: values.update(looks=[3, 5], fingerprint="0" * 64))
    assert any(name in line for line in recount(folder.results, find_records(folder.results).records))


@case(
    35,
    "documents of an earlier version, which have no checksum",
    remains="those documents, byte for byte: they are read, and `verify` calls them unchecked",
    says="{files} files of an earlier version without a checksum: unchecked",
)
def test_documents_of_an_earlier_version_are_unchecked(folder: Folder, case: Any) -> None:
    shutil.rmtree(folder.results / "index")
    for path in folder.documents().values():
        content, _ = unseal_record(path.read_bytes())
        values = json.loads(content)
        assert values.pop("schema") == DOCUMENT_SCHEMA
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    found = verify_results(folder.results)
    assert found.damage == ()
    assert case.pattern(files=3).search(found.notes[-1])
    assert read_stopping_plans(folder.results)[1] == []
