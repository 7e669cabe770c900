"""Claims: what the records show, what they refute, and what they cannot decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_lab.analysis.claim_seeds import more_seeds, seed_words
from cifar_lab.analysis.claim_words import claim_sentence, evidence
from cifar_lab.analysis.claims import hold_claims
from cifar_lab.analysis.held_claims import HeldClaim
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.analysis.remembered_looks import NO_LOOK, Viewing
from cifar_lab.analysis.stats.significance import ALPHA, mean_p, t_interval
from cifar_lab.analysis.stats.t_tests import compare
from cifar_lab.cli.conversion import parse_seeds
from cifar_lab.config import MAX_SEED
from cifar_lab.config.claims import ClaimSheet
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.looks import find_looks

from ..record_fixtures import MakeRecord, SaveRecords

ACCURACIES = {
    "base": (0.700, 0.702, 0.698, 0.701), "good": (0.780, 0.783, 0.779, 0.781),
    "same": (0.7001, 0.7019, 0.6981, 0.7009),
    "noisy": (0.70, 0.76, 0.66, 0.73), "few": (0.78, 0.79), "none": (),
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> Path:
    """Folder with settings and records of arms with these accuracies."""
    for number, (name, accuracies) in enumerate(ACCURACIES.items()):
        (tmp_path / f"{name}.yaml").write_text(f"epochs: {10 + number}\nseeds: [0, 1, 2, 3]\n")
        settings = load_settings(tmp_path / f"{name}.yaml")
        records = [make_record(accuracy, seed, settings) for seed, accuracy in enumerate(accuracies)]
        save_records(tmp_path / "results", *records)
    return tmp_path


def hold(lab: Path, *lines: str, viewing: Viewing = NO_LOOK) -> list[HeldClaim]:
    claims = "".join(f"  c{number}: {{{line}}}\n" for number, line in enumerate(lines))
    (lab / "claims.yaml").write_text(f"claims:\n{claims}")
    return list(hold_claims(lab / "claims.yaml", lab / "results", viewing=viewing).claims)


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("arm: good.yaml, better_than: base.yaml", "holds"),
        ("arm: good.yaml, better_than: base.yaml, by_at_least: 5", "holds"),
        ("arm: good.yaml, better_than: base.yaml, by_at_least: 12", "does not hold"),
        ("arm: good.yaml, better_than: base.yaml, by_at_least: 8", "undecided"),
        ("arm: base.yaml, better_than: good.yaml", "does not hold"),
        ("arm: base.yaml, worse_than: good.yaml, by_at_least: 5", "holds"),
        ("arm: good.yaml, worse_than: base.yaml", "does not hold"),
        ("arm: noisy.yaml, better_than: base.yaml", "undecided"),
        ("arm: same.yaml, equal_to: base.yaml, within: 2", "holds"),
        ("arm: good.yaml, equal_to: base.yaml, within: 2", "does not hold"),
        ("arm: noisy.yaml, equal_to: base.yaml, within: 2", "undecided"),
        ("arm: good.yaml, accuracy_at_least: 0.72", "holds"),
        ("arm: good.yaml, accuracy_at_least: 0.8", "does not hold"),
        ("arm: good.yaml, accuracy_at_most: 0.8", "holds"),
        ("arm: noisy.yaml, accuracy_at_least: 0.72", "undecided"),
        ("arm: few.yaml, accuracy_at_least: 0.1", "undecided"),
        ("arm: few.yaml, better_than: base.yaml", "undecided"),
        ("arm: none.yaml, accuracy_at_least: 0.1", "undecided"),
        ("arm: none.yaml, better_than: base.yaml", "undecided"),
    ],
)
def test_what_becomes_of_a_claim(lab: Path, line: str, state: str) -> None:
    (held,) = hold(lab, line)
    assert held.state == state, evidence(held)
    assert claim_sentence(held)[-1] == evidence(held)[-1] == "."


def test_a_claim_with_too_few_runs_says_so(lab: Path) -> None:
    few, none = hold(lab, "arm: few.yaml, accuracy_at_least: 0.1", "arm: none.yaml, better_than: few.yaml")
    assert evidence(few) == "few has 2 tested runs, and a claim needs at least 3."
    assert evidence(none) == "none has no tested runs and few has 2 tested runs, and a claim needs at least 3."
    assert few.p is none.p is None


def test_holm_covers_the_claims_of_a_file(lab: Path) -> None:
    line = "arm: good.yaml, accuracy_at_least: 0.778"
    (alone,) = hold(lab, line)
    first, *_ = hold(lab, line, *(f"arm: base.yaml, accuracy_at_least: 0.70{number}" for number in range(4)))
    assert alone.p_holm == alone.p == first.p
    assert (first.p_holm or 0) > (first.p or 0)


def test_a_claim_of_no_difference_is_the_verdict_of_the_report(lab: Path) -> None:
    (lab / "lab.yaml").write_text(
        "title: t\ncontrol: base.yaml\nquestions:\n  q:\n    title: t\n    arms: [good.yaml]\n    chart: q.png\n"
    )
    (comparison,) = answer_lab(lab / "lab.yaml", lab / "results", viewing=Viewing()).answers[0].comparisons
    (held,) = hold(lab, "arm: good.yaml, better_than: base.yaml", viewing=Viewing())
    assert held.p_holm == comparison.p_holm
    assert held.comparison is not None
    assert (held.comparison.low, held.comparison.look) == (comparison.low, 1)
    assert len(find_looks(lab / "results").book.pairs[0].looks) == 1  # the same runs are the same look


def test_a_claim_counts_as_a_look_where_it_is_shown(lab: Path) -> None:
    hold(lab, "arm: good.yaml, better_than: base.yaml")
    assert find_looks(lab / "results").book.pairs == ()
    hold(lab, "arm: good.yaml, better_than: base.yaml", viewing=Viewing())
    assert len(find_looks(lab / "results").book.pairs) == 1


def test_the_margin_test_agrees_with_the_interval() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        gap = compare(dict(enumerate(draw.normal(0.7, 0.02, 5))), dict(enumerate(draw.normal(0.69, 0.02, 5))))
        assert gap is not None
        low, high = gap.confidence_interval(1 - ALPHA) or (0.0, 0.0)
        for margin in (-0.02, 0.0, 0.01, 0.03):
            p = gap.margin_p(margin)
            assert p is not None
            assert (p < ALPHA) == (not low <= margin <= high)
        values = list(draw.normal(0.7, 0.02, 5))
        low, high = t_interval(values) or (0.0, 0.0)
        for bound in (0.68, 0.7, 0.72):
            assert (mean_p(values, bound) or 0) < ALPHA or low <= bound <= high
            assert (mean_p(values, bound) or 0) >= ALPHA or not low <= bound <= high
    assert mean_p([0.5], 0.5) is None
    assert mean_p([0.5, 0.5], 0.5) == 1
    assert mean_p([0.5, 0.5], 0.4) == 0


def test_a_true_claim_is_refuted_in_few_of_many_labs() -> None:
    draw = np.random.default_rng(1)
    samples = draw.normal(0.7, 0.01, (2_000, 4))
    refuted = sum((mean_p(list(row), 0.7) or 1) <= ALPHA and row.mean() < 0.7 for row in samples)
    assert refuted / len(samples) < ALPHA / 2 + 0.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claims: {a: {arm: base.yaml}}", "it claims nothing"),
        ("claims: {a: {arm: base.yaml, better_than: base.yaml}}", "is the arm itself"),
        ("claims: {a: {arm: base.yaml, better_than: good.yaml, accuracy_at_least: 0.5}}", "not both"),
        ("claims: {a: {arm: base.yaml, accuracy_at_least: 0.5, by_at_least: 3}}", "has no effect without better_than"),
        ("claims: {a: {arm: base.yaml, better_than: good.yaml, within: 3}}", "has no effect without equal_to"),
        ("claims: {a: {arm: base.yaml, accuracy_at_least: 72}}", "expected a number from 0 to 1"),
        ("claims: {a: {arm: base.yaml, beter_than: good.yaml}}", "did you mean better_than?"),
        ("claims: {a: {arm: gone.yaml, accuracy_at_least: 0.5}}", "no file"),
        ("claims: {'a b': {arm: base.yaml, accuracy_at_least: 0.5}}", "this name does not fit"),
        ("claims: {}", "claims"),
        ("claims: [a]", "claims"),
        ("epochs: 3", "settings file"),
    ],
)
def test_a_wrong_claims_file_is_refused_with_its_line(lab: Path, text: str, said: str) -> None:
    (lab / "claims.yaml").write_text(f"{text}\n")
    with pytest.raises(SettingsError) as error:
        load_sheet(lab / "claims.yaml", ClaimSheet)
    assert said in str(error.value)
    assert "claims.yaml" in str(error.value)


def test_options_of_the_runs_are_found(lab: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
    results: Any = lab / "other"
    for name in ("base", "good"):
        settings = load_settings(lab / f"{name}.yaml", ["data.batch_size=32"])
        records = [make_record(accuracy, seed, settings) for seed, accuracy in enumerate(ACCURACIES[name])]
        save_records(results, *records)
    (lab / "claims.yaml").write_text("claims: {a: {arm: good.yaml, better_than: base.yaml}}\n")
    held = hold_claims(lab / "claims.yaml", results, viewing=NO_LOOK)
    assert held.options == ("data.batch_size=32",)
    assert held.claims[0].state == "holds"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("arm: good.yaml, better_than: base.yaml", ""),
        ("arm: base.yaml, better_than: good.yaml", ""),
        ("arm: good.yaml, better_than: good2.yaml", ""),
        ("arm: few.yaml, accuracy_at_least: 0.1", "few.yaml --seeds 4x"),
        ("arm: few.yaml, better_than: base.yaml", "base.yaml few.yaml --seeds 4x"),
        ("arm: none.yaml, better_than: base.yaml", "base.yaml none.yaml --seeds 4x"),
        ("arm: short.yaml, accuracy_at_least: 0.1", "short.yaml --seeds 7-9"),
        ("arm: lost.yaml, accuracy_at_least: 0.1", ""),
    ],
)
def test_an_undecided_claim_has_the_command_that_adds_its_seeds(
    lab: Path, line: str, words: str, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    (lab / "good2.yaml").write_text((lab / "good.yaml").read_text())
    (lab / "short.yaml").write_text("epochs: 50\nseeds: [7]\n")
    (lab / "lost.yaml").write_text("epochs: 51\nseeds: [0]\n")
    short, lost = load_settings(lab / "short.yaml"), load_settings(lab / "lost.yaml")
    save_records(lab / "results", make_record(0.7, 7, short), make_record(None, 0, lost))
    (held,) = hold(lab, line)
    program, run, *command = held.to_run.split() or ["", ""]
    assert " ".join(Path(word).name for word in command[: len(words.split())]) == words
    assert (program, run) == (("cifar-lab", "run") if words else ("", ""))


@pytest.mark.parametrize(
    "line",
    [
        "arm: noisy.yaml, better_than: base.yaml",
        "arm: good.yaml, better_than: base.yaml, by_at_least: 7.9",
        "arm: noisy.yaml, equal_to: base.yaml, within: 3",
        "arm: noisy.yaml, accuracy_at_least: 0.69",
    ],
)
def test_numbers_that_are_too_close_need_more_seeds_than_there_are(lab: Path, line: str) -> None:
    (held,) = hold(lab, line)
    assert (held.state, held.p is None) == ("undecided", False)
    assert 4 < int(held.to_run.split("--seeds ")[1].split()[0].removesuffix("x")) <= 1000


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([0], "0"), ([3], "3"), ([0, 1], "2x"), ([0, 1, 2], "3x"), ([1, 2], "1,2"), ([4, 5, 6, 9, 11, 12], "4-6,9,11,12")],
)
def test_seeds_are_written_as_the_option_reads_them(seeds: list[int], words: str) -> None:
    assert seed_words(seeds) == words
    assert parse_seeds([words]) == seeds


def test_further_seeds_follow_the_known_ones() -> None:
    assert more_seeds({7}, 3) == [7, 8, 9]
    assert more_seeds({0, 2}, 2) == [0, 2]
    assert more_seeds({MAX_SEED}, 3) == [0, 1, MAX_SEED]
