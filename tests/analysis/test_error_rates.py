"""What verdicts promise, held against thousands of simulated labs: from records to words, by the report's own path.

Two standard errors of a rate of 0.05 over 2,000 labs are 0.01; the labs are drawn from fixed seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.arms import Arm, compare_arms
from cifar_lab.analysis.error_budget import Look
from cifar_lab.analysis.interim_looks import plan_looks
from cifar_lab.analysis.stats.power import Design, runs_to_show, runs_to_tell
from cifar_lab.analysis.stats.significance import ALPHA, t_interval
from cifar_lab.analysis.summary import Row, recipe_key
from cifar_lab.analysis.verdicts import judge
from cifar_lab.config import SGD, Adam, AdamW, Settings
from cifar_lab.config.sheets import Question
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
Numbers = NDArray[np.float64]

LABS = 2_000
SPREAD = 0.006
"""Standard deviation of a run over seeds, a share: so large beside `TINY` that nothing is called equivalent."""
TINY = 0.001
"""`min_effect` where equivalence is not the matter, pp."""
QUESTION = Question(title="Is it better?", arms=("a.yaml",), chart="q.png")
SETTINGS = (
    Settings(), Settings(optimizer=Adam(name="adam")), Settings(optimizer=AdamW(name="adamw")),
    Settings(optimizer=SGD(lr=0.1)),
)  # fmt: skip


@dataclass
class Bench:
    """Makes labs of records in memory."""

    patterns: Sequence[Record]
    """A record of each arm, the control's first."""

    def answer(self, *arms: Sequence[tuple[int, float]]) -> Answer:
        """The question of these runs, (seed, accuracy) each, control first; not judged yet."""
        files = [
            Arm(f"arm {number}", like_settings(len(runs), number), recipe_key(self.patterns[number].recipe), Path("a"))
            for number, runs in enumerate(arms)
        ]
        records = [self._record(number, seed, value) for number, runs in enumerate(arms) for seed, value in runs]
        return compare_arms("q", QUESTION, files[0], files[1:], records)

    def _record(self, number: int, seed: int, accuracy: float) -> Record:
        like = self.patterns[number]
        assert like.test is not None
        test = like.test.model_copy(update={"accuracy": accuracy})
        return like.model_copy(update={"seed": seed, "run_id": f"{number}-{seed}", "test": test})


def like_settings(seeds: int, number: int) -> Settings:
    return SETTINGS[number].model_copy(update={"seeds": tuple(range(seeds))})


@pytest.fixture
def bench(make_record: MakeRecord) -> Bench:
    return Bench([make_record(0.5, 0, settings) for settings in SETTINGS])


def runs(accuracies: Numbers, first_seed: int = 0) -> list[tuple[int, float]]:
    return list(enumerate(accuracies.tolist(), first_seed))


def draw(rng: np.random.Generator, arms: int, seeds: int) -> Numbers:
    """(arms, seeds): half of the variance is the seed's, the same in every arm."""
    half = SPREAD * np.sqrt(0.5)
    return np.asarray(0.6 + rng.normal(0, half, (1, seeds)) + rng.normal(0, half, (arms, seeds)))


def judged(answer: Answer, alpha: float = ALPHA, min_effect: float = TINY) -> tuple[Comparison, ...]:
    (done,), _ = judge([answer], min_effect, lambda row, control, gap: Look(alpha=alpha))
    return done.comparisons


def claims(comparisons: Sequence[Comparison]) -> bool:
    """Whether any of them says better or worse."""
    return any(each.verdict in ("better", "worse") for each in comparisons)


def test_equal_arms_with_shared_seeds_are_told_apart_in_one_lab_of_twenty(bench: Bench) -> None:
    rng = np.random.default_rng(5)
    false = sum(claims(judged(bench.answer(*map(runs, draw(rng, 2, 5))))) for _ in range(LABS))
    assert 0.04 <= false / LABS <= 0.06


def test_equal_arms_without_shared_seeds_too(bench: Bench) -> None:
    rng, false = np.random.default_rng(1947), 0
    for _ in range(LABS):
        control, arm = rng.normal(0.6, SPREAD, (2, 5))
        (comparison,) = judged(bench.answer(runs(control), runs(arm, first_seed=50)))
        assert comparison.method == "welch"
        false += claims([comparison])
    assert 0.04 <= false / LABS <= 0.06


