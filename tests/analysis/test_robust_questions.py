"""Questions of robustness: values of attacks, paired and judged as accuracies are, and never mixed with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.analysis.recount_looks import recount_looks
from cifar_lab.analysis.remembered_looks import Viewing
from cifar_lab.analysis.robust_curves import arm_robustness
from cifar_lab.analysis.robust_scores import (
    accuracy_at,
    area_under_curve,
    clean_accuracy,
    distances,
    masking_signs,
    robust_levels,
)
from cifar_lab.analysis.sentences import comparison_sentence
from cifar_lab.analysis.verdict_line import verdict_line
from cifar_lab.config import Adam, Settings
from cifar_lab.config.attack import PGD
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.attack_records import AttackLevel, GradientFacts
from cifar_lab.store.looks import find_looks
from cifar_lab.store.records import Record
from cifar_lab.store.results import find_records

from ..attack_fixtures import attack_on, deepfool_on, pgd_on, save_attacked, spread

MakeRecord = Callable[..., Record]

ADAM = Settings(optimizer=Adam(name="adam"))
SEEDS = 6


@pytest.fixture
def lab(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a lab file whose only question has these robustness settings."""
    (tmp_path / "base.yaml").write_text("label: base\nseeds: [0, 1, 2, 3, 4, 5]\n")
    (tmp_path / "adam.yaml").write_text("extends: base.yaml\nlabel: Adam\noptimizer: {name: adam}\n")
    (tmp_path / "attack.yaml").write_text("name: pgd\neps: [0, 1/255, 8/255]\n")

    def make(robust: str) -> Path:
        path = tmp_path / "lab.yaml"
        path.write_text(
            "title: A lab\ncontrol: base.yaml\nquestions:\n  q1: {title: 'Robust?', arms: [adam.yaml], chart: q1.png, "
            f"robust: {robust}}}\n"
        )
        return path

    return make


def save(
    make_record: MakeRecord, results: Path, *, adam: float = 0.5, accuracy: float = 0.8, seeds: int = SEEDS
) -> None:
    """Runs of both arms, each attacked: base is 0.4 robust at 8/255."""
    own, other = spread(0.4, 0.01, seeds), spread(adam, 0.01, seeds, 1)
    pairs = []
    for settings, values, label, clean in ((Settings(), own, "base", 0.8), (ADAM, other, "Adam", accuracy)):
        for seed, value in enumerate(values):
            record = make_record(clean + 0.001 * seed, seed, settings, label=label)
            distance = [0.5 * value] * 100
            pairs.append((record, [pgd_on(record, [value + 0.1, value]), deepfool_on(record, distance, images=200)]))
    save_attacked(results, *pairs)


def answers(path: Path, viewing: Viewing | None = None) -> list[Answer]:
    results = path.parent / "results"
    return list(answer_lab(path, results, viewing=viewing or Viewing(shown=False)).answers)


def test_a_robust_accuracy_is_paired_and_judged(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml, eps: 8/255}")
    save(make_record, path.parent / "results")
    (answer,) = answers(path)
    control, adam = answer.rows
    assert control.mean == pytest.approx(0.4, abs=0.02)
    assert adam.mean == pytest.approx(0.5, abs=0.02)
    (found,) = answer.comparisons
    assert (found.verdict, found.method, found.n) == ("better", "paired", SEEDS)
    assert found.difference == pytest.approx(10, abs=2)
    assert answer.quantity == "Robust accuracy under PGD-20 L∞ within 8/255"
    assert any("200 test images" in note for note in answer.notes)


def test_each_distance_is_a_comparison_and_holm_adjusts_over_all(
    lab: Callable[[str], Path], make_record: MakeRecord
) -> None:
    path = lab("{attack: attack.yaml, eps: [1/255, 8/255]}")
    save(make_record, path.parent / "results")
    found = answers(path)
    assert [answer.name for answer in found] == ["q1-1", "q1-2"]
    assert [answer.question.chart for answer in found] == ["q1-1.png", "q1-2.png"]
    assert [each.family for answer in found for each in answer.comparisons] == [2, 2]


