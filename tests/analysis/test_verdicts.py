from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.error_budget import Look
from cifar_lab.analysis.interim_looks import StoppingPlan, plan_suffix, save_plan
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.analysis.sentences import answer_sentences, comparison_sentences
from cifar_lab.analysis.summary import Row, arm_row, recipe_key
from cifar_lab.analysis.verdicts import judge
from cifar_lab.config import SGD, Adam, Settings
from cifar_lab.config.sheets import Question
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]

QUESTION = Question(title="Is it better?", arms=("a.yaml",), chart="q.png")
ADAM = Settings(optimizer=Adam(name="adam"))
CONTROL = (0.50, 0.52, 0.51, 0.53, 0.49)


def row(label: str, *values: float, first_seed: int = 0, **more: object) -> Row:
    pairs = tuple(enumerate(values, first_seed))
    mean = sum(values) / len(values) if values else None
    ids = tuple(f"{label}-{seed}" for seed, _ in pairs)
    return Row(label, values=pairs, mean=mean, run_ids=ids, **more)  # type: ignore[arg-type]


AT_ALPHA = Look(alpha=0.05, alpha_next=0.05)
"""A look with the whole error rate to itself."""

SENTENCES: dict[Comparison, str] = {}
"""Of the comparisons that `compared` gave."""


def compared(
    *arms: Row,
    control: Sequence[float] = CONTROL,
    min_effect: float = 0.3,
    look: Look = AT_ALPHA,
    control_size: int = 0,
    predictions: tuple[str, ...] = (),
) -> list[Comparison]:
    first = row("baseline", *control, is_control=True, test_size=control_size, predictions=predictions)
    answer = Answer("q", QUESTION, (first, *arms))
    (judged,), _ = judge([answer], min_effect, lambda arm, control, gap: look)
    SENTENCES.update(zip(judged.comparisons, comparison_sentences(judged), strict=True))
    return list(judged.comparisons)


def shifted(points: Sequence[float]) -> list[float]:
    return [value + point / 100 for value, point in zip(CONTROL, points, strict=False)]


def test_better_and_worse_by_hand() -> None:
    better, worse = compared(row("Adam", *shifted([10, 11, 12, 11, 10])), row("slow", *shifted([-1, -2, -1, -2, -1.5])))
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.difference == pytest.approx(10.8)
    assert (better.low, better.high) == (
        pytest.approx(9.761, abs=1e-3),
        pytest.approx(11.839, abs=1e-3),
    )
    assert (better.n, better.win_rate, better.method, better.family) == (
        5,
        1.0,
        "paired",
        2,
    )
    assert (
        SENTENCES[better]
        == "Adam is better than baseline by 10.80 pp (95 % 9.76 to 11.84; 5 shared seeds; Holm p < .001)."
    )
    assert (
        SENTENCES[worse] == "slow is worse than baseline by 1.50 pp (95 % 0.88 to 2.12; 5 shared seeds; Holm p = .003)."
    )


def test_undecided_says_what_would_tell_and_what_could_not_be_seen() -> None:
    (found,) = compared(row("flip", *shifted([0.5, -0.4, 0.9, -0.2, 0.7])))
    assert found.verdict == "undecided"
    assert found.seeds_more is not None
    assert found.smallest_shown is not None
    assert SENTENCES[found] == (
        "Undecided: flip is 0.30 pp above baseline (95 % −0.41 to 1.01; 5 shared seeds; adjusted p = .305); more seeds "
        "are needed, which `run --until-decided` adds to a question of arms in a lab file. With 5 seeds a difference "
        f"under {found.smallest_shown:.2f} pp "
        "can easily be missed; the uncertainty of the spread is included."
    )


def test_equivalent_within_the_margin_is_an_answer() -> None:
    (found,) = compared(row("flip", *shifted([0.02, -0.03, 0.01, 0.0, -0.02])))
    assert found.verdict == "equivalent"
    assert SENTENCES[found] == (
        "flip and baseline are equivalent within 0.3 pp: the difference is 0.00 pp (95 % −0.03 to 0.02; 5 shared "
        "seeds; adjusted p of a larger one < .001)."
    )
    (tiny,) = compared(row("flip", *shifted([0.12, 0.11, 0.13, 0.12, 0.12])))
    assert tiny.verdict == "equivalent"
    assert SENTENCES[tiny].endswith("; the difference is negligible, but real: for flip.")


def test_the_margin_decides_what_is_equivalent() -> None:
    arm = row("flip", *shifted([0.12, 0.11, 0.13, 0.12, 0.12]))
    assert [compared(arm, min_effect=margin)[0].verdict for margin in (0.3, 0.05)] == [
        "equivalent",
        "better",
    ]


