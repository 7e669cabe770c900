"""How fast cifar-lab trains one run or one cohort: the steps of the product, with all that it does between them.

    python -m benchmarks.own.steps --set data.batch_size=8 --threads 1 --rate-seconds 4
    python -m benchmarks.own.steps --members 40 --set runtime.device=cuda --rate-seconds 4

Images are random bytes that lie in memory as those of a data set do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.peers.images import random_images
from benchmarks.stopwatch import report

if TYPE_CHECKING:
    from cifar_lab.config import Settings
    from cifar_lab.data.batches import CohortBatches
    from cifar_lab.training.backends.base import StepBackend
    from cifar_lab.training.backends.eager import EagerBackend
    from cifar_lab.training.device import Execution

MANY_EPOCHS = 100_000
"""More than anything measured here lasts."""

HIGHEST_LR_SHARE = 2.0
"""Of a cohort the last member has this many times the learning rate of the first, so that no two do the same."""


@dataclass(frozen=True)
class Workload:
    """A cohort that is ready to train."""

    steps: StepBackend
    eager: EagerBackend
    batches: CohortBatches
    execution: Execution
    how: dict[str, object]
    """Whether its networks are stacked and its step is captured, which kernels make it, and why not others."""


def settings_of(overrides: Sequence[str]) -> Settings:
    """The baseline's settings, changed as `--set` does."""
    from cifar_lab.config.io.load import settings_from

    return settings_from({"data": {"dataset": "synthetic"}, "epochs": MANY_EPOCHS}, overrides=overrides)


def members_of(settings: Settings, members: int, sizes: Sequence[int]) -> list[Settings]:
    """Settings of each member, with rising learning rates."""
    shares = [1 + (HIGHEST_LR_SHARE - 1) * member / max(1, members - 1) for member in range(members)]
    arms = [
        settings.model_copy(
            update={"optimizer": settings.optimizer.model_copy(update={"lr": settings.optimizer.lr * share})}
        )
        for share in shares
    ]
    return [
        arm.model_copy(update={"data": arm.data.model_copy(update={"batch_size": size})})
        for arm, size in zip(arms, sizes or [settings.data.batch_size] * members, strict=True)
    ]


def prepare(
    overrides: Sequence[str], threads: int, images: int, members: int = 1, *, stacked: bool | None = None,
    eager: bool = False, sizes: Sequence[int] = (),
) -> Workload:  # fmt: skip
    """Build what trains, as `experiment` does.

    Args:
        sizes: batch size of each member; empty is that of the settings for all.
        stacked: networks in one pass; None is what a cohort does by itself.
        eager: make each step as Python says although it could be captured.
    """
    import numpy as np

    from cifar_lab.data.batches import CohortBatches
    from cifar_lab.data.resident_split import Normalizer, ResidentSplit
    from cifar_lab.training.backends.choice import choose_kernels, make_backend
    from cifar_lab.training.backends.eager import EagerBackend
    from cifar_lab.training.build import build_cohort, layout, training_layout
    from cifar_lab.training.device import prepare_execution, set_threads

    settings = settings_of(overrides)
    arms = members_of(settings, members, sizes)
    execution, kernels = choose_kernels(
        settings, prepare_execution(settings.runtime, threads), members, None, arms=arms
    )
    set_threads(1 if execution.own_kernels else threads)
    stacked = members > 1 if stacked is None else stacked
    memory_format = training_layout(execution, layout(settings, execution, stacked=stacked))
    normalizer = Normalizer.make(settings.data.normalize, (0.5,) * 3, (0.25,) * 3, execution.device, memory_format)
    pixels, labels = random_images(images)
    split = ResidentSplit(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels, normalizer)
    batches = CohortBatches(split, settings.data, range(members), sizes=[arm.data.batch_size for arm in arms])
    cohort, reason = build_cohort(arms, batches.seeds, 10, batches.member_steps, execution, stacked=stacked)
    by_hand = EagerBackend(cohort, batches, settings.loss.label_smoothing, execution, stochastic_forward=False)
    steps, how = (by_hand, None) if eager else make_backend(cohort, batches, settings, execution, reason, arms=arms)
    told: dict[str, object] = {}
    if how is not None:
        told = {"stacked": how.stacked, "captured": how.captured, "eager_reason": how.eager_reason}
        told |= {
            "kernels": "own" if how.own_kernels else "torch",
            "kernels_reason": how.kernels_reason or kernels.reason,
        }
    return Workload(steps, by_hand, batches, execution, told)


def endless(workload: Workload, *, asked_threads: bool = True) -> Iterator[int]:
    """Epoch after epoch of steps, yielding the images of each, all members together.

    Between steps stands what `loop.train_epoch` and `CheckpointCallback` do: a look at the loss and at the cores.

    Args:
        asked_threads: whether the threads stay what they are when other programs want the cores.
    """
    from cifar_lab.training.loop import CHECK_STEPS
    from cifar_lab.training.thread_guard import ThreadGuard

    steps, members = workload.steps, len(workload.batches.seeds)
    guard = ThreadGuard(workload.execution.threads, asked=asked_threads or not workload.execution.own_kernels)
    epoch = 0
    while True:
        steps.cohort.train_mode()
        before = 0
        for done in steps.epoch(epoch):
            if done % CHECK_STEPS == 0:
                steps.metrics.all_diverged(done)
                steps.metrics.first_member(done)
                if (fewer := guard.check(epoch + 1)) is not None:
                    steps.use_threads(fewer)
            yield members * sum(steps.metrics.batch_sizes[before:done])  # the block kernel makes an epoch at once
            before = done
        epoch += 1


def images_only(workload: Workload) -> Iterator[int]:
    """The images of step after step, cut, changed and normalised as `endless` has them, without training on them.

    Where the step is captured, so is this: launched one by one the operations would take longer than the whole step.
    """
    from cifar_lab.training.backends.kernels.backend import KernelBackend
    from cifar_lab.training.device import capture

    batches, members = workload.batches, len(workload.batches.seeds)
    epoch, size = 0, workload.batches.options.batch_size
    if workload.how.get("captured"):
        chance = batches.randomness(0)
        chosen = chance.order[:, :size].contiguous()

        def cut() -> None:
            batches.gather(chance, chosen)

        replay = capture(cut, workload.execution.device)
        while True:
            replay()
            yield members * size
    if isinstance(workload.steps, KernelBackend):
        workload.steps.network.plan.op_count = 1  # the first act cuts the images; what frames a step stays in it
        while True:
            for batch in workload.steps.epoch_batches(epoch):
                workload.steps.compute_gradients(batch, 0)
                yield batch.images
            epoch += 1
    while True:
        for images, _ in batches.epoch(epoch):
            yield members * images.shape[1]
        epoch += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--yielding", action="store_true", help="go on with fewer threads where others want the cores")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--one-by-one", action="store_true", help="a cohort's networks one after the other")
    parser.add_argument("--eager", action="store_true", help="do not capture the step")
    parser.add_argument("--data-only", action="store_true", help="the images of each step, nothing else")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--rate-seconds", type=float, default=4.0)
    parser.add_argument("--warm-up-steps", type=int, default=10)
    args = parser.parse_args()

    from benchmarks.peers.device import rate_on

    workload = prepare(
        args.overrides, args.threads, args.images, args.members, stacked=False if args.one_by_one else None,
        eager=args.eager,
    )  # fmt: skip
    taken = images_only(workload) if args.data_only else endless(workload, asked_threads=not args.yielding)
    rate = rate_on(workload.execution.device, taken, args.rate_seconds, args.warm_up_steps)
    report({**rate, **workload.how})


if __name__ == "__main__":
    main()
