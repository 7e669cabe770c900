"""Agreement of the parts of a record, beyond their types. Readers rely on it without a check of their own. No torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from cifar_lab.config import Settings
from cifar_lab.config.run_id import run_id
from cifar_lab.core.errors import DataError
from cifar_lab.store.records import RUN_ID, DamagedRecordError, Record, SplitScore


def check_coherence(path: Path, record: Record) -> None:
    """Check a record whose checksum and types are right. A checksum does not show that a run wrote the record.

    Raises:
        DamagedRecordError: its parts contradict each other.
        DataError: this version cannot read its settings.
    """
    if fault := contradiction(record):
        raise DamagedRecordError(path, f"is damaged ({fault})")
    if fault := unknown_settings(record):
        raise DataError(
            f"{path}: this version cannot read its settings ({fault}); install the cifar-lab that wrote it, or move "
            f"{path.parent} elsewhere"
        )


def contradiction(record: Record) -> str:
    """Parts of a record that contradict each other, in words. Empty for a record of a run."""
    identity = record.recipe, record.data.fingerprint, record.seed
    if RUN_ID.fullmatch(record.run_id) and run_id(*identity) != record.run_id:
        return "its id is not that of its settings, images and seed"
    for split, score in (("val", record.val), ("test", record.test)):
        if score is not None and not _fits(score, len(record.data.classes)):
            return f"its {split} scores are not of {len(record.data.classes)} classes"
    for name, time in (("started", record.started), ("finished", record.finished)):
        if not _is_time(time):
            return f"its {name} is no time"
    return ""


def unknown_settings(record: Record) -> str:
    """Key and reason of the first setting of a record that this version cannot read. Empty where all are known."""
    for section, key in (("data", "batch_size"), ("model", "name")):
        if not isinstance(values := record.settings.get(section), dict) or key not in values:
            return f"{section}.{key}: is missing"
    try:
        settings_of(record)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'settings'}: {first['msg']}"
    return ""


def settings_of(record: Record) -> Settings:
    """Settings of a run, with its seed alone.

    Raises:
        ValidationError: this version does not know them.
    """
    return Settings.model_validate({**record.settings, "seeds": [record.seed]}, strict=False)


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
