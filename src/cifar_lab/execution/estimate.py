"""What a search will take, told before its start: seconds, memory and disk, from runs that are there already.

Where no run of a model was made on this machine the number is a guess, or left open, and is said to be so.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.rules import CIFAR_TEST_SIZE, train_size
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.host import available_memory
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.speeds import Speeds, Timed, takes_gpu
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, run_ids

LOOKED_AT = 200
"""Records of a results folder that are read for what they took; ids are hashes, so the first are a fair sample."""

NOT_PREPARED = "the images have not been prepared yet"
"""Why the time of some runs is not known."""

PROCESS_BYTES, BYTES_AN_IMAGE = 320e6, 7_000
"""Memory of a worker on the CPU that no other shares: fitted to 323 MB with 1,500 images and 731 MB at the peak with
60,000, Net, torch 2.15. A large model or batch takes more."""

PARAMETERS = {"Net": 62_006, "Net1": 62_290, "Net2": 62_006, "Net3": 244_962, "ResNet18": 11_181_642}
"""Of the built-in models with ten classes; of a model of one's own a record tells."""

RECORD_BYTES = 12_000
"""Settings, record and metrics in a run's folder, each a few kB, rounded up as a file system does."""

PREDICTION_BYTES, LABEL_BYTES = 4, 8
"""Of predictions.npz: a logit, and the label of an image."""

CHECKPOINT_WEIGHTS = 6
"""Times the weights that a run under way has on the disk, at most: weights and Adam's two moments, and the same of the
epoch before."""


@dataclass(frozen=True)
class Part:
    """Runs that are alike, and what of them is to be made."""

    settings: Settings
    epochs: int
    runs: float = 1.0
    """How many; a share where it is not known yet which points go on."""
    is_new: bool = True
    """Whether the runs are counted here; not where they only go on."""
    is_tested: bool = False


@dataclass(frozen=True)
class ImageSizes:
    """How many images a run handles."""

    trained_on: int
    """In an epoch."""
    test: int
    classes: int
    held: int
    """In memory at its end: both splits."""


@dataclass(frozen=True)
class Estimate:
    """What is still to be made and what it takes."""

    runs: float
    """Of the search, to make."""
    search_seconds: float | None
    """Wall time with all workers; None where nothing is known of a model."""
    confirm_seconds: float | None
    """The same of the winners' runs."""
    source: str
    """Where the seconds come from."""
    workers: int
    worker_bytes: float | None
    """Memory of a worker; None on a GPU, whose memory is looked at before runs are put together."""
    free_memory: int | None
    run_bytes: float
    """Mean of a run's folder when it is done."""
    disk_bytes: float
    """Of all runs to make."""
    free_disk: int

    def lines(self) -> Iterator[str]:
        """For people, a line each on time, memory and disk."""
        if self.search_seconds is None or self.confirm_seconds is None:
            yield f"time: not known ({self.source})"
        else:
            each = duration(self.search_seconds * self.workers / (self.runs or 1))
            yield (
                f"time: about {duration(self.search_seconds)} for the search with {count(self.workers, 'worker')}, "
                f"then at most {duration(self.confirm_seconds)} for the winners; {each} a run, {self.source}"
            )
        if self.worker_bytes is not None:
            many = self.workers * self.worker_bytes
            free = "" if self.free_memory is None else f"; {amount(self.free_memory)} are free"
            if self.free_memory is not None and many > self.free_memory:
                free += " — too little: give --workers a smaller number"
            yield f"memory: about {amount(self.worker_bytes)} a worker, {amount(many)} in all{free}"
        yield (
            f"disk: about {amount(self.run_bytes)} a run, {amount(self.disk_bytes)} in all; "
            f"{amount(self.free_disk)} are free"
        )

    def check_disk(self, results: Path) -> None:
        """Refuse, before anything is trained, what cannot be written.

        Raises:
            EnvironmentFault: the disk does not hold the runs to make.
        """
        if self.disk_bytes > self.free_disk:
            raise EnvironmentFault(
                f"{results}: the runs to make need about {amount(self.disk_bytes)}, {amount(self.free_disk)} are free; "
                "free space or choose another folder with --results, then give the same command again"
            )


