"""Saved predictions of a tested run, which are used only if they are those of its record."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedFileError, RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_predictions(results: Path, record: Record) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """(labels (N,), logits (N, classes)) of the test split, in the order of the data set.

    Raises:
        DamagedFileError: the file is missing, not the one that the record names, or does not give its accuracy.
    """
    import numpy as np

    folder = RunFolder(results, record.run_id)
    content = folder.read_file(record, folder.predictions.name)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            labels, logits = saved["labels"], saved["logits"]
        accuracy = float((logits.argmax(axis=1) == labels).mean())
        agrees = record.test is not None and math.isclose(accuracy, record.test.accuracy, abs_tol=1e-6)
        if labels.shape != (record.data.test_size,) or not agrees or not np.isfinite(logits).all():
            raise ValueError("not the predictions of the record")
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise DamagedFileError(folder.predictions, "is damaged (it does not give the record's accuracy)") from error
    return labels, logits
