"""Names and places that break programs: spaces, quotes, lengths, dashes, and locales that know none of them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.store.results import SweepFolder

from .registry import Case, case

HARD = "ü 日本 😀 'q\" x"

SHEET = "title: Hard\ncontrol: arm.yaml\nquestions:\n  q1: {title: Wo ü, arms: [flip.yaml], chart: q1.png}\n"

TINY = (
    "data: {dataset: synthetic, train_size: 40, test_size: 20, batch_size: 20}\nepochs: 1\nseeds: [0]\n"
    "label: 'ü 日本 😀'\nruntime: {device: cpu}\n"
)


def hard_lab(lab: Any) -> Any:
    """The laboratory in a folder of that name."""
    lab.folder = lab.folder / HARD
    lab.folder.mkdir()
    (lab.folder / "arm.yaml").write_text(TINY, encoding="utf-8")
    (lab.folder / "flip.yaml").write_text("extends: arm.yaml\ndata: {flip: true}\n", encoding="utf-8")
    (lab.folder / "sheet ü.yaml").write_text(SHEET, encoding="utf-8")
    return lab


@pytest.mark.slow
@case(
    24,
    "settings, results and labels with spaces, quotes, Japanese and an emoji, in a locale that knows ASCII only",
    remains="the runs, the chart and the report, under those names",
    says="wrote {path}report.html, {path}report.md, {path}summary.csv, {path}answers.json and 1 chart",
    code=0,
)
def test_hard_names_in_a_poor_locale(lab: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    hard_lab(lab)
    for name, value in {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(lab.folder / "cache ü"))
    code, told, wrong = lab.command("run", "arm.yaml", "flip.yaml", "--results", "res ü 😀")
    assert (code, "Traceback" in told + wrong) == (0, False), told + wrong
    code, told, wrong = lab.command("report", "--lab", "sheet ü.yaml", "--results", "res ü 😀")
    case.check(told + wrong, code)
    results = lab.folder / "res ü 😀"
    assert (results / "q1.png").is_file()
    page = (results / "report.md").read_text(encoding="utf-8")
    assert "ü 日本 😀" in page
    links = [part.partition(")")[0] for part in page.split("](")[1:]]
    assert links
    for link in links:
        from urllib.parse import unquote

        assert (results / unquote(link.strip("<>"))).is_file() or link.startswith(("#", "http")), link


@case(
    24,
    "a results folder whose name begins with a dash",
    remains="results under that name",
    says="no runs in -rf yet; try: cifar-lab quickstart",
    code=0,
)
def test_a_name_that_looks_like_an_option(lab: Any, case: Case) -> None:
    (lab.folder / "-rf").mkdir()
    code, told, _ = lab.command("list", "--results=-rf")
    case.check(told, code)


@case(
    24,
    "a file to write whose name is as long as the system allows",
    remains="the file, whole",
    says="wrote {path}",
    code=0,
)
def test_the_longest_name_is_written(lab: Any, case: Case) -> None:
    name = "ü" * 120 + "s" * 10 + ".json"
    assert len(name.encode()) == 255
    code, told, wrong = lab.command("schema", "-o", name)
    case.check(told + wrong, code)
    assert [path.name for path in lab.folder.iterdir()] == [name]


@case(
    24,
    "a name that is longer than the system allows",
    remains="nothing",
    says="{path}: File name too long; fix this, then run the same command again",
    code=4,
)
def test_a_name_that_is_too_long_is_told(lab: Any, case: Case) -> None:
    path = lab.file("arm", "epochs=1")
    code, told, wrong = lab.command("run", path, "--results", "r" * 300)
    case.check(told + wrong, code)


@case(
    24,
    "two sweep files whose names look the same (composed and decomposed letters), or differ in case only",
    remains="a folder for each, under safe names of their own",
)
def test_names_that_look_alike_have_folders_apart(tmp_path: Path) -> None:
    twins = [unicodedata.normalize(form, "grüße") for form in ("NFC", "NFD")]
    folders = [SweepFolder(tmp_path, name).path.name for name in (*twins, "../up", "a/b", "con\n", "-rf", "n" * 300)]
    assert len(set(folders)) == len(folders)
    assert all(name.isascii() and len(name) <= 64 and name[0].isalnum() for name in folders)


@pytest.mark.slow
@case(
    24,
    "a results folder that is a symbolic link, or a link to nowhere",
    remains="results in the folder that the link names; with a link to nowhere nothing",
    says="{path}: cannot be written ({reason}); free space or choose another folder with --results, then run the same "
    "command again",
    code=4,
)
def test_links(lab: Any, case: Case) -> None:
    path = lab.file("arm", "epochs=1")
    (lab.folder / "real").mkdir()
    (lab.folder / "link").symlink_to("real")
    code, told, wrong = lab.command("run", path, "--results", "link")
    assert code == 0, told + wrong
    assert len(list((lab.folder / "real" / "runs").iterdir())) == 1
    (lab.folder / "nowhere").symlink_to("gone/far")
    code, told, wrong = lab.command("run", path, "--results", "nowhere")
    case.check(told + wrong, code)
    assert not (lab.folder / "gone").exists()
    os.unlink(lab.folder / "nowhere")  # noqa: PTH108
