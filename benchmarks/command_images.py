"""The same images for both sides of a benchmark of whole commands, as each of them takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.images import share_of
from benchmarks.options import Options

QUICK_IMAGES = 1_200
"""More than the largest batch of the grid, less a tenth for validation."""

WHOLE = 50_000
"""Training images of CIFAR-10."""

SHARE = {"cpu": 0.1, "cuda": 1.0}
"""Of the images, where nobody says how many: a whole grid would take hours on a CPU."""


class NoImagesError(Exception):
    """The benchmark needs real images and has none."""


@dataclass(frozen=True)
class CommandImages:
    """What both sides train on."""

    settings: list[object]
    """Options of `cifar-lab run`."""
    peer: list[object]
    """Arguments of a peer."""
    share: float
    """Of the zip's images."""
    train_images: int


def command_images(options: Options) -> CommandImages:
    """A share of the zip's images; made-up ones for a quick look.

    Raises:
        NoImagesError: no zip was named.
    """
    if options.quick:
        made_up = ["data.dataset=synthetic", f"data.train_size={QUICK_IMAGES}", "data.test_size=100"]
        return CommandImages(as_options(made_up), ["--random-images", QUICK_IMAGES], 1.0, QUICK_IMAGES)
    if options.zip_file is None:
        raise NoImagesError("this benchmark trains on real images: name a zip of JPEG files with --zip FILE")
    share = options.share or SHARE[options.device]
    zip_file = share_of(options.zip_file, share, options.folder)
    cache = options.folder / f"reference-{zip_file.stem}"
    settings = as_options(["data.dataset=imagefolder", f"data.root={zip_file}"])
    return CommandImages(settings, ["--zip", zip_file, "--cache", cache], share, round(WHOLE * share))


def as_options(settings: Iterable[str]) -> list[object]:
    """Each as `--set KEY=VALUE`."""
    return [word for setting in settings for word in ("--set", setting)]
