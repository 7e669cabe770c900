from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.winners import winners_path
from cifar_lab.config import Adam, Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.report import build
from cifar_lab.report.build import DEFAULT_FORMATS, FILE_NAMES, FORMATS, build_report, draw_sweep
from cifar_lab.report.charts.drawing import Drawing
from cifar_lab.report.charts.figure import draw
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]
IMAGES = hashlib.sha256(b"cifar10 a").hexdigest()
"""The fingerprint that `make_record` gives."""

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
CHARTS = [
    "q1_batch_size.png", "q2_flip.png", "q3_optimizer.png", "q4_scheduler.png", "q5_batch_norm.png",
    "q6_initialisation.png", "q7_channels.png", "q8_top_combinations.png", "q9_resnet18.png",
]  # fmt: skip
ADAM = Settings(optimizer=Adam(name="adam"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def write_winners(results: Path, fingerprint: str) -> None:
    """What a sweep called q8_grid on these images leaves: Adam is its one winner."""
    winner = {
        "rank": 1, "label": "Adam", "recipe": recipe(ADAM), "values": {"optimizer.name": "adam"}, "val_accuracy": 0.6,
        "seeds_searched": 1,
    }  # fmt: skip
    control = {"label": "baseline", "recipe": recipe(Settings()), "val_accuracy": None}
    path = winners_path(results, "q8_grid")
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps(
            {
                "sweep": "q8_grid",
                "plan_sha256": "0" * 64,
                "fingerprint": fingerprint,
                "search": {"method": "grid", "seeds": [0], "val_size": 5_000},
                "confirm_seeds": [100, 101, 102],
                "points": 320,
                "runs": {"searched": 320, "failed": 1, "diverged": 12},
                "control": control,
                "winners": [winner],
            }
        )
    )


@pytest.mark.slow
def test_the_shipped_lab_draws_a_chart_per_answer(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    save_records(tmp_path, make_record(0.50, 0), make_record(0.62, 0, load_settings(CONFIGS / "q3_adam.yaml")))
    report = build_report(Path("configs/lab.yaml"), tmp_path)
    results = shlex.quote(str(tmp_path))
    assert [chart.name for chart in report.charts] == ["q3_optimizer.png"]
    made = ["q3_optimizer.png", *(FILE_NAMES[kind] for kind in DEFAULT_FORMATS)]
    assert sorted(contents(tmp_path)) == sorted(made)
    assert "not answered yet: q1, q2, q4, q5, q6, q7, q8 (not swept yet), q9" in report.lines
    assert all(chart.read_bytes().startswith(b"\x89PNG\r\n") for chart in report.charts)
    assert report.data == "cifar10"
    assert "q3: AdamW" in report.missing
    assert not {"q3: Adam", "q1: baseline"} & set(report.missing)
    assert report.lines[0] == "data set: CIFAR-10"
    assert "  baseline 50.0 % (n = 1); Adam 62.0 % (n = 1); AdamW no runs yet (q3_optimizer.png)" in report.lines
    to_run = [line for line in report.lines if line.startswith("to run: cifar-lab run ")]
    assert len(to_run) == 1
    assert to_run[0].startswith("to run: cifar-lab run configs/baseline.yaml configs/q1_batch_128.yaml ")
    assert to_run[0].endswith(f" configs/q9_resnet18_imagenet.yaml --results {results}")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "in ten epochs?; not swept yet), q9" in text
    assert "Missing runs:\n\n- `cifar-lab run configs/baseline.yaml" in text
    assert f"- `cifar-lab sweep configs/q8_grid.yaml --results {results}`" in text
    assert f"to run: cifar-lab sweep configs/q8_grid.yaml --results {results}" in report.lines
    assert [chart for chart in CHARTS if f"]({chart})" in text] == ["q3_optimizer.png"]


def test_the_quickstart_sheet_is_answered(tmp_path: Path) -> None:
    report = build_report(ROOT / "src" / "cifar_lab" / "cli" / "quickstart" / "lab.yaml", tmp_path)
    assert report.charts == ()
    assert report.lines[:2] == ("no runs yet", "not answered yet: quickstart")
    names = ", ".join(f"{tmp_path}/{FILE_NAMES[kind]}" for kind in DEFAULT_FORMATS)
    assert report.lines[-1] == f"wrote {names} and 0 charts"
    assert report.missing == ("quickstart: SGD", "quickstart: Adam", "quickstart: Net1 (BatchNorm)")


@pytest.mark.slow
def test_same_records_same_bytes(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    records = [make_record(0.5 + seed / 50, seed) for seed in range(3)] + [make_record(None, 0, ADAM)]
    save_records(tmp_path, *records)
    build_report(CONFIGS / "lab.yaml", tmp_path, formats=FORMATS, figures=("svg", "pdf"))
    first = contents(tmp_path)
    assert len(first) == 3 + len(FORMATS)
    build_report(CONFIGS / "lab.yaml", tmp_path, formats=FORMATS, figures=("svg", "pdf"))
    assert contents(tmp_path) == first


@pytest.mark.slow
def test_the_page_of_the_shipped_lab_is_one_small_file(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    save_records(tmp_path, *(make_record(0.5 + seed / 50, seed) for seed in range(3)))
    build_report(CONFIGS / "lab.yaml", tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_letters_without_a_font_are_said(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"label: {name}\nepochs: {ord(name)}\n")
    sheet = tmp_path / "lab.yaml"
    sheet.write_text(
        'title: t\ncontrol: a.yaml\nquestions: {q: {title: "\U000e0fff?", arms: [b.yaml], chart: q.png}}\n'
    )
    results = tmp_path / "results"
    save_records(results, *(make_record(0.5, 0, Settings(epochs=ord(name))) for name in ("a", "b")))
    (line,) = [line for line in build_report(sheet, results).lines if line.startswith("note: no font")]
    assert line.startswith(
        "note: no font on this machine has \U000e0fff (U+E0FFF), so the charts show boxes there; install a Noto font"
    )


@pytest.mark.slow
def test_report_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom cifar_lab.report.build import build_report\n"
        f"build_report(Path({str(CONFIGS / 'lab.yaml')!r}), Path({str(tmp_path)!r}))\n"
        "sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_a_summary_needs_no_matplotlib() -> None:
    code = "import sys, cifar_lab.analysis.summary\nsys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.slow
def test_a_thousand_records_in_seconds(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    files = [path for path in CONFIGS.glob("q[1-7]_*.yaml") if path.name != "q3_tuned.yaml"]
    arms = [load_settings(path) for path in [CONFIGS / "baseline.yaml", *files]]
    save_records(tmp_path, *(make_record(0.4 + seed / 1000, seed, arm) for arm in arms for seed in range(85)))
    start = time.process_time()
    report = build_report(CONFIGS / "lab.yaml", tmp_path)
    assert time.process_time() - start < 5
    assert 85 * len(arms) >= 1_000
    assert any("Adam 44.2 % (n = 85)" in line for line in report.lines)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.write_text("a file")
    with pytest.raises(EnvironmentFault, match=r"results"):
        build_report(CONFIGS / "lab.yaml", results)


def control_counts(results: Path) -> set[tuple[int, float]]:
    """(n, mean accuracy) of the control of each question in answers.json."""
    document = json.loads((results / "answers.json").read_text())
    return {(arms[0]["n"], arms[0]["mean"]) for question in document["questions"] if (arms := question["arms"])[0]["n"]}


@pytest.mark.slow
def test_damaged_files_are_named_and_the_rest_is_reported(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    record = make_record(0.5, 0)
    save_records(tmp_path, record, make_record(0.6, 1))
    folder = RunFolder(tmp_path, record.run_id)
    folder.record.write_text(folder.record.read_text()[:-40])
    folder.settings.write_text("seeds: [0]\n")
    winners = winners_path(tmp_path, "q8_grid")
    winners.parent.mkdir(parents=True)
    winners.write_text("{}")
    report = build_report(CONFIGS / "lab.yaml", tmp_path)
    winners_fault, record_fault = report.faults
    assert winners_fault.startswith(f"{winners}: not a sweep's winners (")
    assert record_fault == (
        f"{folder.record}: is damaged and left out; to retrain the run: "
        f"{shlex.join(['cifar-lab', 'run', str(folder.settings), '--results', str(tmp_path)])}"
    )
    assert control_counts(tmp_path) == {(1, 0.6)}
    assert "not swept yet" in "\n".join(report.lines)
    assert "is damaged and left out" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_copied_run_is_named_and_counts_once(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    record = make_record(0.5, 0)
    save_records(tmp_path, record)
    folder = RunFolder(tmp_path, record.run_id).path
    shutil.copytree(folder, folder.with_name("backup"))
    report = build_report(CONFIGS / "lab.yaml", tmp_path)
    note = f"{tmp_path}/runs/backup/record.json: is a copy of run {record.run_id} and is not counted"
    assert any(line.startswith(f"note: {note}") for line in report.lines)
    assert control_counts(tmp_path) == {(1, 0.5)}
    assert report.faults == ()


@pytest.mark.slow
def test_a_sweep_is_drawn_under_its_name(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    with pytest.raises(DataError, match="finish the sweep first"):
        draw_sweep(tmp_path, "q8_grid")
    write_winners(tmp_path, IMAGES)
    save_records(tmp_path, make_record(0.5, 100), make_record(0.62, 100, ADAM))
    chart = tmp_path / "q8_grid.png"
    assert draw_sweep(tmp_path, "q8_grid") == [f"chart: {chart}"]
    assert chart.read_bytes().startswith(b"\x89PNG\r\n")
    report = build_report(CONFIGS / "lab.yaml", tmp_path)
    assert "  baseline 50.0 % (n = 1); Adam 62.0 % (n = 1) (q8_top_combinations.png)" in report.lines
    assert (
        "320 points were searched (grid) in 320 runs, of which 1 failed and 12 diverged, ranked by 5,000 validation "
        "images; the control and the best 1 were then trained again with the fresh seeds 100, 101, 102 and tested once."
    ) in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_report_says_how_many_points_were_pruned(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    write_winners(tmp_path, IMAGES)
    path = winners_path(tmp_path, "q8_grid")
    document = json.loads(path.read_text())
    document["search"] |= {"method": "random", "halving": {"eta": 3, "rungs": 3}}
    path.write_text(json.dumps({**document, "pruned": 284}))
    save_records(tmp_path, make_record(0.5, 100), make_record(0.62, 100, ADAM))
    build_report(CONFIGS / "lab.yaml", tmp_path)
    assert (
        "320 points were searched (random, successive halving) in 320 runs, of which 1 failed and 12 diverged, ranked "
        "by 5,000 validation images; 284 of the points were pruned before their last epoch; the control and the best "
        "1 were then trained again"
    ) in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_sweep_of_other_images_is_no_answer_on_these(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    write_winners(tmp_path, hashlib.sha256(b"synthetic a").hexdigest())
    save_records(
        tmp_path,
        *(make_record(0.5, seed) for seed in (0, 100)),
        *(make_record(0.9, seed, arm, data="synthetic") for seed in (0, 100) for arm in (Settings(), ADAM)),
    )
    report = build_report(CONFIGS / "lab.yaml", tmp_path)
    assert report.lines[0] == "data set: CIFAR-10"
    assert any("q8 (not swept yet on these images)" in line for line in report.lines)
    assert any(line.startswith("to run: cifar-lab sweep ") for line in report.lines)
    assert "not swept yet on these images" in (tmp_path / "report.md").read_text(encoding="utf-8")
    other = build_report(CONFIGS / "lab.yaml", tmp_path, data_name="synthetic")
    assert "  baseline 90.0 % (n = 1); Adam 90.0 % (n = 1) (q8_top_combinations.png)" in other.lines


def test_a_sweep_is_drawn_on_the_images_that_it_searched(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_winners(tmp_path, hashlib.sha256(b"synthetic a").hexdigest())
    save_records(
        tmp_path,
        *(make_record(0.5, seed) for seed in (0, 1, 100, 101, 102)),
        make_record(0.9, 100, data="synthetic"),
    )
    drawn: list[Drawing] = []
    monkeypatch.setattr(build, "draw", lambda drawing: drawn.append(drawing) or draw(drawing))
    draw_sweep(tmp_path, "q8_grid")
    (drawing,) = drawn
    assert drawing.data is not None
    assert drawing.data.name == "synthetic"
    assert [row.values for row in drawing.rows] == [((100, 0.9),), ()]


@pytest.mark.slow
def test_commands_lead_to_the_images_that_the_runs_were_made_on(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    images = ["data.dataset=imagefolder", f"data.root={ROOT}/images of mine.zip"]
    save_records(tmp_path, make_record(0.50, 0, load_settings(CONFIGS / "baseline.yaml", images)))
    (run, sweep) = (line for line in build_report(Path("configs/lab.yaml"), tmp_path).lines if "to run" in line)
    words = "--set data.dataset=imagefolder --set 'data.root=images of mine.zip'"
    assert words in run
    assert words in sweep
