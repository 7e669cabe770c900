"""Lines on the course of a race, printed while a sweep runs."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, sqrt
from typing import TYPE_CHECKING

from cifar_lab.config.sheets import Search
from cifar_lab.core.text import count

if TYPE_CHECKING:
    from cifar_lab.studies.search import SearchStep
    from cifar_lab.studies.space.race import Race, Races


def race_step_line(step: SearchStep, search: Search) -> str:
    """Line on the points that train now, and with which seed."""
    seeds = sorted({arm.seeds[0] for arm in step.arms}, key=search.seeds.index)
    named = " and ".join(f"seed {seed} ({search.seeds.index(seed) + 1} of {len(search.seeds)})" for seed in seeds)
    return f"race: {count(len(step.arms), 'point')} with {named}"


def race_lines(races: Races, search: Search) -> Iterator[str]:
    """One line per group on the points in the race and the leader."""
    for group, race in races.by_group.items():
        yield f"race of {group}: {_standing(race)}" if search.group_keys else f"race: {_standing(race)}"


def _standing(race: Race) -> str:
    leader, running = race.leader, race.running
    if leader is None:
        return "no point has a finite number"
    seeds, margin = len(race.results[leader]), race.margin()
    line = f"{count(len(running), 'point')} of {len(race.results):,} in the race, {len(race.dropped):,} dropped"
    line += f"; leader: {leader} ({race.mean(leader):.4f} over {count(seeds, 'seed')})"
    if not race.next_points():
        return f"{line}; the race is over"
    limit = f"; dropped if more than {100 * margin / sqrt(seeds):.2f} pp behind over {count(seeds, 'seed')}"
    return line + (limit if isfinite(margin) else "")
