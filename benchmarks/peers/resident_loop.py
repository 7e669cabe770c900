"""The simple loop of somebody who knows better: all images as one tensor on the device, eager torch, no wait a step.

Order and flips are drawn on the device; optimizers are torch's with their defaults; the loss is summed there and read
once an epoch.

    python -m benchmarks.peers.resident_loop --rate-seconds 4 --batch-size 64
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.device import rate_on, waiter
from benchmarks.peers.images import Pixels, random_images
from benchmarks.peers.networks import NETWORKS, build
from benchmarks.peers.recipes import ARMS, Recipe, Schedule, make_optimizer
from benchmarks.stopwatch import report


def to_tensor(pixels: Pixels, device: torch.device) -> Tensor:
    """(N, 32, 32, 3) uint8 → (N, 3, 32, 32) float32, (pixel − 0.5) / 0.5."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(device).float().div_(127.5).sub_(1)


def draws(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """The generator of one epoch of one run."""
    return torch.Generator(device).manual_seed(seed * 10_000 + epoch)


def train(net: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, epochs: int, seed: int) -> Iterator[int]:
    """Yields the images of each step."""
    optimizer = make_optimizer(recipe, net.parameters())
    steps = -(-len(images) // recipe.batch_size)
    schedule = Schedule(recipe, optimizer, epochs, steps)
    net.train()
    for epoch in range(epochs):
        generator = draws(seed, epoch, images.device)
        order = torch.randperm(len(images), generator=generator, device=images.device)
        total = torch.zeros((), device=images.device)
        for chosen in torch.split(order, recipe.batch_size):
            batch = images[chosen]  # (B, 3, 32, 32)
            if recipe.flip:
                mirrored = torch.rand(len(chosen), generator=generator, device=images.device) < 0.5
                batch = torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(-1), batch)
            loss = F.cross_entropy(net(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(chosen)
            yield len(chosen)
        schedule.epoch(total.item() / len(images))


def train_runs(images: Tensor, labels: Tensor, recipe: Recipe, epochs: int, runs: int) -> float:
    """Seconds that `runs` networks take, one after the other."""
    wait = waiter(images.device)
    began = time.perf_counter()
    for seed in range(runs):
        net = build(recipe.model, seed).to(images.device)
        for _ in train(net, images, labels, recipe, epochs, seed):
            pass
    wait()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, default="baseline")
    parser.add_argument("--model", choices=NETWORKS)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rate-seconds", type=float, help="measure how fast one network trains, for this long")
    parser.add_argument("--warm-up-steps", type=int, default=10)
    parser.add_argument("--runs", type=int, help="measure how long so many networks take, one epoch each")
    args = parser.parse_args()
    recipe = ARMS[args.arm]
    recipe = replace(recipe, model=args.model or recipe.model, batch_size=args.batch_size or recipe.batch_size)
    device = torch.device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    pixels, targets = random_images(args.images)
    images, labels = to_tensor(pixels, device), torch.from_numpy(targets).to(device)
    if args.runs is not None:
        report({"value": train_runs(images, labels, recipe, 1, args.runs), "threads": torch.get_num_threads()})
        return
    net = build(recipe.model, 0).to(device)
    endless = train(net, images, labels, recipe, 10**6, 0)
    report(rate_on(device, endless, args.rate_seconds, args.warm_up_steps))


if __name__ == "__main__":
    main()
