"""Seeds that an undecided claim needs, and the command that trains them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import count

from cifar_lab.analysis.arms import Arm
from cifar_lab.analysis.differences import difference_design, equivalence_design, row_difference
from cifar_lab.analysis.held_claims import HeldClaim
from cifar_lab.analysis.stats.power import MOST_SEEDS, Design, runs_to_show, runs_to_tell
from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS
from cifar_lab.config import MAX_SEED


def command_to_decide(held: HeldClaim, arms: Sequence[Arm], options: Sequence[str], family: int) -> str:
    """The `run` that trains the seeds that an undecided claim lacks. Empty where it is decided, or none would decide.

    Args:
        arms: those of the claim.
        options: of the command.
        family: claims over which Holm adjusts.
    """
    needed = _seeds_needed(held, ALPHA / max(family, 1))
    if held.state != "undecided" or needed is None:
        return ""
    rows = [row for row in (held.row, held.other) if row is not None]
    known = {seed for arm in arms for seed in arm.settings.seeds} | {seed for row in rows for seed, _ in row.values}
    seeds = seed_words(more_seeds(known, needed))
    files = dict.fromkeys(arm.path.as_posix() for arm in arms)
    return shlex.join(["cifar-lab", "run", *files, "--seeds", seeds, *options])


def more_seeds(seeds: set[int], needed: int) -> list[int]:
    """The seeds with the following numbers, until they are as many as needed."""
    found = sorted(seeds)
    while len(found) < needed:
        after = found[-1] + 1 if found[-1] < MAX_SEED else next(each for each in count() if each not in found)
        found = sorted([*found, after])
    return found


def seed_words(seeds: Sequence[int]) -> str:
    """Seeds in ascending order as the value of `--seeds`: `3x`, `0,1,7` or `0-4,9`."""
    if list(seeds) == list(range(len(seeds))) and len(seeds) > 1:
        return f"{len(seeds)}x"
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ",".join(map(str, part)) for part in parts)


def _seeds_needed(held: HeldClaim, alpha: float) -> int | None:
    """Seeds per arm: those of the settings, three, or as many as decide it with a power of 0.8. None beyond 1,000.

    The estimate assumes that mean and standard deviation stay.
    """
    rows = [row for row in (held.row, held.other) if row is not None]
    if held.other is not None and held.row.is_same_runs(held.other):
        return None
    if any(row.diverged and not row.n for row in rows):
        return None
    lost = max(len(row.diverged) for row in rows)
    if held.p is None or any(row.missing_seeds for row in rows):
        return FEWEST_SEEDS + lost
    there = min(row.n for row in rows)
    needed = _of_row(held, alpha) if held.other is None else _of_pair(held, alpha)
    return needed if needed is None else min(max(needed, there + 1) + lost, MOST_SEEDS)


def _of_row(held: HeldClaim, alpha: float) -> int | None:
    row, claim = held.row, held.claim
    bound = claim.accuracy_at_least if claim.accuracy_at_least is not None else claim.accuracy_at_most
    assert row.mean is not None
    assert bound is not None
    std = row.std or 1 / max(row.test_size, 1)
    return runs_to_show(100 * (row.mean - bound), Design(100 * std, std_dof=row.n - 1), alpha)


def _of_pair(held: HeldClaim, alpha: float) -> int | None:
    claim, other = held.claim, held.other
    assert other is not None
    gap = row_difference(held.row, other)
    design = None if gap is None else difference_design(gap)
    if gap is None or design is None:
        return 2 * min(held.row.n, other.n)
    if claim.equal_to is not None:
        within = equivalence_design(gap, claim.within)
        return runs_to_tell(100 * gap.mean, claim.within, design, alpha, within=within)
    limit = claim.by_at_least if claim.better_than is not None else -claim.by_at_least
    return runs_to_show(100 * gap.mean - limit, design, alpha)
