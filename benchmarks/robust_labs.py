"""Error rates of the verdicts on robustness under equal arms, from outcomes per image of real attacks.

    cifar-lab run configs/q3_adam.yaml --epochs 2 --seeds 20x --results pool
    cifar-lab attack configs/q3_adam.yaml --set 'eps=[0.5/255,1/255,2/255]' --results pool
    python -m benchmarks.robust_labs --results pool --save outcomes.npz
    python -m benchmarks.robust_labs --outcomes outcomes.npz --labs 20000

The pool has the outcomes of the networks of one arm. Each lab draws two equal arms of n networks each from it, none
twice, and draws its test images from those of the pool with replacement. Networks keep their outcomes, so that hard
images are hard for all of them. Verdicts are those of the report. Printed are the share of false verdicts of one
comparison, and that of labs with any false verdict among comparisons at all distances and of the area together.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.robust_scores import robust_levels
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdicts import decide, first_look, pairs_of
from cifar_lab.config.sheets import Question
from cifar_lab.store.attack_records import find_attacks
from cifar_lab.store.results import find_records

Outcomes = NDArray[np.bool_]
"""(networks, levels, images): whether an image is classified correctly within the distance. The first level is 0."""

MIN_EFFECT = 0.001
"""Percentage points: so small that nothing is called equivalent."""

QUESTION = Question(title="Is it more robust?", arms=("a.yaml",), chart="q.png")


@dataclass(frozen=True)
class Rates:
    """Shares of false verdicts."""

    single: float
    """Of one comparison alone, mean over the levels."""
    family: float
    """Of labs with any, among all levels and the area under the curve together."""


def outcomes_of(results: Path) -> Outcomes:
    """Outcomes of the first attack of each run of a results folder, nested as the report nests them."""
    found = []
    for record in find_records(results).records:
        for attack in find_attacks(results, record):
            texts = [attack.clean, *(level.correct for level in attack.levels if level.level > 0)]
            assert len(robust_levels(attack)) >= len(texts) - 1
            marks = np.array([[mark == "1" for mark in text] for text in texts])
            found.append(np.logical_and.accumulate(marks, axis=0))
            break
    return np.stack(found)


def rates(outcomes: Outcomes, seeds: int, labs: int, rng: np.random.Generator) -> Rates:
    """Shares of false verdicts of labs with two equal arms of this many seeds."""
    networks, levels, images = outcomes.shape
    single, family = 0, 0
    for _ in range(labs):
        chosen = rng.permutation(networks)[: 2 * seeds]
        drawn = rng.integers(images, size=images)
        accuracies = outcomes[chosen][:, 1:][..., drawn].mean(axis=2)  # (2 n, levels - 1)
        values = np.column_stack([accuracies, accuracies.mean(axis=1)])
        single += sum(_is_false(values[:, [level]], seeds, images) for level in range(levels - 1))
        family += _is_false(values, seeds, images)
    return Rates(single / labs / (levels - 1), family / labs)


def _is_false(values: NDArray[np.float64], seeds: int, images: int) -> bool:
    """Whether any comparison of (2 n, comparisons) values is called better or worse."""
    answers = [
        Answer(f"q{number}", QUESTION, (_row("control", column[:seeds], images), _row("arm", column[seeds:], images)))
        for number, column in enumerate(values.T)
    ]
    pairs = [pair.seen(first_look) for pair in pairs_of(answers)]
    return any(decision.verdict in ("better", "worse") for decision in decide(pairs, MIN_EFFECT))


def _row(label: str, values: NDArray[np.float64], images: int) -> Row:
    ids = tuple(f"{label} {seed}" for seed in range(len(values)))
    return Row(
        label, tuple(enumerate(values.tolist())), float(values.mean()), run_ids=ids, is_control=label == "control",
        test_size=images,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="folder with attacked runs of one arm")
    parser.add_argument("--outcomes", type=Path, help="file of --save")
    parser.add_argument("--save", type=Path, help="file for the outcomes")
    parser.add_argument("--labs", type=int, default=2_000)
    args = parser.parse_args()
    outcomes = load(args.outcomes) if args.outcomes else outcomes_of(args.results)
    if args.save:
        np.savez_compressed(args.save, packed=np.packbits(outcomes), shape=outcomes.shape)
    for seeds in (3, 5, 10):
        if 2 * seeds <= len(outcomes):
            found = rates(outcomes, seeds, args.labs, np.random.default_rng(seeds))
            print(
                f"{seeds} seeds: {100 * found.single:.2f} % of single comparisons, {100 * found.family:.2f} % of labs"
            )


def load(path: Path) -> Outcomes:
    """Outcomes that `--save` wrote."""
    with np.load(path) as saved:
        shape = tuple(saved["shape"].tolist())
        return np.unpackbits(saved["packed"])[: int(np.prod(shape))].reshape(shape).astype(bool)


if __name__ == "__main__":
    main()
