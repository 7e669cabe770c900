"""Report of a question of robustness: curve, scatter, pictures, and the attacks among the reads of the test split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.config import Adam, Settings
from cifar_lab.report.build import build_report
from cifar_lab.report.charts.drawing import caption, drawing_of
from cifar_lab.store.records import Record

from ..attack_fixtures import DOT, pgd_on, save_attacked, spread

MakeRecord = Callable[..., Record]


@pytest.fixture
def results(tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two attacked arms of four seeds, and a lab file beside them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("label: base\nseeds: [0, 1, 2, 3]\n")
    (tmp_path / "adam.yaml").write_text("extends: base.yaml\nlabel: Adam\noptimizer: {name: adam}\n")
    (tmp_path / "pgd.yaml").write_text("name: pgd\neps: [0, 1/255, 8/255]\n")
    (tmp_path / "lab.yaml").write_text(
        "title: A lab\ncontrol: base.yaml\nquestions:\n  q1: {title: 'Robust?', arms: [adam.yaml], chart: q1.png, "
        "robust: {attack: pgd.yaml}}\n"
    )
    folder = tmp_path / "results"
    for settings, label, mean in ((Settings(), "base", 0.05), (Settings(optimizer=Adam(name="adam")), "Adam", 0.02)):
        for seed, value in enumerate(spread(mean, 0.002, 4)):
            record = make_record(0.7, seed, settings, label=label)
            save_attacked(folder, (record, [pgd_on(record, [0.4, value])]))
    return folder


def test_the_page_has_curve_scatter_and_pictures(results: Path) -> None:
    build_report(Path("lab.yaml"), results)
    page = (results / "report.html").read_text()
    charts = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    curve = charts["q1-robust"]
    assert curve["kind"] == "robust"
    assert [arm["label"] for arm in curve["arms"]] == ["base", "Adam"]
    (clean, near, far) = curve["arms"][0]["points"]
    assert (clean[:3], near[1], far[1]) == ([0.0, "0", 80.0], "1/255", "8/255")
    assert far[3] <= far[2] <= far[4]
    assert len(charts["q1-scatter"]["arms"][0]["runs"]) == 4
    assert page.count(f"data:image/png;base64,{DOT}") == 4  # a clean and an attacked one of each arm
    assert "Robust accuracy under PGD-20 L∞ within 8/255" in page
    assert "read 16 times, once for each tested run and once for each attack on a run (8)" in page
    assert "at chance" not in page.split("<footer")[0].split("<main")[1].replace("Chance", "")


def test_the_other_formats_name_the_measure(results: Path) -> None:
    build_report(Path("lab.yaml"), results, formats=("md", "json", "csv", "latex"))
    assert "Compared: Robust accuracy under PGD-20 L∞ within 8/255." in (results / "report.md").read_text()
    document = json.loads((results / "answers.json").read_text())
    assert (document["test_reads"], document["attack_reads"]) == (16, 8)
    (question,) = document["questions"]
    assert question["measure"].startswith("Robust accuracy")
    assert [len(arm["runs"]) for arm in question["robustness"]] == [4, 4]
    assert (results / "q1.png").is_file()


def test_a_chart_under_attack_has_no_line_of_chance_and_counts_the_attacked_images(results: Path) -> None:
    lab = answer_folder(Path("lab.yaml"), results)
    drawing = drawing_of(lab.answers[0], lab)
    images = len(lab.answers[0].attacks[0].images)
    assert drawing.chance is None
    assert caption(drawing).endswith(f"training and {images} attacked test images.")
    clean = replace(drawing, attacked=0)
    assert clean.data is not None
    assert clean.chance == clean.data.chance
    assert f"{clean.data.test_size:,} test images" in caption(clean)