def test_the_area_and_the_distance_have_verdicts_too(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml, measure: area}")
    save(make_record, path.parent / "results")
    (area,) = answers(path)
    assert area.comparisons[0].verdict == "better"
    (far,) = answers(lab("{attack: deepfool}"))
    assert far.rows[0].mean == pytest.approx(0.2, abs=0.01)
    assert far.comparisons[0].verdict == "better"
    assert far.quantity == "Median DeepFool distance, L2 of pixels 0 to 1"


def test_runs_without_the_attack_are_left_out_and_the_command_makes_it(
    lab: Callable[[str], Path], make_record: MakeRecord
) -> None:
    path = lab("{attack: attack.yaml}")
    results = path.parent / "results"
    save(make_record, results)
    extra = make_record(0.8, 6, ADAM, label="Adam")
    save_attacked(results, (extra, [pgd_on(extra, [0.5, 0.4], PGD(eps=(0.0, 1 / 255, 8 / 255), steps=3))]))
    (answer,) = answers(path)
    assert answer.rows[1].n == SEEDS
    assert answer.rows[1].command == f"cifar-lab attack --lab {path.as_posix()} --results {results.as_posix()}"
    assert extra.run_id in answer.to_attack
    assert "Adam: 1 run of 7 not attacked yet." in answer.notes


@pytest.mark.parametrize(
    ("trained", "advice"),
    [(SEEDS + 2, "attack its 2 remaining runs"), (SEEDS, "train them, then attack them")],
)
def test_an_undecided_arm_needs_an_attack_on_the_runs_that_miss_it(
    lab: Callable[[str], Path], make_record: MakeRecord, trained: int, advice: str
) -> None:
    path = lab("{attack: attack.yaml}")
    results = path.parent / "results"
    save(make_record, results, adam=0.402)
    save_attacked(results, *((make_record(0.8, seed, ADAM, label="Adam"), []) for seed in range(SEEDS, trained)))
    (answer,) = answers(path)
    (found,) = answer.comparisons
    assert found.verdict == "undecided"
    assert f"more seeds are needed: {advice}" in comparison_sentence(found, answer.rows[1], answer.rows[0])


def test_no_verdict_where_clean_accuracies_differ(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml, equal_clean: 1}")
    results = path.parent / "results"
    save(make_record, results, accuracy=0.77)
    (answer,) = answers(path)
    (found,) = answer.comparisons
    assert found.verdict == "no verdict"
    assert re.fullmatch(
        r"No verdict on Adam \([+−][\d.]+ pp\), because of test accuracies that are not shown to be equivalent within "
        r"1 pp\.",
        verdict_line(answer).sentence,
    )
    sentence = comparison_sentence(found, answer.rows[1], answer.rows[0])
    assert sentence.endswith(
        "no verdict, because they have test accuracies that are not shown to be equivalent within 1 pp."
    )
    assert len(arm_robustness(answer)) == 2  # the scatter is there


def test_a_verdict_where_clean_accuracies_are_equivalent(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml, equal_clean: 1}")
    save(make_record, path.parent / "results", accuracy=0.801)
    assert answers(path)[0].comparisons[0].verdict == "better"


def test_looks_at_robustness_are_not_looks_at_the_accuracy(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml, eps: [1/255, 8/255]}")
    results = path.parent / "results"
    save(make_record, results)
    answers(path, Viewing())
    pairs = find_looks(results).book.pairs
    assert len(pairs) == 2
    assert all(len(pair.looks) == 1 for pair in pairs)
    records = find_records(results).records
    assert list(recount_looks(results, records)) == []
    plain = path.read_text().partition(", robust")[0] + "}\n"
    path.write_text(plain)
    (answer,) = answers(path, Viewing())
    assert answer.comparisons[0].look == 1
    assert len(find_looks(results).book.pairs) == 3
    assert list(recount_looks(results, records)) == []


