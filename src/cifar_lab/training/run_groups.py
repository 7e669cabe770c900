"""Groups of runs that train together: those equally far, and the parts of a group that could not be trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cifar_lab.training.backends.block.conditions import UnequalMembers
from cifar_lab.training.callbacks import ActiveRun
from cifar_lab.training.device import is_out_of_memory
from cifar_lab.training.grouping import grouped


def equally_far(runs: Sequence[ActiveRun]) -> list[list[ActiveRun]]:
    """Runs by the epochs that they have completed and by the kernels of these, the least far first."""
    return [list(same) for _, same in groupby(sorted(runs, key=_begun), key=_begun)]


def _begun(run: ActiveRun) -> tuple[int, str]:
    return run.epochs_done(), run.saved_kernels() or ""


def parts_after(error: Exception, runs: Sequence[ActiveRun]) -> list[list[ActiveRun]]:
    """Parts to train from their checkpoints after an error of the group. Empty where the error ends the runs.

    A group that the device's memory does not hold is halved. Runs that only the block kernel trains together become
    groups that can be stacked, where it is not available.
    """
    if isinstance(error, UnequalMembers):
        by_id = {run.job.run_id: run for run in runs}
        parts = [[by_id[job.run_id] for job in jobs] for jobs in grouped([run.job for run in runs])]
    elif is_out_of_memory(error) and len(runs) > 1:
        middle = len(runs) // 2
        parts = [list(runs[:middle]), list(runs[middle:])]
    else:
        return []
    for run in runs:
        run.start_over()
    return parts
