"""Error rates of the verdicts of labs with few test images, or hardly any errors, by the report's own functions.

    python -m benchmarks.tied_labs --labs 20000

Every lab has two arms of n seeds. Each run has an error rate of its own, drawn from a beta distribution. Given the
error rates of the two runs of a seed, an image is wrong in both, in one, in the other or in none: these outcomes are
drawn for every image, as counts of a multinomial distribution. `overlap` is the dependence of the two runs: 0 is none,
1 is as many common errors as there can be. Two rates are printed per setting: *equivalent* where the expected
difference is `MIN_EFFECT`, and *better* or *worse* where it is 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer, Verdict
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdicts import decide, first_look, pairs_of
from cifar_lab.config.sheets import Question

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

MIN_EFFECT = 0.3
"""Percentage points."""

QUESTION = Question(title="Is it better?", arms=("a.yaml",), chart="q.png")


@dataclass(frozen=True)
class Setting:
    """Distribution of labs."""

    images: int
    """Test images."""
    seeds: int
    errors: float
    """Mean error rate of the control, a share."""
    spread: float
    """Standard deviation of a run's own error rate over seeds, a share. At most 0.9 of the mean."""
    overlap: float
    """Of the errors of the two runs of a seed."""
    is_paired: bool = True
    """Whether the arms share seeds."""


def error_rates(rng: np.random.Generator, mean: float, spread: float, size: tuple[int, int]) -> Shares:
    """Error rates of runs, from a beta distribution."""
    std = min(spread, 0.9 * mean)
    if not std:
        return np.full(size, mean)
    concentration = mean * (1 - mean) / std**2 - 1
    return rng.beta(mean * concentration, (1 - mean) * concentration, size)


def draw(setting: Setting, gap: float, labs: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Wrong images of every run of (control, arm), labs × seeds, where the arm's mean error rate is higher by `gap`."""
    size = labs, setting.seeds
    control = error_rates(rng, setting.errors, setting.spread, size)
    arm = error_rates(rng, setting.errors + gap, setting.spread, size)
    independent = control * arm
    both = independent + setting.overlap * (np.minimum(control, arm) - independent)
    outcomes = np.stack([both, control - both, arm - both, 1 - control - arm + both], axis=-1).clip(0)
    counts = rng.multinomial(setting.images, outcomes / outcomes.sum(axis=-1, keepdims=True))
    return counts[..., 0] + counts[..., 1], counts[..., 0] + counts[..., 2]


def verdicts(setting: Setting, gap: float, labs: int, rng: np.random.Generator) -> Iterator[tuple[Verdict, int]]:
    """(verdict, number of labs) of each outcome that occurs. The order of the seeds of a lab changes no verdict."""
    wrong = np.stack(draw(setting, gap, labs, rng), axis=-1)
    keys = wrong[..., 0] * (setting.images + 1) + wrong[..., 1] if setting.is_paired else wrong[..., 0]
    ordered = np.take_along_axis(wrong, keys.argsort(axis=1)[..., None], axis=1)
    if not setting.is_paired:
        ordered[..., 1].sort(axis=1)
    kinds, times = np.unique(ordered.reshape(labs, -1), axis=0, return_counts=True)
    for kind, count in zip(kinds.reshape(-1, setting.seeds, 2), times.tolist(), strict=True):
        yield verdict(1 - kind / setting.images, setting), count


def verdict(accuracies: Shares, setting: Setting) -> Verdict:
    """Verdict on one lab, from the accuracies of (control, arm) of each seed."""
    first = 0 if setting.is_paired else setting.seeds
    rows = tuple(
        Row(
            name,
            tuple(enumerate(values.tolist(), start)),
            float(values.mean()),
            test_size=setting.images,
            is_control=name == "control",
        )
        for name, values, start in zip(("control", "arm"), accuracies.T, (0, first), strict=True)
    )
    pairs = [pair.seen(first_look) for pair in pairs_of([Answer("q", QUESTION, rows)])]
    return decide(pairs, MIN_EFFECT)[0].verdict


def false_equivalents(setting: Setting, labs: int, rng: np.random.Generator) -> float:
    """Share of labs that say *equivalent* where the expected difference is `MIN_EFFECT`."""
    found = verdicts(setting, MIN_EFFECT / 100, labs, rng)
    return sum(count for word, count in found if word == "equivalent") / labs


def false_differences(setting: Setting, labs: int, rng: np.random.Generator) -> float:
    """Share of labs that say *better* or *worse* where the expected difference is 0."""
    return sum(count for word, count in verdicts(setting, 0, labs, rng) if word in ("better", "worse")) / labs


GRID = (
    *(Setting(images, 3, errors, 0.0, 0.5) for images in (100, 1_000, 10_000) for errors in (0.0, 0.01)),
    *(Setting(images, 5, errors, 0.002, 0.5) for images in (100, 1_000, 10_000) for errors in (0.0, 0.01)),
    *(Setting(images, 5, errors, 0.003, 0.5) for images in (100, 10_000) for errors in (0.1, 0.497)),
    *(Setting(images, 20, errors, 0.0, 1.0) for images in (100, 1_000) for errors in (0.0, 0.01)),
    *(Setting(images, 5, 0.01, 0.002, 0.0, is_paired=False) for images in (100, 1_000)),
    *(Setting(images, 3, 0.004, 0.005, 0.5) for images in (100, 1_000, 10_000)),
    *(Setting(10_000, seeds, errors, 0.005, 0.5) for seeds in (5, 10) for errors in (0.001, 0.004)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=int, default=20_000, help="per setting")
    options = parser.parse_args()
    print("| images | seeds | control right | spread | overlap | equivalent | better or worse |\n" + "|---:" * 7 + "|")
    for number, each in enumerate(GRID):
        rng = np.random.default_rng(number)
        equal, different = (rate(each, options.labs, rng) for rate in (false_equivalents, false_differences))
        kind = "" if each.is_paired else " (no shared seeds)"
        print(
            f"| {each.images:,} | {each.seeds}{kind} | {100 * (1 - each.errors):.4g} % | {100 * each.spread:g} pp | "
            f"{each.overlap:g} | {100 * equal:.1f} % | {100 * different:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
