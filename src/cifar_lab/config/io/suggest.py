"""The known word that a person probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

SYNONYMS = {
    "gpu": "cuda",
    "bfloat16": "bf16",
    "float32": "fp32",
    "learning_rate": "lr",
    "wd": "weight_decay",
    "bs": "batch_size",
}
"""Words that other tools use for ours."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to `word`, ignoring case; empty where none is near.

    Near is a third of the letters at most (but always one): a wrong suggestion costs more than none.
    """
    known = tuple(known)
    word = word[:100].lower().replace("-", "_")
    if SYNONYMS.get(word) in known:
        return SYNONYMS[word]
    scored = []
    for candidate in known:
        lower = candidate.lower()
        near = max(1, max(len(word), len(lower)) // 3)
        if abs(len(word) - len(lower)) > near:
            continue
        distance = edits(word, lower)
        if distance <= near:
            scored.append((distance, -SequenceMatcher(None, word, lower).ratio(), candidate))
    return min(scored, key=lambda item: item[:2])[2] if scored else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` — did you mean x?`, or nothing."""
    found = nearest(word, known)
    return f" — did you mean {found}?" if found else ""


def edits(a: str, b: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour (optimal string alignment distance)."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