def test_equal_accuracies_are_judged_by_the_resolution_of_the_test_images() -> None:
    (fine,) = compared(row("plateau", *CONTROL, test_size=10_000), control_size=10_000)
    assert (fine.verdict, fine.difference, fine.low, fine.high, fine.ties) == ("equivalent", 0, None, None, 5)
    assert SENTENCES[fine] == (
        "plateau has the accuracy of baseline in each of 5 shared seeds: equivalent within 0.3 pp (adjusted p of a "
        "larger one < .001)."
    )
    (coarse,) = compared(row("plateau", *CONTROL, test_size=100), control_size=100)
    assert (coarse.verdict, coarse.p) == ("undecided", 1)
    assert coarse.seeds_more is not None


def test_equal_predictions_are_the_same_runs_whatever_the_test_set() -> None:
    digests = tuple(f"digest {seed}" for seed in range(5))
    for size in (10, 100, 10_000):
        arm = row("plateau", *CONTROL, test_size=size, predictions=digests)
        (found,) = compared(arm, control_size=size, predictions=digests)
        assert (found.verdict, found.p_holm, found.family) == ("no verdict", None, 0)
        assert SENTENCES[found] == (
            "plateau and baseline made the same predictions, bit for bit, in each of 5 shared seeds: they are the same "
            "runs."
        )
        (other,) = compared(replace(arm, predictions=(*digests[:4], "another")), predictions=digests)
        assert "the same runs" not in SENTENCES[other]


def test_runs_that_never_differ_at_all_are_suspected() -> None:
    (found,) = compared(row("slow", 0.1, 0.1, 0.1), control=(0.1, 0.1, 0.1))
    assert SENTENCES[found].endswith(
        "All runs of both arms have the same accuracy, so perhaps nothing was learnt: check the learning curves."
    )


def test_the_same_gap_in_every_seed_has_no_interval_and_is_judged_by_its_signs() -> None:
    control = [0.50, 0.52, 0.51, 0.53, 0.49, 0.48]
    three, six = (
        compared(row("Adam", *(value + 0.02 for value in control[:n])), control=control[:n])[0] for n in (3, 6)
    )
    assert (three.verdict, three.p, three.seeds_more) == ("undecided", 0.25, 3)
    assert "the same in every seed, so there is no interval" in SENTENCES[three]
    assert (six.verdict, six.p, six.low) == ("better", 2**-5, None)


def test_one_run_says_one_run_and_nothing_more() -> None:
    (found,) = compared(row("Adam", 0.9))
    assert (found.verdict, SENTENCES[found]) == ("no verdict", "Adam: one run.")
    assert (
        found.low,
        found.p,
        found.p_holm,
        found.smallest_shown,
        found.seeds_more,
    ) == (None,) * 5
    (other,) = compared(row("Adam", 0.9, 0.91, 0.92), control=[0.5])
    assert SENTENCES[other] == "baseline: one run, so Adam cannot be compared."


def test_below_three_seeds_there_is_never_a_verdict() -> None:
    (found,) = compared(row("Adam", 0.90, 0.93))
    assert (found.verdict, found.p_holm, found.family) == ("no verdict", None, 0)
    assert SENTENCES[found] == (
        "Adam: 40.50 pp above baseline (95 % 34.15 to 46.85; 2 shared seeds, runs without a partner left out); two "
        "runs are too few for a verdict, which needs at least 3."
    )


def test_arms_without_runs_and_those_that_diverged_are_named() -> None:
    gone, lost = compared(row("gone"), row("wild", diverged=((0, "loss is nan"), (1, "loss is inf"))))
    assert (SENTENCES[gone], SENTENCES[lost]) == ("gone: no runs yet.", "wild: all 2 runs diverged.")
    assert (gone.verdict, gone.difference, gone.seeds) == ("no verdict", None, ())
    (none,) = compared(row("Adam", 0.5), control=())
    assert SENTENCES[none] == "baseline: no runs yet, so Adam cannot be compared."


def test_runs_that_are_in_no_mean_are_counted_in_words() -> None:
    arm = row("wild", *shifted([5, 6, 7]), diverged=((3, "loss is nan"),), unfinished=(4,), without_score=(5,))
    (found,) = compared(arm)
    assert found.n == 3
    assert SENTENCES[found].endswith(
        " Of the runs of wild, 1 of 4 diverged and 1 ended without a finite test accuracy and 1 has no result yet: "
        "they are not part of any mean."
    )


