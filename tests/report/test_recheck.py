from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.report.build import FORMATS, build_report
from cifar_lab.report.recheck import check_report
from cifar_lab.store.records import Record

from .made_lab import make_lab

MakeRecord = Callable[..., Record]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, module_record: MakeRecord) -> Path:
    """A sheet with its report in every format."""
    sheet = make_lab(tmp_path_factory.mktemp("lab"), module_record)
    build_report(sheet, sheet.parent / "results", formats=FORMATS)
    return sheet


@pytest.fixture
def file(reported: Path) -> Callable[[str], Path]:
    return lambda name: reported.parent / "results" / name


def test_a_report_agrees_with_its_records(reported: Path) -> None:
    files, differences = check_report(reported, reported.parent / "results")
    assert [path.name for path in files] == ["report.html", "report.md", "summary.csv", "answers.json", "report.tex"]
    assert differences == []


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (
            "answers.json",
            '"mean": 0.5045',
            '"mean": 0.5145',
            "questions[q1].arms[baseline].mean: 0.5145 on disk, 0.5045 ",
        ),
        ("answers.json", "{", "", "is not valid JSON"),
        ("summary.csv", "0.5045", "0.5145", "q1 baseline, mean_accuracy: “0.5145” on disk, “0.5045” from the records"),
        ("report.md", "50.45 (", "51.45 (", "51.45 (49.8"),
        ("report.tex", "50.45 (", "51.45 (", "51.45 (n = 4"),
        ("report.html", '"mean": 50.45', '"mean": 51.45', "51.45"),
        ("report.html", ">50.45<br>", ">51.45<br>", "51.45"),
        ("report.md", "## q1", "## \\udcff", "is not UTF-8 text"),
    ],
)
def test_what_differs_is_named(
    reported: Path, file: Callable[[str], Path], name: str, old: str, new: str, told: str
) -> None:
    whole = file(name).read_bytes()
    changed = whole.replace(old.encode(), new.encode("utf-8").replace(b"\\udcff", b"\xff"), 1)
    assert changed != whole
    file(name).write_bytes(changed)
    try:
        _, differences = check_report(reported, reported.parent / "results")
    finally:
        file(name).write_bytes(whole)
    assert any(line.startswith(f"{name}: ") and told in line for line in differences), differences


def test_where_one_stands_is_no_difference(reported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(reported.parent)
    assert check_report(Path("lab.yaml"), Path("results"))[1] == []


def test_without_a_report_there_is_nothing_to_check(reported: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no report to check; write it first: cifar-lab report"):
        check_report(reported, tmp_path)
