from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cifar_lab.analysis.questions import answer_lab
from cifar_lab.config import Adam, Settings
from cifar_lab.report.build import build_report
from cifar_lab.report.json import answers_json
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]

ADAM = Settings(optimizer=Adam(name="adam"))


def lab(folder: Path, make_record: MakeRecord, save: SaveRecords) -> Path:
    (folder / "baseline.yaml").write_text("label: baseline\n")
    (folder / "adam.yaml").write_text("extends: baseline.yaml\nlabel: '<b>Adam</b>'\noptimizer: {name: adam}\n")
    (folder / "none.yaml").write_text("extends: baseline.yaml\nlabel: none\nepochs: 3\n")
    path = folder / "lab.yaml"
    path.write_text(
        "title: A lab\ncontrol: baseline.yaml\nquestions:\n"
        "  q3: {title: 'Adam?', arms: [adam.yaml, none.yaml], chart: q3.png, note: Same rate.}\n"
    )
    save(
        folder / "results",
        *(make_record(0.50 + seed / 100, seed) for seed in range(3)),
        *(make_record(0.60 + seed / 90, seed, ADAM) for seed in range(3)),
        make_record(None, 3, ADAM),
    )
    return path


def test_every_number_of_the_report_and_the_runs_behind_it(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    sheet = lab(tmp_path, make_record, save_records)
    found = answer_lab(sheet, tmp_path / "results")
    document: dict[str, Any] = json.loads(answers_json(found))
    assert (document["schema"], document["family"], document["min_effect_pp"]) == (1, 1, 0.3)
    assert document["test_reads"] == 6
    (question,) = document["questions"]
    control, adam, none = question["arms"]
    assert (control["n"], control["is_control"], control["min"], control["max"]) == (3, True, 0.50, 0.52)
    assert adam["runs"][1] == {"seed": 1, "run_id": make_record(0.6, 1, ADAM).run_id, "accuracy": 0.60 + 1 / 90}
    assert adam["diverged"] == [{"seed": 3, "reason": "loss is nan at step 7"}]
    assert adam["interval"][0] < adam["mean"] < adam["interval"][1]
    assert (none["n"], none["mean"], none["interval"], none["runs"], none["missing_seeds"]) == (
        0,
        None,
        None,
        [],
        [0, 1, 2],
    )
    first, second = question["comparisons"]
    comparison = found.answers[0].comparisons[0]
    assert (first["arm"], first["points_pp"], first["low_pp"], first["p_holm"], first["seeds"]) == (
        "<b>Adam</b>", comparison.difference, comparison.low, comparison.p_holm, [0, 1, 2],
    )  # fmt: skip
    assert (second["verdict"], second["points_pp"], second["sentence"]) == ("no verdict", None, "none: no runs yet.")
    assert question["sentences"] == [first["sentence"], second["sentence"]]
    assert question["sweep"] is None


def test_the_report_writes_it_and_the_same_records_give_the_same_bytes(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    sheet, results = lab(tmp_path, make_record, save_records), tmp_path / "results"
    made = build_report(sheet, results)
    first = (results / "answers.json").read_bytes()
    build_report(sheet, results)
    assert (results / "answers.json").read_bytes() == first
    assert first == answers_json(answer_lab(sheet, results)).encode()
    said = [line for line in made.lines if " <b>Adam</b> is better than baseline by " in line]
    assert len(said) == 1
    assert "&lt;b&gt;Adam&lt;/b&gt; is better than baseline by " in (results / "report.md").read_text()


def test_without_runs_there_are_no_numbers_and_no_failure(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    sheet = lab(tmp_path, make_record, save_records)
    document = json.loads(answers_json(answer_lab(sheet, tmp_path / "empty")))
    assert document["data"] is None
    assert [each["verdict"] for each in document["questions"][0]["comparisons"]] == ["no verdict", "no verdict"]
