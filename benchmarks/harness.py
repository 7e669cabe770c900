"""Candidate and peer in turn, pair after pair, each pair counted only if nobody else used the cores.

A machine drifts: it warms up, a neighbour comes and goes. The two sides of a pair see the same moment, so the ratio of
each pair is taken and then the median of the ratios, never the ratio of two medians.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.outcome import Comparison, Pair, Reading, comparison_from
from cifar_lab.core.host import CoreUse

PAIRS = 7
"""Six are the fewest whose interval of the median has 95 % (`intervals`); one more for a median that was measured."""

QUIET_CORES = 0.1
"""Cores' worth of time that others may use during a measurement: above it the pair is made again."""

ComparisonTarget = Callable[[], Reading]


@dataclass(frozen=True)
class Book:
    """Where the pairs of one benchmark are kept, so that a measurement that was stopped goes on."""

    path: Path | None
    """A JSON file; None keeps nothing."""

    def known(self, comparison: Comparison) -> Comparison:
        """`comparison` with the pairs that the file has of it; with none where it was another measurement."""
        for document in self._read().get("comparisons", ()):
            found = comparison_from(document)
            same = ("name", "unit", "candidate", "peer")
            if all(getattr(found, key) == getattr(comparison, key) for key in same):
                comparison.pairs, comparison.discarded = found.pairs, found.discarded
        return comparison

    def keep(self, comparison: Comparison) -> None:
        """Write it down, in place of what stands there under its name."""
        if self.path is None:
            return
        document = self._read()
        others = [each for each in document.get("comparisons", []) if each["name"] != comparison.name]
        self.write({**document, "comparisons": [*others, comparison.document()]})

    def write(self, document: dict[str, Any]) -> None:
        """Replace the file."""
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        fresh.replace(self.path)

    def add(self, **parts: Any) -> None:
        """Write further parts of the document down."""
        if self.path is not None:
            self.write({**self._read(), **parts})

    def get(self, part: str) -> Any:
        """A part that `add` wrote; None where there is none."""
        return self._read().get(part)

    def _read(self) -> dict[str, Any]:
        if self.path is None or not self.path.exists():
            return {}
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found


@dataclass
class Harness:
    """How pairs are made."""

    pairs: int = PAIRS
    book: Book = Book(None)
    quiet_cores: float = QUIET_CORES
    most_discarded: int = 2 * PAIRS
    """Pairs that are given up before a comparison ends with those that it has."""
    look: Callable[[], CoreUse] = CoreUse.now
    say: Callable[[str], object] = print

    def compare(self, comparison: Comparison, candidate: ComparisonTarget, peer: ComparisonTarget) -> Comparison:
        """Add pairs to `comparison` until it has as many as asked for."""
        comparison = self.book.known(comparison)
        given_up = 0
        while len(comparison.pairs) < self.pairs and given_up < self.most_discarded:
            (mine, during_mine), (theirs, during_theirs) = self._watched(candidate), self._watched(peer)
            known = [cores for cores in (during_mine, during_theirs) if cores is not None]
            pair = Pair(mine, theirs, max(known, default=None))
            if pair.elsewhere_cores is not None and pair.elsewhere_cores > self.quiet_cores:
                given_up += 1
                comparison.discarded += 1
                self.say(f"{comparison.name}: others used {pair.elsewhere_cores:.2f} cores; this pair does not count")
            else:
                comparison.pairs.append(pair)
                self.say(
                    f"{comparison.name}: pair {len(comparison.pairs)} of {self.pairs}: {mine.value:.4g} to "
                    f"{theirs.value:.4g} {comparison.unit}, ratio {pair.ratio:.3g}"
                )
            self.book.keep(comparison)
        return comparison

    def _watched(self, side: ComparisonTarget) -> tuple[Reading, float | None]:
        """What the side reads, and how many cores others used meanwhile."""
        before = self.look()
        reading = side()
        return reading, before.busy_elsewhere(self.look())
