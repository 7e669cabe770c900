"""K networks trained as one, in the way of HFTA (Wang et al., MLSys 2021, arXiv:2102.02344): horizontally fused.

Convolutions of all members are one grouped convolution, linear layers one `baddbmm`, the optimizer updates tensors
whose first dimension is the member, with learning rates of shape (K,). Eager torch; images stay on the device as
floats; each member has its own seed, order and learning rate. A member trains as `resident_loop` would train it alone.

    python -m benchmarks.peers.fused_cohort --members 40 --rate-seconds 4
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.device import rate_on, waiter
from benchmarks.peers.images import random_images
from benchmarks.peers.networks import Net, build
from benchmarks.peers.resident_loop import draws, to_tensor
from benchmarks.stopwatch import report


class FusedNet(nn.Module):
    """K of the tutorial's networks; each parameter has the members as its first dimension."""

    def __init__(self, members: Sequence[Net]) -> None:
        """Takes over the weights of `members`."""
        super().__init__()
        self.members = len(members)
        for name in ("conv1", "conv2", "fc1", "fc2", "fc3"):
            layers = [getattr(member, name) for member in members]
            weight = torch.stack([layer.weight.detach() for layer in layers])
            bias = torch.stack([layer.bias.detach() for layer in layers])  # (K, out)
            if name.startswith("fc"):  # (K, in, out) and (K, 1, out), as baddbmm takes them
                weight, bias = weight.transpose(1, 2).contiguous(), bias.unsqueeze(1)
            self.register_parameter(f"{name}_weight", nn.Parameter(weight))
            self.register_parameter(f"{name}_bias", nn.Parameter(bias))

    def forward(self, images: Tensor) -> Tensor:
        """images (B, K, 3, 32, 32) → logits (K, B, 10)."""
        x = images.flatten(1, 2)  # (B, 3 K, 32, 32)
        x = F.max_pool2d(F.relu(self._convolve("conv1", x)), 2)
        x = F.max_pool2d(F.relu(self._convolve("conv2", x)), 2)  # (B, 16 K, 5, 5)
        x = x.view(len(images), self.members, -1).transpose(0, 1)  # (K, B, 400)
        x = F.relu(self._multiply("fc1", x))
        x = F.relu(self._multiply("fc2", x))
        return self._multiply("fc3", x)

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), groups=self.members)

    def _multiply(self, name: str, x: Tensor) -> Tensor:
        return torch.baddbmm(getattr(self, f"{name}_bias"), x, getattr(self, f"{name}_weight"))


class FusedOptimizer:
    """SGD with momentum 0.9 or Adam with torch's defaults, a learning rate a member."""

    def __init__(self, parameters: Sequence[Tensor], lr: Tensor, *, adam: bool) -> None:
        """`lr` (K,)."""
        self.parameters, self.lr, self.adam, self.steps = list(parameters), lr, adam, 0
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters] if adam else []

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        for number, parameter in enumerate(self.parameters):
            gradient, first = parameter.grad, self.first[number]
            assert gradient is not None
            lr = self.lr.view(-1, *[1] * (parameter.dim() - 1))
            if not self.adam:
                first.mul_(0.9).add_(gradient)
                parameter.sub_(lr * first)
                continue
            second = self.second[number]
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            root = (second / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
            parameter.sub_(lr / (1 - 0.9**self.steps) * first / root)


def train(
    net: FusedNet, images: Tensor, labels: Tensor, batch_size: int, epochs: int, seeds: Sequence[int], lr: Tensor, *,
    adam: bool = False,
) -> Iterator[int]:  # fmt: skip
    """Yields the images of each step, those of all members."""
    optimizer = FusedOptimizer(list(net.parameters()), lr, adam=adam)
    members, count, device = len(seeds), len(images), images.device
    for epoch in range(epochs):
        orders = [torch.randperm(count, generator=draws(seed, epoch, device), device=device) for seed in seeds]
        for chosen in torch.split(torch.stack(orders, dim=1), batch_size):  # (B, K)
            logits = net(images[chosen])  # (K, B, 10)
            loss = F.cross_entropy(logits.flatten(0, 1), labels[chosen.T].flatten())
            optimizer.zero_grad()
            # The mean over all members is a K-th of each member's own.
            (loss * members).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield chosen.numel()


def build_fused(seeds: Sequence[int], device: torch.device) -> FusedNet:
    """Members with the initial weights of their seeds."""
    solo = [build("Net", seed) for seed in seeds]
    return FusedNet([net for net in solo if isinstance(net, Net)]).to(device)


def learning_rates(members: int, device: torch.device) -> Tensor:
    """(K,): from 0.001 to 0.002, so that no two members do the same."""
    return torch.linspace(0.001, 0.002, members, device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--adam", action="store_true")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rate-seconds", type=float, help="measure how fast the cohort trains, for this long")
    parser.add_argument("--warm-up-steps", type=int, default=10)
    parser.add_argument("--epoch", action="store_true", help="measure how long one epoch takes")
    args = parser.parse_args()
    device = torch.device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    pixels, targets = random_images(args.images)
    images, labels = to_tensor(pixels, device), torch.from_numpy(targets).to(device)
    seeds, lr, wait = range(args.members), learning_rates(args.members, device), waiter(device)
    if args.epoch:
        began = time.perf_counter()
        net = build_fused(seeds, device)
        for _ in train(net, images, labels, args.batch_size, 1, seeds, lr, adam=args.adam):
            pass
        wait()
        report({"value": time.perf_counter() - began, "threads": torch.get_num_threads()})
        return
    endless = train(build_fused(seeds, device), images, labels, args.batch_size, 10**6, seeds, lr, adam=args.adam)
    report(rate_on(device, endless, args.rate_seconds, args.warm_up_steps))


if __name__ == "__main__":
    main()