def test_seeds_that_do_not_match_are_compared_by_welch_and_said_so() -> None:
    (apart,) = compared(row("Adam", *shifted([10, 11, 12, 11]), first_seed=50))
    assert (apart.method, apart.n, apart.n_control, apart.seeds) == ("welch", 4, 5, ())
    assert (apart.verdict, apart.difference) == ("better", pytest.approx(11.5))
    assert "4 and 5 runs with no shared seeds" in SENTENCES[apart]
    (few,) = compared(row("Adam", *shifted([10, 11, 12, 11]), first_seed=3))
    assert "4 and 5 runs with too few shared seeds" in SENTENCES[few]
    (most,) = compared(row("Adam", *shifted([10, 11, 12, 11, 10, 11])[1:], first_seed=1))
    assert (most.method, most.seeds, most.is_whole) == ("paired", (1, 2, 3, 4), False)
    assert most.difference == pytest.approx(11.0)
    assert "4 shared seeds, runs without a partner left out" in SENTENCES[most]


def test_holm_counts_all_questions_of_the_report_and_says_when_it_is_what_decides() -> None:
    doubtful = row("flip", *shifted([0.9, 0.3, 1.1, 0.2, 0.8]))
    (alone,) = compared(doubtful)
    assert alone.verdict == "better"
    control = row("baseline", *CONTROL, is_control=True)
    noise = [replace(row(f"arm {k}", *shifted([0.9, -0.8, 1.0, -0.9, 0.1 * k])), label=f"arm {k}") for k in range(6)]
    judged, family = judge(
        [Answer("q1", QUESTION, (control, doubtful)), Answer("q2", QUESTION, (control, *noise))],
        0.3,
        lambda arm, control, gap: AT_ALPHA,
    )
    found = judged[0].comparisons[0]
    assert family == 7 == found.family
    assert found.p_holm == pytest.approx(7 * (found.p or 0))
    assert found.verdict == "undecided"
    assert comparison_sentences(judged[0])[0].endswith(
        "Its interval excludes 0, but with 7 comparisons this happens too easily by chance."
    )
    assert (found.p, found.difference, found.low) == (
        alone.p,
        alone.difference,
        alone.low,
    )


def test_the_order_of_arms_changes_nothing() -> None:
    arms = [row(f"arm {k}", *shifted([0.9, 0.3 * k, 1.1, 0.2, -0.8 * k])) for k in range(5)]
    forwards = {each.arm: each for each in compared(*arms)}
    backwards = {each.arm: each for each in compared(*reversed(arms))}
    assert forwards == backwards


def test_rows_that_are_the_same_runs_are_no_comparison() -> None:
    same = replace(row("again", *CONTROL), run_ids=tuple(f"baseline-{seed}" for seed in range(5)))
    (found,) = compared(same)
    assert (found.verdict, found.family, found.p_holm) == ("no verdict", 0, None)
    assert SENTENCES[found] == "again and baseline have the same settings: they are the same runs."


def test_a_later_look_widens_the_interval_and_multiplies_the_p() -> None:
    arm = row("Adam", *shifted([0.9, 0.3, 1.1, 0.2, 0.8]))
    (once,), (later,) = compared(arm), compared(arm, look=Look(number=2, alpha=0.0125))
    assert later.level == 0.9875
    assert later.p == once.p
    assert later.p_holm == pytest.approx(4 * (once.p or 0))
    assert later.low is not None
    assert once.low is not None
    assert later.low < once.low
    assert (once.verdict, later.verdict) == ("better", "undecided")
    assert "98.75 %" in SENTENCES[later]
    assert SENTENCES[later].count("; look 2)") == 1


def test_p_is_adjusted_for_the_looks_first_and_by_holm_then() -> None:
    """By hand: p · 0.05 / α of each look; then the smallest times 2, the other times 1."""
    arms = [row("Adam", *shifted([0.9, 0.3, 1.1, 0.2, 0.8])), row("flip", *shifted([2.0, 2.1, 2.2, 1.9, 2.0]))]
    looks = {"Adam": Look(number=1, alpha=0.03), "flip": Look(number=4, alpha=0.001)}
    answer = Answer("q", QUESTION, (row("baseline", *CONTROL, is_control=True), *arms))
    (judged,), family = judge([answer], 0.3, lambda arm, control, gap: looks[arm.label])
    adam, flip = judged.comparisons
    assert family == 2
    for_looks = [(adam.p or 0) * 5 / 3, (flip.p or 0) * 50]
    assert for_looks == sorted(for_looks, reverse=True)
    assert flip.p_holm == pytest.approx(2 * for_looks[1])
    assert adam.p_holm == pytest.approx(max(2 * for_looks[1], for_looks[0]))
    assert (adam.level, flip.level) == (0.97, 0.999)


