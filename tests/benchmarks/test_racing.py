"""Replays of searches on a made-up table."""

from __future__ import annotations

import random

from benchmarks.replay.methods import full_table, halving, permuted, race, random_points, tpe
from benchmarks.replay.table import SPACE
from cifar_lab.studies.sweep import load_sweep

SWEEP = load_sweep(SPACE, ["data={dataset: synthetic, train_size: 400, test_size: 50, val_size: 100}"])


def curves() -> dict[str, tuple[tuple[float, float], ...]]:
    draw = random.Random(1)
    found = {}
    for number, point in enumerate(SWEEP.expansion.points):
        ends = [0.6 - 0.004 * number + draw.gauss(0, 0.004) for _ in range(10)]
        found[point.name] = tuple((end - 0.2, end) for end in ends)
    return found


def test_the_space_has_200_points_and_ten_fresh_seeds() -> None:
    assert len(SWEEP.expansion.points) == 200
    assert len(SWEEP.search.seeds) == len(SWEEP.search.confirm_seeds) == 10


def test_methods_count_their_runs() -> None:
    table = curves()
    best = full_table(table)
    assert (best.winner, best.runs) == (next(iter(table)), 2_000)
    raced = race(table, 0.05)
    assert 220 <= raced.runs < 500
    assert table[raced.winner][0][-1] > 0.58
    assert halving(table, 2).runs == 200 * 2 * 0.5 + 100 * 2 * 0.5
    assert random_points(table, 40, 3, 0).runs == 120
    proposed = tpe(SWEEP, table, 24, 2, 0)
    assert proposed.runs <= 48
    assert proposed == tpe(SWEEP, table, 24, 2, 0)


def test_a_permuted_table_has_the_same_full_winner() -> None:
    table = curves()
    assert full_table(permuted(table, 3)) == full_table(table)
    assert permuted(table, 3) != table
    assert sorted(permuted(table, 3)["Adam · lr 0.001 · batch 16 · no flip · label_smoothing 0.0"]) == sorted(
        table["Adam · lr 0.001 · batch 16 · no flip · label_smoothing 0.0"]
    )
