"""What a search has still before it, as parts whose seconds and bytes can be estimated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cifar_lab.config import Settings
from cifar_lab.config.sheets import Search
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.estimate import Estimate, Part, estimate
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.speeds import side_by_side
from cifar_lab.studies.search import SearchStep
from cifar_lab.studies.space import confirm_settings, rung_sizes


def forecast(
    base: Settings, search: Search, step: SearchStep, planned: Sequence[PlannedRun] | None, context: RunContext
) -> Estimate:
    """The estimate of a search that stands at a step, to the end of its confirming runs.

    Args:
        planned: what of the step is there; None where its images have not been prepared, so that nothing can be.
    """
    searching = [*_this_step(step, planned, search), *_later(step, search)]
    to_do = sum(part.runs for part in searching if part.is_new)
    arms = len(step.arms)
    halved = rung_sizes(arms, search.halving, search.top)[-1] if search.halving else arms
    records = [run.record for run in planned or () if run.record is not None]
    return estimate(
        searching,
        list(_confirming(base, step, search)),
        context.results,
        side_by_side(base, context.workers, to_do),
        context.images,
        records,
        pruned=(arms - halved) * len(search.seeds) if step.rung == 0 else 0,
    )


def _this_step(step: SearchStep, planned: Sequence[PlannedRun] | None, search: Search) -> Iterator[Part]:
    if planned is None:
        for arm in step.arms:
            yield Part(arm, step.until_epoch or arm.epochs, len(search.seeds))
        return
    for run in planned:
        if run.state != "done":
            goes_on = step.rung > 0 and run.state == "interrupted"
            epochs = run.job.last_epoch - (step.epochs_before if goes_on else 0)
            yield Part(run.job.settings, epochs, is_new=not goes_on)


def _later(step: SearchStep, search: Search) -> Iterator[Part]:
    """Rungs and batches that follow; which points they will have is not known, so all that there are count alike."""
    arms, seeds = len(step.arms), len(search.seeds)
    if search.halving is not None:
        left = rung_sizes(arms, search.halving, search.top)
        for rung in range(step.rung + 1, len(step.rungs)):
            share = left[rung - step.rung] / arms
            epochs = step.rungs[rung] - step.rungs[rung - 1]
            yield from (Part(arm, epochs, share * seeds, is_new=False) for arm in step.arms)
    if step.to_come:
        yield from (Part(arm, arm.epochs, step.to_come / arms * seeds) for arm in step.arms)


def _confirming(base: Settings, step: SearchStep, search: Search) -> Iterator[Part]:
    """At most: winners that are trained already are not known."""
    fresh, arms = len(search.confirm_seeds), len(step.arms)
    yield Part(confirm_settings(base, search), base.epochs, fresh, is_tested=True)
    share = min(search.top, arms + step.to_come) / arms
    yield from (Part(arm, arm.epochs, share * fresh, is_tested=True) for arm in step.arms)
