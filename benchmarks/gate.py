"""How far cohorts and our own kernels drift from a run alone by torch, and whether final accuracies agree.

By hand, minutes:

    python -m benchmarks.gate --zip cifar10-jpeg.zip                 # every model, 200 steps of 64 images
    python -m benchmarks.gate --zip cifar10-jpeg.zip --accuracy 10   # ten seeds, in each way

For a member of a cohort: in lockstep (each step made alone and together from the state of the run alone) the largest
relative difference of a loss; running free for all steps the same, with that of two runs alone whose images lie in
memory as rows of pixels and as channels side by side. What the latter drift apart is the rounding of fp32 itself. For
`kernels`, where they have the model, the same run free; in lockstep tests/kernels holds them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.registry import MODEL_FACTS
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import NO_STREAMS
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.models import MODELS
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.training.backends.eager import EagerBackend, train_step
from cifar_lab.training.backends.kernels.backend import KernelBackend
from cifar_lab.training.build import build_cohort, to_device
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.evaluate import predict, predict_stacked, score
from cifar_lab.training.optim.factory import make_optimizer

ARMS = {
    "sgd, none": [],
    "sgd momentum 0.5, plateau": ["optimizer.momentum=0.5", "scheduler.name=plateau", "scheduler.patience=0"],
    "nesterov, step": ["optimizer.nesterov=true", "scheduler.name=step", "scheduler.step_epochs=1"],
    "adam, one-cycle": ["optimizer.name=adam", "scheduler.name=one_cycle"],
    "adamw, cosine, flip": ["optimizer.name=adamw", "scheduler.name=cosine", "data.flip=true"],
}
"""At the lab's learning rate, 0.001."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zip", type=Path, required=True, help="JPEG images as train/<class>/ and test/<class>/")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--accuracy", type=int, metavar="SEEDS", help="instead: train so many seeds of Net with Adam")
    parser.add_argument("--images", type=int, default=10_000, help="to train on, with --accuracy")
    parser.add_argument("--epochs", type=int, default=3, help="with --accuracy")
    options = parser.parse_args()
    if options.accuracy:
        compare_accuracies(options.zip, options.accuracy, options.images, options.epochs)
        return
    print(f"{options.steps} steps of {options.batch_size} images; largest relative difference of a step's loss")
    print(f"{'model':<10}{'arm':<28}{'lockstep':>10}{'free':>10}{'own kernels':>14}{'two layouts alone':>20}")
    for model in options.models:
        arms = [settings(options.zip, model, options.batch_size, arm) for arm in ARMS.values()]
        split = images(arms[0], options.batch_size * options.steps // arms[0].epochs)
        locked = lockstep(arms, split)
        free = torch.stack(list(running_free(arms, range(len(arms)), split, stacked=True)))
        for seed, (name, arm) in enumerate(zip(ARMS, arms, strict=True)):
            alone, other = (
                torch.cat(list(running_free([arm], [seed], split, stacked=False, memory_format=layout)))
                for layout in (torch.contiguous_format, torch.channels_last)
            )
            drifts = (largest(free[:, seed], alone), largest(other, alone))
            own = "–"
            if MODEL_FACTS[model].own_kernels:
                made = torch.cat(list(running_free([arm], [seed], split, stacked=False, kernels=True)))
                own = f"{largest(made, alone):.1e}"
            print(
                f"{model:<10}{name:<28}{locked[seed]:>10.1e}{drifts[0]:>10.1e}{own:>14}{drifts[1]:>20.1e}", flush=True
            )


def settings(zip_file: Path, model: str, batch_size: int, arm: Sequence[str]) -> Settings:
    given = {
        "data": {"dataset": "imagefolder", "root": str(zip_file), "batch_size": batch_size}, "epochs": 4,
        "model": {"name": model}, "runtime": {"device": "cpu"},
    }  # fmt: skip
    return settings_from(given, overrides=arm)


def images(arm: Settings, count: int, first: int = 0) -> ResidentSplit:
    """`count` training images from the `first` of a fixed order on."""
    whole = data.load_train(arm.data, data.prepare(arm.data).fingerprint)
    order = torch.randperm(len(whole.labels), generator=torch.Generator().manual_seed(0))
    chosen = order[first : first + count].numpy()
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.5,) * 3, torch.device("cpu"))
    return ResidentSplit(whole.images[chosen], whole.labels[chosen], normalizer)


