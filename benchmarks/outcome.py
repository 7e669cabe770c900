"""What a benchmark found: readings in pairs, their ratios, and what was asked of them. JSON and a line of Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.intervals import MedianInterval, median_interval

MEBI = 2**20


@dataclass(frozen=True)
class Reading:
    """One side, measured once."""

    value: float
    """In the unit of its comparison."""
    warm_up_seconds: float = 0.0
    """From the start of its process to the first step that counts: imports, data, compilation, capture."""
    peak_bytes: int = 0
    """Most memory that its processes held together."""
    device_peak_bytes: int | None = None
    """Most memory of a GPU that torch held; None on the CPU."""
    detail: dict[str, Any] = field(default_factory=dict)
    """What else its processes said."""


@dataclass(frozen=True)
class Pair:
    """Candidate and peer, one right after the other."""

    candidate: Reading
    peer: Reading
    elsewhere_cores: float | None
    """Most that other programs used meanwhile; None where the system does not tell."""

    @property
    def ratio(self) -> float:
        """Candidate over peer."""
        return self.candidate.value / self.peer.value


@dataclass(frozen=True)
class Target:
    """What the ratio should be: at least `least`, or at most `most`."""

    least: float | None = None
    most: float | None = None

    def reached(self, interval: MedianInterval) -> bool:
        """By the end of the interval that is worse."""
        if self.least is not None:
            return interval.low >= self.least
        return self.most is None or interval.high <= self.most

    def __str__(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:.3g}"
        return "–" if self.most is None else f"≤ {self.most:.3g}"


@dataclass
class Comparison:
    """A candidate against a peer."""

    name: str
    unit: str
    """Of both values, for example `images/s`."""
    candidate: str
    peer: str
    """In words: what was measured."""
    target: Target = Target()
    pairs: list[Pair] = field(default_factory=list)
    discarded: int = 0
    """Pairs that were not counted because other programs used the cores."""

    @property
    def interval(self) -> MedianInterval:
        """Of the ratios."""
        return median_interval([pair.ratio for pair in self.pairs])

    def document(self) -> dict[str, Any]:
        """As JSON can hold it; `comparison_from` reads it back."""
        summary = {**asdict(self.interval), "reached": self.target.reached(self.interval)} if self.pairs else None
        return {**asdict(self), "ratios": [pair.ratio for pair in self.pairs], "summary": summary}

    def line(self) -> str:
        """A row of `TABLE_HEAD`."""
        if not self.pairs:
            return f"| {self.name} | no quiet pair of {self.discarded} | | | | {self.target} | |"
        found = self.interval
        return (
            f"| {self.name} | {_side([p.candidate for p in self.pairs], self.unit)} "
            f"| {_side([p.peer for p in self.pairs], self.unit)} | {found.median:.3g} "
            f"| {found.low:.3g} to {found.high:.3g} ({found.coverage:.1%}, n = {len(self.pairs)}) | {self.target} "
            f"| {'–' if str(self.target) == '–' else 'yes' if self.target.reached(found) else 'no'} |"
        )


TABLE_HEAD = (
    "| what | candidate | peer | ratio | interval | target | reached |\n"
    "| --- | --- | --- | ---: | --- | --- | --- |"
)  # fmt: skip


def comparison_from(document: dict[str, Any]) -> Comparison:
    """What `Comparison.document` wrote."""
    pairs = [
        Pair(Reading(**pair["candidate"]), Reading(**pair["peer"]), pair["elsewhere_cores"])
        for pair in document["pairs"]
    ]
    kept = {key: document[key] for key in ("name", "unit", "candidate", "peer", "discarded")}
    return Comparison(**kept, target=Target(**document["target"]), pairs=pairs)


def geometric_mean(name: str, parts: Sequence[Comparison], target: Target) -> Comparison:
    """The comparison whose pairs are the geometric means of the n-th pairs of `parts`."""
    pairs = [
        Pair(
            _mean_reading([pair.candidate for pair in together]),
            _mean_reading([pair.peer for pair in together]),
            max((pair.elsewhere_cores for pair in together if pair.elsewhere_cores is not None), default=None),
        )
        for together in zip(*(part.pairs for part in parts), strict=False)
    ]
    first = parts[0]
    return Comparison(
        name, first.unit, first.candidate, first.peer, target, pairs, sum(part.discarded for part in parts)
    )


def _mean_reading(readings: Sequence[Reading]) -> Reading:
    devices = [reading.device_peak_bytes for reading in readings if reading.device_peak_bytes is not None]
    return Reading(
        value=math.prod(reading.value for reading in readings) ** (1 / len(readings)),
        warm_up_seconds=max(reading.warm_up_seconds for reading in readings),
        peak_bytes=max(reading.peak_bytes for reading in readings),
        device_peak_bytes=max(devices, default=None),
    )


def _side(readings: Sequence[Reading], unit: str) -> str:
    """Median of one side, its memory and its warm-up."""
    value = median_interval([reading.value for reading in readings]).median
    parts = [f"{value:.4g} {unit}"]
    if peak := max(reading.peak_bytes for reading in readings):
        parts.append(f"{peak / MEBI:.0f} MiB")
    if device := max(reading.device_peak_bytes or 0 for reading in readings):
        parts.append(f"{device / MEBI:.0f} MiB on the device")
    if warm := median_interval([reading.warm_up_seconds for reading in readings]).median:
        parts.append(f"warm-up {warm:.1f} s")
    return ", ".join(parts)
