"""McNemar's exact test of two trained models, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.evidence_words import p_words, pp
from cifar_lab.analysis.predictions import read_predictions
from cifar_lab.analysis.stats.significance import ALPHA
from cifar_lab.core.errors import DataError
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class McNemar:
    """Contingency table of two models on the same images, with its p."""

    both: int
    """Images that both classify right."""
    only_first: int
    only_second: int
    neither: int
    p: float
    """Exact two-sided p of equal accuracy, from the images that exactly one model classifies right."""

    @property
    def images(self) -> int:
        """Number of images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference_pp(self) -> float:
        """Accuracy of the first model minus that of the second, in percentage points."""
        return 100 * (self.only_first - self.only_second) / self.images


def mcnemar(both: int, only_first: int, only_second: int, neither: int) -> McNemar:
    """Apply McNemar's test (1947) in its exact form, the binomial test of the images on which the two differ.

    Raises:
        ValueError: no image at all.
    """
    from scipy.special import bdtr

    if both + only_first + only_second + neither == 0:
        raise ValueError("no images to compare")
    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    p = min(1.0, 2 * float(bdtr(fewer, discordant, 0.5))) if discordant else 1.0
    return McNemar(both, only_first, only_second, neither, p)


def compare_predictions(results: Path, first: Record, second: Record) -> McNemar:
    """Apply McNemar's test to the saved test predictions of two tested runs.

    Raises:
        DataError: predictions are missing or damaged, or are of different images.
    """
    import numpy as np

    (labels, ours), (others, theirs) = (read_predictions(results, record) for record in (first, second))
    if not np.array_equal(labels, others):
        raise DataError(f"runs {first.run_id} and {second.run_id}: have different test images and cannot be compared")
    right, also = ours.argmax(axis=1) == labels, theirs.argmax(axis=1) == labels
    both, neither = int((right & also).sum()), int((~right & ~also).sum())
    return mcnemar(both, int((right & ~also).sum()), int((~right & also).sum()), neither)


SAME_RECIPE = (
    "This is about these two models, not about their settings: two seeds of the same settings can differ as much. "
    "Compare arms with three or more seeds for that."
)


def mcnemar_verdict(found: McNemar, first: str, second: str) -> str:
    """Outcome of McNemar's test without its evidence."""
    if not found.only_first + found.only_second:
        return f"Of {found.images:,} images, {first} and {second} classify the same ones correctly."
    verdict = "differ" if found.p <= ALPHA else "do not differ significantly"
    return f"These two trained models {verdict}: {first} is {_ahead(found)} {second}. {SAME_RECIPE}"


def mcnemar_sentence(found: McNemar, first: str, second: str) -> str:
    """Outcome of McNemar's test with its evidence. It is about two trained models, not about their settings."""
    differ = found.only_first + found.only_second
    if not differ:
        return mcnemar_verdict(found, first, second)
    verdict = "differ" if found.p <= ALPHA else "do not differ significantly"
    return (
        f"These two trained models {verdict}: {first} is {_ahead(found)} {second}; of {differ:,} images that only one "
        f"of them classifies correctly, it has {found.only_first:,} "
        f"({p_words(found.p, 'exact McNemar p')}). {SAME_RECIPE}"
    )


def _ahead(found: McNemar) -> str:
    if found.only_first == found.only_second:
        return "level with"
    gap = found.difference_pp
    return f"{pp(abs(gap))} pp {'above' if gap > 0 else 'below'}"