@pytest.mark.slow
def test_of_three_equal_arms_any_is_told_apart_in_one_lab_of_twenty(bench: Bench) -> None:
    rng = np.random.default_rng(1979)
    labs = [judged(bench.answer(*map(runs, draw(rng, 4, 3)))) for _ in range(LABS)]
    alone = sum(any(each.p is not None and each.p <= 0.05 for each in lab) for lab in labs)
    assert alone / LABS > 0.10  # what it would be without Holm
    assert 0.04 <= sum(map(claims, labs)) / LABS <= 0.06


@pytest.mark.slow
def test_adding_seeds_until_decided_keeps_the_error_rate() -> None:
    looks, rng = plan_looks(3, 20), np.random.default_rng(2000)
    assert looks == (3, 5, 8, 12, 20)
    ended: Counter[str] = Counter()
    peeked = 0
    for _ in range(LABS):
        control, arm = draw(rng, 2, looks[-1])
        verdict, naive = "undecided", False
        for n in looks:
            rows = tuple(
                Row(name, runs(values[:n]), float(values[:n].mean()), is_control=name == "control")  # type: ignore[arg-type]
                for name, values in (("control", control), ("arm", arm))
            )
            (found,) = judged(Answer("q", QUESTION, rows), ALPHA / len(looks))
            naive = naive or (found.p or 1) <= 0.05
            verdict = found.verdict if verdict == "undecided" else verdict
        ended[verdict] += 1
        peeked += naive
    assert peeked / LABS > 0.10  # what looking five times without a plan comes to
    assert (ended["better"] + ended["worse"]) / LABS <= 0.05
    assert set(ended) <= {"better", "worse", "undecided"}


def test_equal_arms_end_equivalent_where_there_are_seeds_enough() -> None:
    rng, ended = np.random.default_rng(1987), Counter[str]()
    for _ in range(100):
        rows = tuple(
            Row(str(k), runs(values), float(values.mean()), is_control=k == 0)  # type: ignore[arg-type]
            for k, values in enumerate(draw(rng, 2, 20))
        )
        (found,) = judged(Answer("q", QUESTION, rows), ALPHA / 5, min_effect=1.0)
        ended[found.verdict] += 1
    assert ended["equivalent"] >= 95


def test_a_difference_as_large_as_the_margin_is_seldom_called_equivalent(bench: Bench) -> None:
    rng, false = np.random.default_rng(8), 0
    for _ in range(LABS // 2):
        control, arm = draw(rng, 2, 8)
        (found,) = judged(bench.answer(runs(control), runs(arm + 0.006)), min_effect=0.6)
        false += found.verdict == "equivalent"
    assert false / (LABS // 2) <= 0.065


@pytest.mark.parametrize(("points", "paired"), [(1.0, True), (0.6, True), (1.0, False)])
def test_as_many_seeds_as_the_plan_says_show_the_difference_in_four_labs_of_five(
    bench: Bench, points: float, paired: bool
) -> None:
    shared_spread, apart = 100 * SPREAD, 100 * SPREAD * np.sqrt(2)
    design = Design(shared_spread if paired else apart, paired)
    n = runs_to_show(points, design)
    assert n is not None
    rng, shown = np.random.default_rng(80), 0
    for _ in range(800):
        both = draw(rng, 2, n) if paired else rng.normal(0.6, SPREAD, (2, n))
        (found,) = judged(bench.answer(runs(both[0]), runs(both[1] + points / 100, 0 if paired else 500)))
        shown += found.verdict == "better"
    assert 0.77 <= shown / 800 <= 0.92  # 0.8 and what rounding n up adds, less two standard errors


def test_as_many_more_seeds_as_the_sentence_says_tell_in_four_labs_of_five(bench: Bench) -> None:
    n = runs_to_tell(0.1, 0.3, Design(100 * SPREAD))
    assert n is not None
    rng, told = np.random.default_rng(81), 0
    for _ in range(400):
        control, arm = draw(rng, 2, n)
        (found,) = judged(bench.answer(runs(control), runs(arm + 0.001)), min_effect=0.3)
        told += found.verdict != "undecided"
    assert told / 400 >= 0.77


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_hold_the_truth_in_nineteen_labs_of_twenty(n: int) -> None:
    rng, covered = np.random.default_rng(n), 0
    for values in rng.normal(0.6, SPREAD, (4_000, n)).tolist():
        low, high = t_interval(values) or (1.0, 0.0)
        covered += low <= 0.6 <= high
    assert covered / 4_000 == pytest.approx(0.95, abs=0.008)
