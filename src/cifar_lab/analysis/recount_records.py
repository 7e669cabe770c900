"""Recount of records: the run id from the settings, images and seed, and the test accuracy from the predictions."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.config.run_id import NUMERICS, run_id
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedFileError, RunFolder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def recount_record(results: Path, record: Record) -> Iterator[str]:
    """A line per difference between a record and what it follows from."""
    folder = RunFolder(results, record.run_id)
    where = folder.record.relative_to(results).as_posix()
    ids = (run_id(record.recipe, record.data.fingerprint, record.seed, number) for number in range(NUMERICS, 0, -1))
    if record.run_id not in ids:
        yield f"{where}: its run_id does not match its recipe, images and seed"
    try:
        accuracy = _accuracy(folder, record)
    except DamagedFileError as fault:
        yield str(fault)
        return
    if accuracy is not None and record.test is not None and not isclose(accuracy, record.test.accuracy, abs_tol=1e-9):
        yield f"{where}: test.accuracy: {record.test.accuracy:.10g} on disk, {accuracy:.10g} from the predictions"


def _accuracy(folder: RunFolder, record: Record) -> float | None:
    """Test accuracy from the saved predictions. None where there are none.

    Raises:
        DamagedFileError: they are damaged.
    """
    name = folder.predictions.name
    if record.test is None or name not in record.files:
        return None
    import numpy as np

    try:
        with np.load(io.BytesIO(folder.read_file(record, name)), allow_pickle=False) as saved:
            labels: npt.NDArray[np.int64] = saved["labels"]
            logits: npt.NDArray[np.float32] = saved["logits"]
            return float((logits.argmax(axis=1) == labels).mean())
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DamagedFileError(folder.predictions, "is damaged") from error
