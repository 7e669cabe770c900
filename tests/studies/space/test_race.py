"""Races over made-up accuracies: who is dropped, when, and at which error rate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf, sqrt
from statistics import fmean

import pytest
from scipy import stats

from cifar_lab.analysis.stats.significance import expected_maximum
from cifar_lab.studies.space.race import PILOT_POINTS, Race

Table = Sequence[Sequence[float]]
"""Accuracies by point and seed."""


def table(means: Sequence[float], seeds: int, std: float, seed: int = 0) -> Table:
    draw = random.Random(seed)
    of_seed = [draw.gauss(0, 0.02) for _ in range(seeds)]
    return [[mean + shift + draw.gauss(0, std) for shift in of_seed] for mean in means]


def run(rows: Table, *, error: float = 0.05, kept: int = 1) -> tuple[Race, list[list[str]]]:
    """The race when it is over, and the points of each step."""
    race, steps = Race([str(number) for number in range(len(rows))], len(rows[0]), error, kept), list[list[str]]()
    while names := race.next_points():
        least, most = race.fewest_runs(), race.most_runs()
        steps.append(names)
        assert len(names) <= least <= most
        race.add({name: (rows[int(name)][len(race.results[name])],) for name in names})
        assert race.fewest_runs() <= most - len(names)
    return race, steps


def test_steps_of_a_race() -> None:
    """All points with the first seed, the best with the second, then the others, and then seed by seed."""
    rows = table([0.6 - 0.001 * number for number in range(150)], 4, 0.01)
    race, steps = run(rows)
    ranked = sorted(range(150), key=lambda number: -rows[number][0])
    assert [len(step) for step in steps[:2]] == [150, 15]
    assert {int(name) for name in steps[1]} == set(ranked[:15])
    assert not set(steps[1]) & set(steps[2])
    assert all(len(step) < 100 for step in steps[2:])
    assert {len(race.results[name]) for name in race.running} == {max(map(len, race.results.values()))}
    assert sum(map(len, steps)) < 150 * 4 / 2


def test_far_points_are_dropped_after_one_seed_and_the_race_ends_early() -> None:
    race, steps = run(table([0.6, *[0.3] * 49], 10, 0.005))
    assert race.running == ["0"]
    assert [len(step) for step in steps] == [50, PILOT_POINTS]
    assert sorted(race.dropped.values()) == [1] * (50 - PILOT_POINTS) + [2] * (PILOT_POINTS - 1)
    assert all(race.behind[name] == pytest.approx(0.3, abs=0.05) for name in race.dropped)


def test_what_a_seed_adds_to_every_point_changes_nothing() -> None:
    rows = table([0.6 - 0.002 * number for number in range(40)], 6, 0.004)
    shifted = [[value + 0.1 * seed for seed, value in enumerate(row)] for row in rows]
    assert run(rows)[0].dropped == run(shifted)[0].dropped


def test_equal_points_train_with_every_seed() -> None:
    race, steps = run([[0.5, 0.6, 0.7]] * 4)
    assert (race.dropped, [len(step) for step in steps]) == ({}, [4, 4, 4])
    race, steps = run([[0.5] * 3])
    assert (race.running, steps) == (["0"], [["0"]])


def test_the_best_five_stay_until_the_leader_is_ahead_of_each() -> None:
    race, _ = run(table([0.6 - 0.05 * number for number in range(20)], 5, 0.002), kept=5)
    assert sorted(map(int, race.running)) == [0, 1, 2, 3, 4]
    assert {len(race.results[name]) for name in race.running} == {2}


def test_a_diverged_or_failed_point_is_out() -> None:
    race = Race(["a", "b", "c", "d"], 3, 0.05, 2)
    race.add({"a": (0.5,), "b": (None,), "c": (), "d": (0.5,)})
    assert (race.running, race.dropped) == (["a", "d"], {"b": 1, "c": 1})
    assert race.next_points() == ["a", "d"]
    race.add({"a": (None,), "d": (None,)})
    assert (race.running, race.next_points(), race.leader) == (["a", "d"], [], None)


def test_margin_is_that_of_a_randomised_block_design() -> None:
    rows = table([0.6, 0.59, 0.58, 0.57], 3, 0.01)
    race = Race(list("abcd"), 4, 0.05, 4)
    assert race.margin() == inf
    for seed in range(3):
        race.add({name: (row[seed],) for name, row in zip("abcd", rows, strict=True)})
    whole, columns = fmean(fmean(row) for row in rows), [fmean(column) for column in zip(*rows, strict=True)]
    rest = [[x - fmean(row) - c + whole for x, c in zip(row, columns, strict=True)] for row in rows]
    square = sum(x * x for row in rest for x in row) / 6  # 3 x 2 degrees of freedom
    assert race.margin() == pytest.approx(stats.t.ppf(0.95, 6) * sqrt(2 * square))


def test_error_rate_of_one_comparison() -> None:
    """Two equal points: one is dropped as often as both sides of the test say."""
    races = 4_000
    dropped = 0
    for seed in range(races):
        race = Race(["a", "b"], 3, 0.05, 1)
        rows = table([0.5, 0.5], 2, 0.01, seed)
        race.add({"a": (rows[0][0],), "b": (rows[1][0],)})
        race.add({"a": (rows[0][1],), "b": (rows[1][1],)})
        dropped += len(race.dropped)
    assert dropped / races == pytest.approx(2 * 0.05, abs=0.015)


def test_the_winner_is_nearly_that_of_the_full_table() -> None:
    losses, shares = [], []
    for seed in range(20):
        draw = random.Random(seed)
        means = [0.7 - draw.gammavariate(1.5, 0.03) for _ in range(200)]
        rows = table(means, 10, 0.008, seed)
        race, steps = run(rows)
        best = max(range(200), key=lambda number: fmean(rows[number]))
        losses.append(means[best] - means[int(race.leader or 0)])
        shares.append(sum(map(len, steps)) / 2_000)
    assert fmean(losses) < 0.0005
    assert fmean(shares) < 1 / 6


def test_the_bound_of_the_selection_bias_holds_for_races() -> None:
    """Of equal points the winner seems better by at most the expected maximum, over the root of its seeds."""
    seen, bounds = [], []
    for seed in range(60):
        rows = table([0.5] * 30, 6, 0.01, seed)
        race, _ = run(rows)
        winner = race.results[race.leader or ""]
        of_seeds = [fmean(column) for column in zip(*rows, strict=True)][: len(winner)]
        seen.append(fmean(winner) - fmean(of_seeds))
        bounds.append(expected_maximum(30) * 0.01 / sqrt(len(winner)))
    assert 0.7 * fmean(bounds) < fmean(seen) < fmean(bounds)


@pytest.mark.parametrize("error", [0.2, 0.05, 0.001])
def test_a_smaller_error_rate_trains_more(error: float) -> None:
    rows = table([0.6 - 0.001 * number for number in range(60)], 5, 0.01)
    runs = [sum(map(len, run(rows, error=each)[1])) for each in (error, error / 10)]
    assert runs[0] < runs[1]