def estimate(
    search: Sequence[Part], confirm: Sequence[Part], results: Path, workers: int, images: DatasetCatalog,
    records: Sequence[Record] = (), pruned: float = 0,
) -> Estimate:  # fmt: skip
    """What the parts of a search and of what follows it take.

    Args:
        search, confirm: what is to be made; what is there already is left out.
        workers: runs side by side.
        images: what the command has found of its images.
        records: runs that have been read anyway; the results folder is looked into for more.
        pruned: runs that will keep their checkpoints.
    """
    known = measured_runs(records, results)
    parameters = PARAMETERS | {str(record.settings["model"]["name"]): record.parameters for record in known}
    speeds = Speeds(known)
    seen = [(part, images_of(part.settings, images)) for part in (*search, *confirm)]
    times = [seconds_of(parts, speeds, workers, images) for parts in (search, confirm)]
    weights = {part.settings.model.name: 4 * parameters.get(part.settings.model.name, 0) for part, _ in seen}
    new = [(part, found) for part, found in seen if part.is_new]
    folders = sum(part.runs * _folder_bytes(part, found, weights[part.settings.model.name]) for part, found in new)
    under_way = (workers + pruned) * CHECKPOINT_WEIGHTS * max(weights.values(), default=0)
    held = max((found.held for _, found in seen if found is not None), default=0)
    return Estimate(
        runs=sum(part.runs for part in search if part.is_new),
        search_seconds=times[0].seconds,
        confirm_seconds=times[1].seconds,
        source=max(times, key=lambda each: each.doubt).source,
        workers=workers,
        worker_bytes=None if any(map(takes_gpu, (part.settings for part, _ in seen))) else
        PROCESS_BYTES + BYTES_AN_IMAGE * held,
        free_memory=available_memory(),
        run_bytes=folders / (sum(part.runs for part, _ in new) or 1),
        disk_bytes=folders + (under_way if new else 0),
        free_disk=shutil.disk_usage(_existing(results)).free,
    )  # fmt: skip


def seconds_of(parts: Sequence[Part], speeds: Speeds, workers: int, images: DatasetCatalog) -> Timed:
    """Wall time of all runs of the parts, `workers` side by side, and how the least certain part is known."""
    timed = [_time(speeds, part, images_of(part.settings, images)) for part in parts]
    if not timed:
        return Timed(0.0, -1, "")
    worst = max(timed, key=lambda each: each.doubt)
    known = [each.seconds for each in timed if each.seconds is not None]
    total = sum(known) / workers if len(known) == len(timed) else None
    return Timed(total, worst.doubt, worst.source, frozenset().union(*(each.runs for each in timed)))


def measured_runs(read: Sequence[Record], results: Path) -> list[Record]:
    """Runs to measure by: those that have been read anyway, and some of the folder."""
    return list({record.run_id: record for record in (*read, *_sample(results))}.values())


def images_of(settings: Settings, images: DatasetCatalog) -> ImageSizes | None:
    """How many images a run of these settings handles; None where only the files can tell."""
    found, whole = images.known(settings.data), train_size(settings)
    if found is not None:
        train, test, classes = found.train_size, found.test_size, len(found.classes)
    elif whole is not None:
        train, test = whole, getattr(settings.data, "test_size", CIFAR_TEST_SIZE)
        classes = 100 if settings.data.dataset == "cifar100" else 10
    else:
        return None
    return ImageSizes(train - settings.data.val_size, test, classes, train + test)


def duration(seconds: float) -> str:
    """`12 s`, `5 min`, `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def amount(size: float) -> str:
    """Bytes for people: `320 MB`, `1.2 GB`."""
    power = min(4, max(0, int(math.log10(max(size, 1)) // 3)))
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    number = size / 1000**power
    return f"{number:.1f} {unit}" if power and number < 10 else f"{number:.0f} {unit}"


def _folder_bytes(part: Part, images: ImageSizes | None, weights: float) -> float:
    """Of a run's folder when it is done."""
    tested = part.is_tested and images is not None
    predictions = images.test * (PREDICTION_BYTES * images.classes + LABEL_BYTES) if tested and images else 0
    return RECORD_BYTES + weights + predictions


def _time(speeds: Speeds, part: Part, images: ImageSizes | None) -> Timed:
    """Of all runs of a part, one after the other."""
    if images is None:
        return Timed(None, 3, NOT_PREPARED)
    timed = speeds.training(part.settings, part.epochs * images.trained_on)
    return timed if timed.seconds is None else replace(timed, seconds=timed.seconds * part.runs)


def _sample(results: Path) -> list[Record]:
    """Some records of the folder; those that cannot be used are no help."""
    found = []
    for run_id in run_ids(results)[:LOOKED_AT]:
        try:
            record = RunFolder(results, run_id).read_record()
        except DataError:
            continue
        if record is not None:
            found.append(record)
    return found


def _existing(folder: Path) -> Path:
    """The folder or the nearest above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
