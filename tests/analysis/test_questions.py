from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.questions import answer_lab
from cifar_lab.analysis.stats.t_tests import compare
from cifar_lab.analysis.summary import Row
from cifar_lab.config import SGD, Adam, Cifar10, ImageFolder, Settings, Synthetic
from cifar_lab.config.run_id import run_id
from cifar_lab.core.errors import SettingsError
from cifar_lab.data import prepare
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]

ADAM = Settings(optimizer=Adam(name="adam"))


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """One question about Adam, its control a plain baseline with seeds 0, 1, 2."""
    (tmp_path / "baseline.yaml").write_text("label: baseline\n")
    (tmp_path / "adam.yaml").write_text("extends: baseline.yaml\nlabel: Adam\noptimizer: {name: adam}\nseeds: [0, 1]\n")
    path = tmp_path / "lab.yaml"
    path.write_text(
        "title: A lab\ncontrol: baseline.yaml\nquestions:\n"
        "  q3: {title: 'Adam?', arms: [adam.yaml], chart: q3.png, note: Same rate.}\n"
    )
    return path


def test_arms_find_their_runs_by_recipe_whatever_the_label(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    save_records(
        results,
        make_record(0.50, 0, label="an older name"),
        make_record(0.62, 0, ADAM, label="renamed"),
        make_record(0.64, 1, ADAM),
        make_record(0.99, 0, Settings(optimizer=SGD(lr=0.3)), label="Adam"),
    )
    (answer,) = answer_lab(sheet, results).answers
    control, adam = answer.rows
    assert (control.label, control.values, control.missing_seeds) == ("baseline", ((0, 0.50),), (1, 2))
    assert (adam.label, adam.values, adam.missing_seeds) == ("Adam", ((0, 0.62), (1, 0.64)), ())
    assert control.is_control
    assert adam.command == ""


def test_seeds_of_the_control_that_no_arm_has_are_left_out_unless_asked_for(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    save_records(
        results,
        *(make_record(0.50, seed) for seed in (0, 1, 2)),
        *(make_record(0.40, seed) for seed in (7, 100, 101)),
        *(make_record(0.60, seed, ADAM) for seed in (0, 1, 7)),
    )
    (answer,) = answer_lab(sheet, results).answers
    assert [[seed for seed, _ in row.values] for row in answer.rows] == [[0, 1, 2, 7], [0, 1, 7]]
    assert answer.notes == (
        "Left out of baseline: seeds 100, 101, which neither its settings nor an arm here asks for.",
    )
    gap = compare(dict(answer.rows[1].values), dict(answer.control.values))
    assert gap is not None
    assert (100 * gap.mean, gap.seeds) == (pytest.approx(40 / 3), (0, 1, 7))


def test_a_control_with_other_seeds_only_is_shown_all_the_same(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    save_records(results, make_record(0.5, 9))
    assert answer_lab(sheet, results).answers[0].control.values == ((9, 0.5),)


def test_the_command_makes_what_is_missing(sheet: Path) -> None:
    results = sheet.parent / "my results"
    lab = answer_lab(sheet, results, ["data.batch_size=128"])
    assert lab.data is None
    command = lab.answers[0].rows[1].command
    folder = sheet.parent
    assert command == f"cifar-lab run {folder}/adam.yaml --set data.batch_size=128 --results '{folder}/my results'"
    assert lab.command == (
        f"cifar-lab report --lab {folder}/lab.yaml --set data.batch_size=128 --results '{folder}/my results'"
    )


def test_the_default_results_folder_is_not_repeated(sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sheet.parent)
    lab = answer_lab(Path("lab.yaml"), Path("results"))
    assert lab.command == "cifar-lab report"  # lab.yaml is found by itself
    assert [row.command for row in lab.answers[0].rows] == ["cifar-lab run baseline.yaml", "cifar-lab run adam.yaml"]


def test_data_sets_are_never_mixed(sheet: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    results = sheet.parent / "results"
    made_up = Settings(data=Synthetic(dataset="synthetic"))
    save_records(
        results,
        make_record(0.50, 0),
        *(make_record(0.9, seed, made_up, data="synthetic") for seed in range(3)),
        make_record(0.8, 0, ADAM, data="synthetic"),
    )
    lab = answer_lab(sheet, results)
    assert lab.data is not None
    assert lab.data.name == "cifar10"  # the control's, though there are more runs on the other
    assert [row.values for row in lab.answers[0].rows] == [((0, 0.50),), ()]
    assert [(each.name, each.runs) for each in lab.other_data] == [("synthetic", 4)]

    other = answer_lab(sheet, results, data_name="synthetic")
    assert other.data == lab.other_data[0]
    assert [row.mean for row in other.answers[0].rows] == pytest.approx([0.9, 0.8])


def test_of_two_image_folders_the_one_that_is_named_is_taken(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    mine, yours = (ImageFolder(dataset="imagefolder", root=str(sheet.parent / name)) for name in ("mine", "yours"))
    save_records(
        results,
        *(make_record(0.9, s, Settings(data=yours), data="imagefolder", images="yours") for s in (0, 1)),
        make_record(0.5, 0, Settings(data=mine), data="imagefolder", images="mine"),
    )

    def control(root: str) -> Row:
        named = ["data.dataset=imagefolder", f"data.root={sheet.parent / root}"]
        return answer_lab(sheet, results, named).answers[0].control

    assert control("mine").values == ((0, 0.5),)
    assert control("yours").values == ((0, 0.9), (1, 0.9))
    with pytest.raises(
        SettingsError, match=r"/theirs: no runs of these arms on these images; there are runs on: imagefolder \("
    ):
        control("theirs")


def test_prepared_images_are_told_by_their_fingerprint_whatever_their_settings(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    settings = Settings(data=Synthetic(dataset="synthetic", train_size=200, test_size=20))
    info = prepare(settings.data)
    made = make_record(0.3, 0, data="synthetic")
    identity = made.data.model_copy(update={"fingerprint": info.fingerprint})
    here = made.model_copy(update={"data": identity, "run_id": run_id(made.recipe, info.fingerprint, 0)})
    save_records(results, here, *(make_record(0.9, s, settings, data="synthetic", images="old") for s in (1, 2)))
    words = ["data.dataset=synthetic", "data.train_size=200", "data.test_size=20"]
    assert answer_lab(sheet, results, words).answers[0].control.values == ((0, 0.3),)


def test_without_runs_on_the_control_s_images_the_report_says_what_it_took(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    save_records(results, make_record(0.9, 0, Settings(data=Synthetic(dataset="synthetic")), data="synthetic"))
    lab = answer_lab(sheet, results)
    assert lab.data is not None
    assert lab.data.name == "synthetic"
    assert lab.data_note == "The control names images without runs here; these have the most of all runs."


def test_reads_of_the_test_set_are_counted_over_all_runs_on_the_images(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    results = sheet.parent / "results"
    save_records(
        results,
        make_record(0.5, 0),
        make_record(0.5, 0, Settings(epochs=3)),
        make_record(None, 1),
        make_record(0.5, 2, test=None, test_reason="search"),
        make_record(0.5, 3, test=None, test_reason="a logit was not finite"),
        make_record(0.5, 0, data="synthetic"),
    )
    assert answer_lab(sheet, results).test_reads == 3


def test_overrides_choose_the_runs(sheet: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    results = sheet.parent / "results"
    save_records(results, make_record(0.5, 0), make_record(0.4, 0, Settings(data=Cifar10(batch_size=128))))
    assert answer_lab(sheet, results, ["data.batch_size=128"]).answers[0].control.values == ((0, 0.4),)


def test_an_arm_that_equals_the_control_is_named(sheet: Path) -> None:
    lab = answer_lab(sheet, sheet.parent / "results", ["optimizer.name=adam"])
    assert lab.answers[0].notes == ("Adam has the same settings as the control: the two rows are the same runs.",)


def test_a_weights_file_that_is_gone_does_not_end_the_report(sheet: Path) -> None:
    weights = sheet.parent / "w.pt"
    weights.write_bytes(b"x")
    (sheet.parent / "adam.yaml").write_text("extends: baseline.yaml\nlabel: tuned\nmodel: {weights: w.pt}\n")
    assert answer_lab(sheet, sheet.parent / "results").answers[0].notes == ()
    weights.unlink()
    answer = answer_lab(sheet, sheet.parent / "results").answers[0]
    assert answer.rows[1].is_missing
    assert answer.notes == (
        "tuned: a file that its settings name (weights or source) cannot be read, so its runs are not found.",
    )


def test_every_wrong_file_is_told_at_once(sheet: Path) -> None:
    (sheet.parent / "adam.yaml").write_text("extends: baseline.yaml\nepohcs: 3\n")
    (sheet.parent / "baseline.yaml").write_text("label: baseline\n")
    (sheet.parent / "other.yaml").write_text("seeds: []\n")
    sheet.write_text(sheet.read_text().replace("[adam.yaml]", "[adam.yaml, other.yaml]"))
    with pytest.raises(SettingsError) as refused:
        answer_lab(sheet, sheet.parent / "results")
    assert [problem.key for problem in refused.value.problems] == ["epohcs", "seeds"]


def test_a_sweep_without_winners_says_how_to_get_them(sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sheet.parent)
    (sheet.parent / "grid.yaml").write_text("base: baseline.yaml\nspace: {optimizer.lr: [0.1, 0.2]}\n")
    sheet.write_text(
        "title: A lab\ncontrol: baseline.yaml\nquestions:\n  q8: {title: 'Best?', sweep: grid.yaml, chart: q8.png}\n"
    )
    (answer,) = answer_lab(sheet, Path("results")).answers
    assert answer.to_sweep == f"cifar-lab sweep {sheet.parent}/grid.yaml"
    assert answer.commands == (answer.to_sweep,)
    assert [row.label for row in answer.rows] == ["baseline"]
