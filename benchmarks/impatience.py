"""False verdicts of readers who look again: labs in memory, judged by the functions of the report.

    python -m benchmarks.impatience --labs 20000        # the table of docs/statistics.md

A lab has equal arms and draws as many seeds as its reader asks for. The reader is misled where any report shows a
*better* or *worse*, or *equivalent* where the arms differ by `min_effect`. Spread of a run 0.6 pp, half of the variance
shared by the seed.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.interim_looks import StoppingPlan, StoppingPlans, plan_looks
from cifar_lab.analysis.look_ledger import LookLedger
from cifar_lab.analysis.remembered_looks import USUAL_MAX_SEEDS, advised
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdicts import decide, judge, pairs_of
from cifar_lab.config.sheets import Question
from cifar_lab.store.looks import FoundLooks, LookBook

SPREAD = 0.006
"""Standard deviation of a run over seeds, a share."""
MOST_SEEDS = 120
"""Seeds after which a reader gives up."""
IMAGES = "f" * 64
"""Fingerprint of the images."""
QUESTION = Question(title="Is it better?", arms=("a.yaml",), chart="q.png")

Reader = Callable[["Lab"], None]


@dataclass
class Lab:
    """A control and its arms, with the looks that its reader made."""

    accuracies: NDArray[np.float64]
    """(arms and control, seeds), control first."""
    min_effect: float
    """Percentage points."""
    are_paired: bool = True
    book: LookBook = field(default_factory=LookBook)
    plans: StoppingPlans = field(default_factory=StoppingPlans)
    said: set[str] = field(default_factory=set)
    """Verdicts that were shown."""

    def report(self, seeds: int, analysis: int | None = None, arms: Sequence[int] = ()) -> list[str]:
        """Verdicts of a report with this number of seeds, and a look.

        Args:
            analysis: number of seeds of the planned analysis that it is.
            arms: those that have these seeds. Empty for all.
        """
        ledger = LookLedger(FoundLooks(self.book), self.plans, analysis)
        answer = self._answer(seeds, arms)
        pairs = [pair.seen(ledger.look) for pair in pairs_of([answer])]
        self.book = ledger.book
        verdicts: list[str] = [decision.verdict for decision in decide(pairs, self.min_effect)]
        self.said.update(verdicts)
        return verdicts

    def advice(self, seeds: int) -> list[str]:
        """Words of the command that a report advises. Empty where it advises none."""
        ledger = LookLedger(FoundLooks(self.book), self.plans)
        (judged,), _ = judge([self._answer(seeds)], self.min_effect, ledger.look)
        told = advised(judged, ledger, self.plans, ["q"])
        return next((shlex.split(each.to_decide) for each in told.comparisons if each.to_decide), [])

    def until_decided(self, there: int, most: int) -> int:
        """`run --until-decided --max-seeds MOST` with the seeds that are there. Returns those at the end."""
        arms = tuple(f"arm {number}" for number in range(1, len(self.accuracies)))
        plan = StoppingPlan(question="q", fingerprint=IMAGES, control="arm 0", arms=arms, looks=plan_looks(there, most))
        self.plans = StoppingPlans([plan])
        undecided = list(range(1, len(self.accuracies)))
        for number in plan.looks:
            verdicts = self.report(number, number, undecided)
            undecided = [arm for arm, verdict in zip(undecided, verdicts, strict=True) if verdict == "undecided"]
            if not undecided:
                return number
        return most

    def _answer(self, seeds: int, arms: Sequence[int] = ()) -> Answer:
        numbers = (0, *(arms or range(1, len(self.accuracies))))
        return Answer("q", QUESTION, tuple(self._row(number, seeds) for number in numbers))

    def _row(self, number: int, seeds: int) -> Row:
        first = 0 if self.are_paired else 1_000 * number
        values = tuple(enumerate(self.accuracies[number, :seeds].tolist(), first))
        ids = tuple(f"{number}-{seed}" for seed, _ in values)
        label = f"arm {number}"
        return Row(label, values, 0.5, run_ids=ids, key=label, fingerprint=IMAGES, is_control=number == 0)


# --- readers ----------------------------------------------------------------------------------------------------------


def looks_at(*seeds: int) -> Reader:
    """Report at these numbers of seeds."""

    def read(lab: Lab) -> None:
        for number in seeds:
            lab.report(number)

    return read


def obeys(*seeds: int) -> Reader:
    """Report at these numbers of seeds, then do what the report advises, again and again."""

    def read(lab: Lab) -> None:
        for there in seeds:
            verdicts = lab.report(there)
        while "undecided" in verdicts and (words := lab.advice(there)):
            most = most_seeds(words)
            if not there < most <= MOST_SEEDS:
                break
            there = lab.until_decided(there, most) if "--until-decided" in words else most
            verdicts = lab.report(there)

    return read


def most_seeds(words: Sequence[str]) -> int:
    """Largest number of seeds that a command makes."""
    given = words[-1].removesuffix("x")
    return int(given) if given.isdigit() else USUAL_MAX_SEEDS


def plans(there: int, most: int) -> Reader:
    """`run --until-decided` without an earlier look."""

    def read(lab: Lab) -> None:
        lab.until_decided(there, most)

    return read


@dataclass(frozen=True)
class Case:
    """A reader and the labs that are read."""

    name: str
    reader: Reader
    arms: int = 2
    difference: float = 0.0
    """Of every arm to the control, pp."""
    min_effect: float = 0.3
    are_paired: bool = True
    misleading: frozenset[str] = frozenset({"better", "worse"})


EVERY_SEED = tuple(range(3, 21))
EQUIVALENT = frozenset({"equivalent"})
CASES = (
    Case("one report, 3 seeds", looks_at(3)),
    Case("one report, 5 seeds", looks_at(5)),
    Case("one report, 10 seeds", looks_at(10)),
    Case("one report, 5 and 5 runs without a shared seed", looks_at(5), are_paired=False),
    Case("one report, three arms of 5 seeds, Holm", looks_at(5), arms=4),
    Case("reports at 3, 4 and 5 seeds", looks_at(3, 4, 5)),
    Case("a report after every seed from 3 to 20", looks_at(*EVERY_SEED)),
    Case("the same without a shared seed", looks_at(*EVERY_SEED), are_paired=False),
    Case("what the report advises, from 3 seeds", obeys(3)),
    Case("what the report advises, from 5 seeds", obeys(5)),
    Case("the same, three arms", obeys(5), arms=4),
    Case("reports at 3, 4 and 5 seeds, then what is advised", obeys(3, 4, 5)),
    Case("reports after every seed to 10, then what is advised", obeys(*range(3, 11))),
    Case("`run --until-decided` without a report before", plans(3, 20)),
    Case("*equivalent* at the margin, one report, 10 seeds", looks_at(10), 2, 0.6, 0.6, misleading=EQUIVALENT),
    Case("*equivalent* at the margin, after every seed", looks_at(*EVERY_SEED), 2, 0.6, 0.6, misleading=EQUIVALENT),
    Case("*equivalent* at the margin, what is advised", obeys(5), 2, 0.6, 0.6, misleading=EQUIVALENT),
)  # fmt: skip


def draw(rng: np.random.Generator, case: Case, seeds: int = MOST_SEEDS) -> NDArray[np.float64]:
    """(arms, seeds): half of the variance is the seed's, the same in every arm that shares it."""
    half = SPREAD * sqrt(0.5)
    shared = rng.normal(0, half, (1 if case.are_paired else case.arms, seeds))
    accuracies = np.asarray(0.6 + shared + rng.normal(0, half, (case.arms, seeds)))
    accuracies[1:] += case.difference / 100
    return accuracies


def share_misled(case: Case, labs: int, seed: int = 12) -> float:
    """Share of labs whose reader is shown a false verdict."""
    rng, misled = np.random.default_rng(seed), 0
    for _ in range(labs):
        lab = Lab(draw(rng, case), case.min_effect, case.are_paired)
        case.reader(lab)
        misled += bool(lab.said & case.misleading)
    return misled / labs


def table(cases: Iterable[Case], labs: int) -> Iterable[str]:
    """Lines of a Markdown table."""
    yield f"| {labs:,} labs | misled |"
    yield "| --- | ---: |"
    for case in cases:
        yield f"| {case.name} | {100 * share_misled(case, labs):.1f} % |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labs", type=int, default=2_000)
    parser.add_argument("--only", default="", help="part of a reader's name")
    options = parser.parse_args()
    for line in table([case for case in CASES if options.only in case.name], options.labs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
