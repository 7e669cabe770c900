"""Cohorts side by side in one process, each on a stream of its own, so that a GPU never waits for one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cifar_lab.training.callbacks import Tell
from cifar_lab.training.cohort_size import members_that_fit
from cifar_lab.training.device import choose_device, own_stream
from cifar_lab.training.job import Job
from cifar_lab.training.run import Ended, run_cohort


def run_cohorts(
    cohorts: Sequence[Sequence[Job]], lanes: int, tell: Tell, should_stop: Callable[[], bool], ended: Ended
) -> None:
    """Make the runs of every cohort exist, `lanes` cohorts at a time; `ended` hears of each run once.

    On a GPU a cohort is cut where its memory, shared by the lanes, does not hold all members. `tell` and `ended` are
    called from several threads.
    """
    parts = [part for cohort in cohorts for part in _cut(cohort, min(lanes, len(cohorts)), ended)]

    def make(part: Sequence[Job]) -> None:
        try:
            with own_stream(choose_device(part[0].settings.runtime.device)):
                run_cohort(part, tell, should_stop, ended)
        except Exception as error:
            for job in part:
                ended(job, error)

    if lanes == 1 or len(parts) == 1:
        for part in parts:
            make(part)
        return
    with ThreadPoolExecutor(lanes) as pool:
        for done in [pool.submit(make, part) for part in parts]:
            done.result()


def _cut(cohort: Sequence[Job], lanes: int, ended: Ended) -> list[Sequence[Job]]:
    """The cohort in parts that fit into the device's memory; none where that cannot be found out."""
    if len(cohort) == 1:
        return [cohort]
    try:
        size = members_that_fit(cohort, lanes)
    except Exception as error:
        for job in cohort:
            ended(job, error)
        return []
    return [cohort[start : start + size] for start in range(0, len(cohort), size)]
