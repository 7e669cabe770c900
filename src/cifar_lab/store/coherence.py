"""Agreement of the parts of a record, beyond their types. Readers rely on it without checking again. No torch."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cifar_lab.core.identity import NUMERICS, RUN_ID, run_id

if TYPE_CHECKING:
    from cifar_lab.store.records import Record, SplitScore


def contradiction(record: Record) -> str:
    """Parts of a record that contradict each other, in words. Empty for a record of a run.

    A checksum shows that the file is what was written, not that a run wrote it.
    """
    identity = record.recipe, record.data.fingerprint, record.seed
    ids = (run_id(*identity, numerics) for numerics in range(NUMERICS, 0, -1))
    if RUN_ID.fullmatch(record.run_id) and record.run_id not in ids:
        return "its id does not match its settings, images and seed"
    for section, key, kind in (("data", "batch_size", int), ("model", "name", str)):
        values = record.settings.get(section)
        if not isinstance(values, dict) or not isinstance(values.get(key), kind):
            return f"its settings have no {section}.{key}"
    for split, score in (("validation", record.val), ("test", record.test)):
        if score is not None and not _fits(score, len(record.data.classes)):
            return f"its {split} scores do not have {len(record.data.classes)} classes"
    for what, time in (("start", record.started), ("end", record.finished)):
        if not _is_time(time):
            return f"its {what} is not a time"
    return ""


def _fits(score: SplitScore, classes: int) -> bool:
    return (
        len(score.per_class) == classes
        and len(score.confusion) == classes
        and all(len(row) == classes for row in score.confusion)
    )


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
