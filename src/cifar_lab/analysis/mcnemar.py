"""One trained model against another, image by image: what two single runs can say, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_lab.analysis.sentences import p_words, points
from cifar_lab.analysis.stats.chance import McNemar, mcnemar
from cifar_lab.analysis.stats.levels import ALPHA
from cifar_lab.core.errors import DataError
from cifar_lab.store.results import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def compare_predictions(first: RunFolder, second: RunFolder) -> McNemar:
    """McNemar's exact test on the test images of both.

    Raises:
        DataError: predictions are missing or damaged, or are of different images.
    """
    import numpy as np

    (labels, right), (others, also) = _right(first), _right(second)
    if not np.array_equal(labels, others):
        raise DataError(f"{first.predictions} and {second.predictions}: of different test images; nothing to compare")
    both, neither = int((right & also).sum()), int((~right & ~also).sum())
    return mcnemar(both, int((right & ~also).sum()), int((~right & also).sum()), neither)


def words(found: McNemar, first: str, second: str) -> str:
    """The outcome in a sentence that claims nothing of the recipes."""
    differ = found.only_first + found.only_second
    if not differ:
        return f"{first} and {second} classify the same {found.images:,} images right and wrong."
    ahead = "level with"
    if found.only_first != found.only_second:
        ahead = f"{points(abs(found.points))} pp {'above' if found.points > 0 else 'below'}"
    verdict = "differ" if found.p <= ALPHA else "are not shown to differ"
    return (
        f"These two trained models {verdict}: {first} is {ahead} {second}; of {differ:,} images that one alone has "
        f"right, it has {found.only_first:,} ({p_words(found.p, 'exact McNemar p')}). This is about these two models, "
        "not about the two recipes: two seeds of one recipe can differ as much. Compare arms of three seeds or more "
        "for that."
    )


def _right(folder: RunFolder) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(labels, whether each test image is classified right)."""
    import numpy as np

    try:
        with np.load(folder.predictions, allow_pickle=False) as saved:
            labels, logits = saved["labels"], saved["logits"]
        return labels, logits.argmax(axis=1) == labels
    except FileNotFoundError:
        raise DataError(f"{folder.predictions}: not there; make the run again with --force") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder.predictions}: is damaged; make the run again with --force") from error
