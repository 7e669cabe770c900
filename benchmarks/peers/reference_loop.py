"""The loop of the PyTorch image-classification tutorial, as most people run it: the yardstick for `cifar-lab run`.

It does the work of an arm of questions q1 to q7 (`recipes.ARMS`) or of ResNet18 in the usual way: a data set of PIL
images, transforms image by image, a DataLoader, eager steps, the loss read at each step, one test at the end.

    python -m benchmarks.peers.reference_loop --zip cifar10-jpeg.zip --cache /tmp/reference-cache
    python -m benchmarks.peers.reference_loop --rate-seconds 4 --random-images 50000      # images a second alone

The first call with a zip decodes it into the cache folder; compare later calls. The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.peers.device import rate_on
from benchmarks.peers.images import decode, load, random_images
from benchmarks.peers.networks import NETWORKS, build
from benchmarks.peers.recipes import ARMS, Recipe, Schedule, make_optimizer
from benchmarks.stopwatch import report

HALF = (0.5, 0.5, 0.5)


class Cifar10(Dataset):  # type: ignore[type-arg]
    """Like torchvision's CIFAR10: all pixels in memory, each item made a PIL image and then transformed."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, flip: bool) -> None:
        self.data = images  # (N, 32, 32, 3) uint8
        self.targets = labels.tolist()
        flips = [transforms.RandomHorizontalFlip()] if flip else []
        self.transform = transforms.Compose([*flips, transforms.ToTensor(), transforms.Normalize(HALF, HALF)])

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.data[index])), self.targets[index]

    def __len__(self) -> int:
        return len(self.data)


def loader(
    images: np.ndarray, labels: np.ndarray, recipe: Recipe, workers: int, device: torch.device, *, train: bool
) -> DataLoader:  # type: ignore[type-arg]
    """Shuffled and augmented for training, in order for the test; pinned for a GPU."""
    return DataLoader(
        Cifar10(images, labels, train and recipe.flip), batch_size=recipe.batch_size, shuffle=train,
        num_workers=workers, pin_memory=device.type == "cuda",
    )  # fmt: skip


def train(
    net: nn.Module,
    batches: DataLoader,  # type: ignore[type-arg]
    recipe: Recipe,
    epochs: int,
    device: torch.device,
) -> Iterator[int]:
    """The tutorial's loop; yields the images of each step."""
    criterion = nn.CrossEntropyLoss()
    optimizer = make_optimizer(recipe, net.parameters())
    schedule = Schedule(recipe, optimizer, epochs, len(batches))
    for epoch in range(epochs):
        epoch_loss = running_loss = 0.0
        for i, data in enumerate(batches, 0):
            inputs, labels = data[0].to(device), data[1].to(device)
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            running_loss += loss.item()
            if i % 2000 == 1999:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2000:.3f}")
                epoch_loss, running_loss = epoch_loss + running_loss, 0.0
            yield len(labels)
        schedule.epoch((epoch_loss + running_loss) / len(batches))


def evaluate(net: nn.Module, batches: DataLoader, device: torch.device) -> float:  # type: ignore[type-arg]
    """Share of the images classified right, in evaluation mode."""
    correct = total = 0
    net.eval()
    with torch.no_grad():
        for images, labels in batches:
            _, predicted = torch.max(net(images.to(device)), 1)
            total += labels.size(0)
            correct += int((predicted == labels.to(device)).sum().item())
    net.train()
    return correct / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, default="baseline")
    parser.add_argument("--model", choices=NETWORKS, help="instead of the arm's")
    parser.add_argument("--batch-size", type=int, help="instead of the arm's")
    parser.add_argument("--zip", type=Path, help="JPEG images as train/<class>/ and test/<class>/")
    parser.add_argument("--cache", type=Path, help="folder for the decoded images")
    parser.add_argument("--random-images", type=int, help="made up, instead of a zip; nothing is tested")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rate-seconds", type=float, help="only measure how fast it trains, for this long")
    parser.add_argument("--warm-up-steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.random_images is None and (args.zip is None or args.cache is None):
        parser.error("say --zip with --cache, or --random-images")
    given = {"model": args.model, "batch_size": args.batch_size}
    recipe = Recipe(**{**vars(ARMS[args.arm]), **{name: value for name, value in given.items() if value is not None}})
    device = torch.device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)

    if args.random_images is None:
        decode(args.zip, args.cache)
        images, labels = load(args.cache, "train")
    else:
        images, labels = random_images(args.random_images)
    net = build(recipe.model, args.seed).to(device)
    batches = loader(images, labels, recipe, args.workers, device, train=True)
    said = {"arm": args.arm, "workers": args.workers, "threads": torch.get_num_threads(), "torch": torch.__version__}
    if args.rate_seconds is not None:
        endless = train(net, batches, recipe, 10**6, device)
        report({**rate_on(device, endless, args.rate_seconds, args.warm_up_steps), **said})
        return
    began = time.perf_counter()
    seen = sum(train(net, batches, recipe, args.epochs, device))
    trained = time.perf_counter()
    outcome = {"images": seen, "seconds_train": trained - began, "images_per_second": seen / (trained - began)}
    if args.random_images is None:
        test = loader(*load(args.cache, "test"), recipe, args.workers, device, train=False)
        outcome |= {"accuracy": evaluate(net, test, device), "seconds_evaluate": time.perf_counter() - trained}
    report({**outcome, **said})


if __name__ == "__main__":
    main()
