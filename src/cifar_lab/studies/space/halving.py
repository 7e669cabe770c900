"""Synchronous successive halving over epochs (Jamieson and Talwalkar 2016, arXiv:1502.07943)."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.config.sheets import Halving


def rung_epochs(epochs: int, halving: Halving) -> list[int]:
    """Epochs after which points are compared, rising to `epochs`: each `eta` times the one before, rounded down."""
    return [epochs // halving.eta**step for step in reversed(range(halving.rungs))]


def halving_problem(epochs: int, halving: Halving) -> str:
    """Why a training of `epochs` cannot be halved like this; empty where it can."""
    if halving.eta ** (halving.rungs - 1) <= epochs:
        return ""
    most = 1
    while halving.eta**most <= epochs:
        most += 1
    remedy = f"; take at most {most}" if most > 1 else "; train for more"
    words = "1 epoch is" if epochs == 1 else f"{epochs:,} epochs are"
    return f"{words} too few for {halving.rungs} rungs that grow {halving.eta} times{remedy}, or a smaller eta"


def kept_points(points: int, halving: Halving, top: int) -> int:
    """How many of the points of a rung go on to the next: one in `eta`, rounded up, and never fewer than `top`."""
    return min(points, max(top, -(-points // halving.eta)))


def rung_sizes(points: int, halving: Halving, top: int) -> Sequence[int]:
    """How many points train on each rung."""
    sizes = [points]
    while len(sizes) < halving.rungs:
        sizes.append(kept_points(sizes[-1], halving, top))
    return sizes