def test_alone_a_verdict_says_different_where_its_interval_leaves_zero_out() -> None:
    for gaps in ([0.9, 0.3, 1.1, 0.2, 0.8], [2, 3, 2.5, 1.5, 2], [0.2, -0.1, 0.4, 0.1, 0.3]):
        for alpha in (0.03, 0.01, 0.002):
            (found,) = compared(row("Adam", *shifted(gaps)), min_effect=0.001, look=Look(2, alpha, alpha))
            assert found.low is not None
            assert (found.verdict == "better") == (found.low > 0)


def test_a_run_whose_answer_was_not_finite_is_in_no_mean(make_record: MakeRecord) -> None:
    good = [make_record(0.5 + seed / 100, seed) for seed in range(3)]
    bad = make_record(0.5, 3).model_copy(update={"test": None, "test_reason": "a logit was not finite"})
    made = arm_row("arm", [*good, bad])
    assert (made.n, made.without_score) == (3, (3,))
    assert made.run_ids == tuple(record.run_id for record in good)
    assert made.interval is not None


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    (tmp_path / "baseline.yaml").write_text("label: baseline\n")
    (tmp_path / "adam.yaml").write_text("extends: baseline.yaml\nlabel: Adam\noptimizer: {name: adam}\n")
    (tmp_path / "fast.yaml").write_text("extends: baseline.yaml\nlabel: fast\noptimizer: {lr: 0.1}\n")
    path = tmp_path / "lab.yaml"
    path.write_text(
        "title: A lab\ncontrol: baseline.yaml\nmin_effect: 0.5\nquestions:\n"
        "  q3: {title: 'Adam?', arms: [adam.yaml], chart: q3.png}\n"
        "  q4: {title: 'Fast?', arms: [fast.yaml], chart: q4.png}\n"
    )
    return path


def fill(sheet: Path, make_record: MakeRecord, save: SaveRecords) -> None:
    save(
        sheet.parent / "results",
        *(make_record(value, seed) for seed, value in enumerate(CONTROL)),
        *(make_record(value, seed, ADAM) for seed, value in enumerate(shifted([10, 11, 12, 11, 10]))),
        *(
            make_record(value, seed, Settings(optimizer=SGD(lr=0.1)))
            for seed, value in enumerate(shifted([0.1, -0.3, 0.2]))
        ),
    )


def read(sheet: Path) -> Lab:
    return answer_lab(sheet, sheet.parent / "results")


def test_a_sheet_is_answered_from_its_records(sheet: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    fill(sheet, make_record, save_records)
    lab = read(sheet)
    assert (lab.min_effect, lab.family) == (0.5, 2)
    adam, fast = (answer.comparisons[0] for answer in lab.answers)
    assert (adam.verdict, adam.min_effect, adam.family) == ("better", 0.5, 2)
    assert (fast.verdict, fast.n) == ("undecided", 3)
    assert [text[:23] for text in answer_sentences(lab.answers[0])] == ["Adam is better than bas"]
    assert lab.answers[0].comparison(lab.answers[0].rows[1]) is adam
    assert lab.answers[0].comparison(lab.answers[0].control) is None


def test_a_plan_of_looks_binds_its_comparisons_and_no_others(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    fill(sheet, make_record, save_records)
    before, results = read(sheet), sheet.parent / "results"
    control = before.answers[0].control
    plan = StoppingPlan(
        question=f"q3-{plan_suffix(control.fingerprint, control.key)}", fingerprint=control.fingerprint,
        control=control.key, arms=(before.answers[0].rows[1].key,), looks=(5, 8, 12, 20),
    )  # fmt: skip
    path = save_plan(results, plan)
    adam, fast = (answer.comparisons[0] for answer in read(sheet).answers)
    assert (adam.interim_looks, adam.alpha, fast.interim_looks, fast.alpha) == (
        4,
        pytest.approx(0.9 * 0.05 / 4),
        1,
        0.03,
    )
    other = plan.model_copy(update={"question": "q3-again", "fingerprint": "0" * 64})
    save_plan(results, other)
    assert read(sheet).answers[0].comparisons[0].interim_looks == 4
    path.write_text("{}")
    spoilt = read(sheet)
    assert spoilt.answers[0].comparisons[0].alpha == pytest.approx(0.9 * 0.05 / 40)
    assert len(spoilt.faults) == 1
    assert "not a plan of looks" in spoilt.faults[0]


def test_seeds_that_began_and_have_no_record_are_counted(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    fill(sheet, make_record, save_records)
    results = sheet.parent / "results"
    begun = make_record(0.5, 2, ADAM)
    (results / "runs" / begun.run_id / "record.json").unlink()
    row = read(sheet).answers[0].rows[1]
    assert (row.n, row.unfinished, row.missing_seeds) == (4, (2,), (2,))
    assert row.key == recipe_key(begun.recipe)
