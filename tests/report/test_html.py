"""report.html as text: its size, its order, its commands and the scripts that it contains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from cifar_lab.config import Settings, Synthetic
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import run_id
from cifar_lab.data.catalog import prepare
from cifar_lab.report.build import build_report
from cifar_lab.report.charts.style import ARMS, CONTROL
from cifar_lab.report.html import SCRIPTS, command_words
from cifar_lab.store.records import Record

from ..record_fixtures import with_predictions

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]
CONFIGS = Path(__file__).parents[2] / "configs"
MOST_BYTES_OF_SCRIPTS = 560_000
"""A tenth of what plotly.js took."""
PUBLISHED = {
    "d3.min.js": "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1",
    "plot.umd.min.js": "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
}
"""SHA-256 of the scripts as d3 7.9.2 and @observablehq/plot 0.6.17 publish them."""


def template(name: str) -> bytes:
    return (files("cifar_lab.report") / "templates" / name).read_bytes()


def test_the_libraries_are_the_published_files_with_their_licence() -> None:
    found = {name: hashlib.sha256(template(f"vendor/{name}")).hexdigest() for name in PUBLISHED}
    assert found == PUBLISHED
    licences = template("vendor/LICENSES.txt").decode()
    assert all(name in licences for name in PUBLISHED)
    assert "Copyright 2010-2026 Mike Bostock" in licences
    assert "Copyright 2020-2025 Observable, Inc." in licences


def test_scripts_are_small_and_end_no_block() -> None:
    scripts = [template(name) for name in SCRIPTS]
    assert sum(map(len, scripts)) < MOST_BYTES_OF_SCRIPTS
    assert not any(b"</script" in script for script in scripts)


def test_dark_colours_have_one_for_each_arm() -> None:
    style = template("report.css").decode()
    dark = style.split("prefers-color-scheme: dark")[1].split("}\n}")[0]
    assert re.findall(r"--(arm\d|control):", dark) == ["control", *(f"arm{k}" for k in range(len(ARMS)))]
    assert len({CONTROL.color, *(arm.color for arm in ARMS)}) == len(ARMS) + 1
    assert len({(arm.letter, arm.marker, arm.symbol) for arm in ARMS}) == len(ARMS)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cifar-lab report --lab lab.yaml", ["cifar-lab report", "--lab lab.yaml"]),
        ("cifar-lab run a.yaml b.yaml --set epochs=2", ["cifar-lab run", "a.yaml", "b.yaml", "--set epochs=2"]),
        ("cifar-lab run a.yaml --set 'x=1 2'", ["cifar-lab run", "a.yaml", "--set 'x=1", "2'"]),
        (f"cifar-lab report --results {'r' * 60}", ["cifar-lab report", "--results", "r" * 60]),
        ("cifar-lab run <b>.yaml", ["cifar-lab run", "<b>.yaml"]),
    ],
)
def test_commands_break_between_words_only(command: str, words: list[str]) -> None:
    spans = [f'<span class="word">{escape(word)}</span>' for word in words]
    assert command_words(command) == " ".join(spans)
    assert re.sub(r"<[^>]*>", "", command_words(command)) == escape(command)


def test_the_newest_answer_is_first_and_unanswered_questions_fold_into_one_line(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    def runs(name: str, day: int, accuracy: float) -> list[Record]:
        settings = load_settings(CONFIGS / f"{name}.yaml")
        made = [make_record(accuracy + (seed % 2) * day / 5000, seed, settings) for seed in range(3)]
        return [record.model_copy(update={"finished": f"2026-11-{day:02d}T10:00:00Z"}) for record in made]

    save_records(tmp_path, *runs("baseline", 3, 0.5), *runs("q2_flip", 1, 0.4), *runs("q3_adam", 2, 0.62))
    build_report(CONFIGS / "lab.yaml", tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<section class="question" id="(\w+)"', page) == ["q3", "q2"]
    headlines = re.findall(r'<p class="headline \S+"><span[^>]*>(.)</span><bdi>(.*?)</bdi>', page)
    assert headlines == [
        ("▲", "Adam is better than baseline by 12.0\u00a0pp; AdamW has no runs yet."),
        ("▼", "flip is worse than baseline by 10.0\u00a0pp."),
    ]
    (line,) = re.findall(r"<summary>(\d+ questions without .*?)</summary>", page)
    assert re.sub("<[^>]*>", "", line) == "7 questions without an answer yet: q1, q4, q5, q6, q7, q8, q9"
    assert page.index("Adam is better") < page.index('<details class="evidence">') < page.index("3 shared seeds")


def test_mistakes_are_pictures_where_the_images_are_prepared(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    for name, epochs in (("control", 1), ("arm", 2)):
        source = "{dataset: synthetic, train_size: 40, test_size: 20, batch_size: 10}"
        (tmp_path / f"{name}.yaml").write_text(f"label: {name}\nepochs: {epochs}\ndata: {source}\n")
    lab = tmp_path / "lab.yaml"
    lab.write_text("title: t\ncontrol: control.yaml\nquestions: {q: {title: Which, arms: [arm.yaml], chart: q.png}}\n")
    images = prepare(Settings(data=Synthetic(dataset="synthetic", train_size=40, test_size=20)).data)
    results = tmp_path / "results"
    for name in ("control", "arm"):
        made = make_record(0.5, 0, load_settings(tmp_path / f"{name}.yaml"), data="synthetic", classes=10)
        data = made.data.model_copy(update={"fingerprint": images.fingerprint})
        made = made.model_copy(update={"data": data, "run_id": run_id(made.recipe, images.fingerprint, 0)})
        wrong = np.eye(10)[np.arange(1, 21) % 10]
        save_records(results, with_predictions(results, made, np.arange(20) % 10, wrong))
    build_report(lab, results)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,') == 12
    assert "No pictures of mistakes" not in page
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "none"))
    build_report(lab, results)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "<img" not in page.split("<script")[0]