def eager_steps(
    arms: Sequence[Settings], seeds: Sequence[int], split: ResidentSplit, *, stacked: bool,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> EagerBackend:  # fmt: skip
    """Fresh networks and their batches; runs alone lie in memory as asked."""
    execution = prepare_execution(arms[0].runtime, threads=1)
    batches = CohortBatches(split, arms[0].data, seeds, [arm.data.flip for arm in arms])
    cohort, reason = build_cohort(arms, seeds, 10, batches.steps_per_epoch, execution, stacked=stacked)
    assert reason is None, reason
    if not stacked:
        networks = [to_device(network, execution, memory_format) for network in cohort.networks]
        parameters = flatten_parameters(networks)
        optimizer = make_optimizer([arm.optimizer for arm in arms], parameters)
        cohort = Cohort(networks, parameters, optimizer, cohort.schedule)
    return EagerBackend(cohort, batches, 0.0, execution, stochastic_forward=False)


def running_free(
    arms: Sequence[Settings], seeds: Sequence[int], split: ResidentSplit, *, stacked: bool,
    memory_format: torch.memory_format = torch.contiguous_format, kernels: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """(K,) losses of each step."""
    eager = eager_steps(arms, seeds, split, stacked=stacked, memory_format=memory_format)
    steps = KernelBackend(eager) if kernels else eager
    for epoch in range(arms[0].epochs):
        steps.cohort.train_mode()
        for done in steps.epoch(epoch):
            yield steps.metrics.loss[done - 1].clone()
        numbers = steps.metrics.numbers(done)
        steps.cohort.schedule.end_epoch([{"train_loss": each.loss} for each in numbers])


def lockstep(arms: Sequence[Settings], split: ResidentSplit) -> list[float]:
    """The largest relative difference of each member's losses."""
    together = eager_steps(arms, range(len(arms)), split, stacked=True)
    alone = [eager_steps([arm], [seed], split, stacked=False) for seed, arm in enumerate(arms)]
    every, worst = (together, *alone), [0.0] * len(arms)
    for epoch in range(arms[0].epochs):
        for steps in every:
            steps.cohort.train_mode()
        rates, losses = [steps.rates(epoch) for steps in every], []
        for number, batches in enumerate(zip(*(steps.batches.epoch(epoch) for steps in every), strict=True)):
            for k, steps in enumerate(alone):
                together.cohort.load_state(k, steps.cohort.state(0))
            found = []
            for steps, (batch, labels), (lr, momentum) in zip(every, batches, rates, strict=True):
                now = None if momentum is None else momentum[number]
                given = (steps.cohort, batch, labels, lr[number], now, 0.0, steps.execution, NO_STREAMS)
                found.append(train_step(*given)[0])
            losses.append(torch.cat(found[1:]))
            for k, loss in enumerate(losses[-1]):
                worst[k] = max(worst[k], largest(found[0][k], loss))
        means = torch.stack(losses).mean(dim=0).tolist()
        for steps, mean in zip(alone, means, strict=True):
            steps.cohort.schedule.end_epoch([{"train_loss": mean}])
        together.cohort.schedule.end_epoch([{"train_loss": mean} for mean in means])
    return worst


def largest(found: Tensor, expected: Tensor) -> float:
    """Largest relative difference."""
    return float(((found - expected).abs() / expected.abs()).max())


def compare_accuracies(zip_file: Path, seeds: int, count: int, epochs: int) -> None:
    """Train the same seeds together and alone, and print their accuracies on images that were not trained on."""
    arm = settings(zip_file, "Net", 64, ["optimizer.name=adam", f"epochs={epochs}"])
    split, held_out = images(arm, count), images(arm, 10_000, first=count)
    execution, labels = prepare_execution(arm.runtime, threads=1), held_out.labels
    whole = trained([arm] * seeds, range(seeds), split, stacked=True)
    assert whole.stacked is not None
    logits = predict_stacked(whole.stacked, seeds, held_out, execution)
    together = [accuracy(each, labels) for each in logits]
    alone, own = (
        [accuracy_of(arm, seed, split, held_out, execution, kernels=kernels) for seed in range(seeds)]
        for kernels in (False, True)
    )
    for name, found in (("alone", alone), ("together", together), ("own kernels", own)):
        differences = [ours - theirs for ours, theirs in zip(found, alone, strict=True)]
        error = statistics.stdev(differences) / seeds**0.5
        print(
            f"{name}: {statistics.fmean(found):.4f} ± {statistics.stdev(found):.4f} (mean ± std of {seeds} seeds), "
            f"from alone {statistics.fmean(differences):+.4f}, standard error {error:.4f}"
        )


def trained(
    arms: Sequence[Settings], seeds: Sequence[int], split: ResidentSplit, *, stacked: bool, kernels: bool = False
) -> Cohort:
    eager = eager_steps(arms, seeds, split, stacked=stacked)
    steps = KernelBackend(eager) if kernels else eager
    for epoch in range(arms[0].epochs):
        steps.cohort.train_mode()
        for _ in steps.epoch(epoch):
            pass
    return steps.cohort


def accuracy_of(
    arm: Settings, seed: int, split: ResidentSplit, held_out: ResidentSplit, execution: Execution, *, kernels: bool
) -> float:
    (network,) = trained([arm], [seed], split, stacked=False, kernels=kernels).networks
    return accuracy(predict(network, held_out, execution), held_out.labels)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    found = score(logits, labels, 10)
    return float("nan") if found is None else found.accuracy


if __name__ == "__main__":
    main()
