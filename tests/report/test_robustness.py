"""Report of a question of robustness: curve, scatter, pictures, and the attacks among the reads of the test split."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.config import Adam, Settings
from cifar_lab.report.build import build_report
from cifar_lab.report.charts.drawing import caption, drawing_of
from cifar_lab.report.charts.figure import draw
from cifar_lab.store.records import Record
from cifar_lab.store.results import find_records

from ..attack_fixtures import DOT, deepfool_on, pgd_on, save_attacked, spread

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


def charts_of(results: Path) -> dict[str, Any]:
    """Charts of the page by name."""
    page = (results / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_has_curve_scatter_and_pictures(results: Path) -> None:
    build_report(Path("lab.yaml"), results)
    page = (results / "report.html").read_text()
    charts = charts_of(results)
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


@pytest.fixture
def distances(results: Path) -> Path:
    """The same arms under DeepFool: medians of 0.61 and 0.35."""
    Path("deepfool.yaml").write_text("name: deepfool\n")
    Path("lab.yaml").write_text(Path("lab.yaml").read_text().replace("pgd.yaml", "deepfool.yaml"))
    for settings, mean in ((Settings(), 0.61), (Settings(optimizer=Adam(name="adam")), 0.35)):
        for record in find_records(results).records:
            if record.settings["optimizer"]["name"] == settings.optimizer.name:
                save_attacked(
                    results,
                    (record, [deepfool_on(record, [mean + 0.01 * record.seed * (1 if mean > 0.5 else -1)] * 100)]),
                )
    return results


def test_distances_are_in_l2_and_never_in_percent(distances: Path) -> None:
    made = build_report(Path("lab.yaml"), distances, formats=("html", "md", "json", "csv", "latex"), details=True)
    said = "\n".join(line for line in made.lines if "q1" in line or "Adam" in line)
    assert "Adam is worse than base by 0.290 L2" in said
    assert "base 0.625 L2 (n = 4); Adam 0.335 L2 (n = 4)" in said
    section = (distances / "report.md").read_text().split("## q1")[1]
    assert "| mean L2 | std L2 | vs control |" in section
    assert "0.625 (0.604 to 0.646; n = 4)" in section
    latex = (distances / "report.tex").read_text().split(r"\begin{table}")[1]
    assert "mean, L2 & vs control, L2" in latex
    page = (distances / "report.html").read_text().split('<section class="question"')[1].split("<details open>")[0]
    assert "Difference to the control (L2)" in page
    assert "−0.290 L2" in page
    for text in (said, section, latex, page):
        assert not re.findall(r"[0-9] pp|62\.5|29\.0|33\.5", text)
    charts = charts_of(distances)
    assert (charts["q1-accuracy"]["unit"], charts["q1-difference"]["unit"]) == ("L2", "L2")
    assert charts["q1-accuracy"]["rows"][0]["mean"] == pytest.approx(0.625)
    assert max(run[2] for run in charts["q1-scatter"]["arms"][0]["runs"]) <= 100


def test_numbers_of_distances_are_in_l2_where_programs_read_them(distances: Path) -> None:
    build_report(Path("lab.yaml"), distances, formats=("json", "csv"))
    (found,) = json.loads((distances / "answers.json").read_text())["questions"][0]["comparisons"]
    assert found["unit"] == "L2"
    assert found["difference"] == pytest.approx(-0.29)
    assert found["min_effect"] == pytest.approx(0.003)
    assert [value for key, value in found.items() if key.endswith("_pp")] == [None] * 8
    _, row = csv.DictReader((distances / "summary.csv").read_text().splitlines())
    assert (row["unit"], row["difference_pp"], f"{float(row['mean_accuracy']):.3f}") == ("L2", "", "0.335")
    assert float(row["difference"]) == pytest.approx(-0.29)


def test_the_figure_of_distances_has_no_percent(distances: Path) -> None:
    lab = answer_folder(Path("lab.yaml"), distances)
    figure = draw(drawing_of(lab.answers[0], lab))
    words = [text.get_text() for text in figure.findobj(Text)]
    assert "0.625 L2" in words
    assert "difference to the control (L2)" in words
    assert not [text for text in words if re.search(r"[0-9] (%|pp)(?! t interval)", text)]