def test_an_attack_that_changed_since_a_look_is_noticed(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml}")
    results = path.parent / "results"
    save(make_record, results)
    answers(path, Viewing())
    record = make_record(0.8, 0, Settings(), label="base")
    save_attacked(results, (record, [pgd_on(record, [0.5, 0.1])]))
    (line,) = recount_looks(results, find_records(results).records)
    assert f"is not what the attack on run {record.run_id} gives" in line


@pytest.mark.parametrize(
    ("robust", "words"),
    [
        ("{attack: pgdd}", "did you mean pgd?"),
        ("{attack: pgd, measure: distance}", "set attack: deepfool"),
        ("{attack: deepfool, measure: accuracy}", "needs another attack"),
        ("{attack: attack.yaml, eps: 3/255}", "the attack does not try 3/255; its distances are 0, 1/255, 8/255"),
        ("{attack: deepfool, eps: 3/255}", "omit eps"),
        ("{attack: pgd, measures: area}", "measure"),
    ],
)
def test_a_question_that_no_attack_answers_is_refused(lab: Callable[[str], Path], robust: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("?", r"\?")):
        answers(lab(robust))


def test_masked_gradients_are_named_in_the_notes(lab: Callable[[str], Path], make_record: MakeRecord) -> None:
    path = lab("{attack: attack.yaml}")
    results = path.parent / "results"
    save(make_record, results)
    record = make_record(0.8, 0, ADAM, label="Adam")
    save_attacked(results, (record, [pgd_on(record, [0.6, 0.5], gradients=GradientFacts(images=160, zero=80))]))
    (answer,) = answers(path)
    assert any(note.startswith("Adam: its gradients are masked (50 % of") for note in answer.notes)


def test_an_image_that_a_smaller_distance_misleads_counts_as_misled(make_record: MakeRecord) -> None:
    attack = attack_on(
        make_record(0.8), PGD(eps=(1 / 255, 2 / 255)), images=4, clean=1.0,
        levels=(AttackLevel(level=1 / 255, correct="1100"), AttackLevel(level=2 / 255, correct="1010")),
    )  # fmt: skip
    assert clean_accuracy(attack) == 1
    assert [each.accuracy for each in robust_levels(attack)] == [0.5, 0.25]
    assert accuracy_at(attack, 2 / 255) == 0.25
    assert accuracy_at(attack, 3 / 255) is None
    assert area_under_curve(attack) == pytest.approx((0.75 + 0.375) / 2)


def test_distances_are_those_of_images_that_are_correct_when_clean(make_record: MakeRecord) -> None:
    found = distances(deepfool_on(make_record(0.8), [0.1, 0.2, 0.6, None], images=8))
    assert found is not None
    assert (found.median, found.images, found.not_flipped) == (pytest.approx(0.4), 4, 1)
    assert found.mean == pytest.approx(0.3)


def test_signs_of_masked_gradients(make_record: MakeRecord) -> None:
    def signs(**changes: object) -> list[str]:
        return masking_signs([pgd_on(make_record(0.8), [0.5, 0.2], **changes)])

    assert signs() == []
    assert signs(gradients=GradientFacts(images=160, zero=4)) == []
    assert signs(gradients=GradientFacts(images=160, zero=16)) == ["10 % of the gradients are zero"]
    assert signs(gradients=GradientFacts(images=160, unbounded=5)) == [
        "5 of 200 images withstand an attack without a bound"
    ]
    rising = (AttackLevel(level=1 / 255, correct="0" * 200), AttackLevel(level=8 / 255, correct="1" * 10 + "0" * 190))
    assert signs(levels=rising) == ["accuracy rises from 1/255 to 8/255"]
    alone = (AttackLevel(level=1 / 255, correct="1" * 100 + "0" * 100, single_step="1" * 50 + "0" * 150),)
    assert signs(levels=alone) == ["one step finds 50 images at 1/255 that many steps do not"]
