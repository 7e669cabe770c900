"""The two forms of a cohort's convolutions, in turn, for the layers of the lab: milliseconds forward and backward.

python -m benchmarks.convolutions                                # one CPU thread, 8 members
python -m benchmarks.convolutions --device cuda --members 40     # what models.convolutions decides by on a GPU
"""

from __future__ import annotations

import argparse
import statistics

import torch

from cifar_lab.core.host import CoreUse
from cifar_lab.models.convolutions import Geometry, by_groups, by_products, time_both_ways

LAYERS = {
    "Net, first": (3, 6, 32, 5, Geometry((1, 1), (0, 0))),
    "Net, second": (6, 16, 14, 5, Geometry((1, 1), (0, 0))),
    "Net3, second": (12, 32, 14, 5, Geometry((1, 1), (0, 0))),
    "ResNet18, stem": (3, 64, 32, 7, Geometry((2, 2), (3, 3))),
    "ResNet18, 64 channels": (64, 64, 8, 3, Geometry((1, 1), (1, 1))),
    "ResNet18, 256 channels": (256, 256, 2, 3, Geometry((1, 1), (1, 1))),
}
"""Input channels, output channels, pixels a side, kernel, how it moves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    before = CoreUse.now()
    print(f"{'layer':<24}{'groups, ms':>12}{'products, ms':>14}   products to groups, median (all)")
    for name, (channels, outputs, pixels, kernel, geometry) in LAYERS.items():
        shape = (options.members, options.batch_size, channels, pixels, pixels)
        images = torch.randn(shape, device=options.device, requires_grad=channels > 3)
        weight_shape = (options.members, outputs, channels, kernel, kernel)
        weight = torch.randn(weight_shape, device=options.device, requires_grad=True)
        pairs = [
            [time_both_ways(form, images, weight, None, geometry) for form in (by_groups, by_products)]
            for _ in range(options.pairs)
        ]
        groups, products = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
        ratios = sorted(other / one for one, other in pairs)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<24}{groups:>12.2f}{products:>14.2f}   {spread}", flush=True)
    elsewhere = before.busy_elsewhere(CoreUse.now())
    print("other programs: " + ("not known" if elsewhere is None else f"{elsewhere:.2f} cores"))


if __name__ == "__main__":
    main()
