"""The known name nearest to a word: synonyms of other tools first, then the fewest letters to change."""

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
    "cosineannealinglr": "cosine",
    "steplr": "step",
    "reducelronplateau": "plateau",
    "onecyclelr": "one_cycle",
    "constantlr": "none",
    "crossentropyloss": "cross_entropy",
    "nll": "cross_entropy",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "train_batch_size": "batch_size",
    "momentum_decay": "momentum",
    "horizontal_flip": "flip",
    "randomhorizontalflip": "flip",
    "randomcrop": "crop_padding",
    "random_seed": "seeds",
    "seed": "seeds",
    "amp": "bf16",
    "bayes": "tpe",
    "wsd": "trapezoid",
    "warmup_stable_decay": "trapezoid",
    "lineardecay": "linear",
    "slanted_triangular": "triangular",
    "ema": "average",
    "model_ema": "average",
    "swa": "average",
    "polyak": "average",
    "max_grad_norm": "clip_norm",
    "grad_clip": "clip_norm",
    "clip_grad_norm": "clip_norm",
    "gradient_clip_val": "clip_norm",
    "param_groups": "groups",
    "parameter_groups": "groups",
    "paramwise_cfg": "groups",
}
"""Names that other tools use, in lower case, and the names of this lab."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to `word`, ignoring case. Empty where none is near.

    Near means at most a third of the letters, and at least one: a wrong suggestion costs more than none.
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
    """` — did you mean x?`, or empty."""
    found = nearest(word, known)
    return f" — did you mean {found}?" if found else ""


def edits(a: str, b: str) -> int:
    """Optimal string alignment distance: letters to insert, delete, replace or swap with their neighbour."""
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
