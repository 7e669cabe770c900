"""The loop of the PyTorch image-classification tutorial, as most people run it: the yardstick for `cifar-lab run`.

It does the work of configs/baseline.yaml (Net, SGD lr 0.001 momentum 0.9, batch 64, 10 epochs, inputs normalised with
mean and std 0.5, one test at the end) in the usual way: a data set of PIL images, transforms image by image, a
DataLoader with two workers, eager steps. It stands alone: nothing of cifar_lab is imported.

    python benchmarks/reference_loop.py --zip cifar10-jpeg.zip --cache /tmp/reference-cache

The first call decodes the zip into the cache folder (`seconds_decode`); compare later calls, where that is 0. The last
line printed is JSON. `seconds_total` runs from the start of the process, imports included, to that line.
Needs Linux: process times and memory are read from /proc.
"""

import argparse
import io
import json
import os
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torchvision.transforms as transforms
from PIL import Image
from torch.utils.data import DataLoader, Dataset

# A look costs about 3 ms a process: often enough to see the peak, too seldom to slow the loop.
MEMORY_POLL_SECONDS = 1.0


class Net(nn.Module):
    """The tutorial's network."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Cifar10(Dataset):
    """Like torchvision's CIFAR10: all pixels in memory, each item made a PIL image and then transformed."""

    def __init__(self, images, labels, transform):
        self.data = images  # (N, 32, 32, 3) uint8
        self.targets = labels.tolist()
        self.transform = transform

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]

    def __len__(self):
        return len(self.data)


class PeakMemory(threading.Thread):
    """Peak of the memory of this process and its children together, shared pages counted once (PSS), in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(MEMORY_POLL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(map(pss_bytes, [os.getpid(), *children()])))


def children():
    """Process ids of the children started by any thread of this process."""
    return [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in read(task).split()]


def pss_bytes(pid):
    """Proportional set size of a process; 0 for one that has just ended."""
    lines = read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def seconds_since_process_start():
    start_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK")


def decode(zip_path, cache):
    """Write {train,test}_{images,labels}.npy from `<any>/<split>/<class>/<name>.jpg`; classes in alphabetical order."""
    cache.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(zip_path) as archive:
        for split in ("train", "test"):
            names = sorted(n for n in archive.namelist() if f"/{split}/" in f"/{n}" and n.endswith(".jpg"))
            classes = sorted({name.split("/")[-2] for name in names})
            images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names])
            labels = np.array([classes.index(name.split("/")[-2]) for name in names])
            np.save(cache / f"{split}_images.npy", images)
            np.save(cache / f"{split}_labels.npy", labels)  # written last: its presence means the split is whole


def load(cache, split, transform):
    return Cifar10(np.load(cache / f"{split}_images.npy"), np.load(cache / f"{split}_labels.npy"), transform)


def train(net, loader, epochs, limit_steps):
    """The tutorial's loop; returns (steps, images) done."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    steps = images = 0
    for epoch in range(epochs):
        running_loss = 0.0
        for i, data in enumerate(loader, 0):
            inputs, labels = data
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if i % 2000 == 1999:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2000:.3f}")
                running_loss = 0.0
            steps += 1
            images += len(labels)
            if steps == limit_steps:
                return steps, images
    return steps, images


def evaluate(net, loader):
    """Share of the images classified right, in evaluation mode."""
    correct = total = 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(net(images), 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return correct / total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zip", type=Path, required=True, help="JPEG images as train/<class>/ and test/<class>/")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the decoded images")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--limit-steps", type=int, help="end training after this many steps")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    memory = PeakMemory()
    memory.start()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    started = time.perf_counter()
    if not (args.cache / "test_labels.npy").exists():
        decode(args.zip, args.cache)
    decoded = time.perf_counter()
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
    train_set, test_set = (load(args.cache, split, transform) for split in ("train", "test"))
    train_loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, num_workers=args.workers)
    test_loader = DataLoader(test_set, batch_size=args.batch_size, shuffle=False, num_workers=args.workers)
    loaded = time.perf_counter()

    net = Net()
    steps, images = train(net, train_loader, args.epochs, args.limit_steps)
    trained = time.perf_counter()
    accuracy = evaluate(net, test_loader)
    evaluated = time.perf_counter()
    memory.done.set()
    memory.join()

    print(
        json.dumps(
            {
                "seconds_total": round(seconds_since_process_start(), 3),
                "seconds_decode": round(decoded - started, 3),
                "seconds_load": round(loaded - decoded, 3),
                "seconds_train": round(trained - loaded, 3),
                "seconds_evaluate": round(evaluated - trained, 3),
                "images_per_second": round(images / (trained - loaded), 1),
                "accuracy": accuracy,
                "peak_memory_bytes": memory.peak_bytes,
                "steps": steps,
                "batch_size": args.batch_size,
                "workers": args.workers,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
