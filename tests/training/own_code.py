"""Files of a user: an optimizer, a schedule, a loss, an augmentation and a metric."""

from __future__ import annotations

from pathlib import Path

LION = """
import torch
from torch.optim import Optimizer


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                direction = mean.lerp(p.grad, 1 - first).sign_()
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
                mean.lerp_(p.grad, 1 - second)
"""

ODD = """
import torch
from torch.optim import SGD, Optimizer


class Odd(Optimizer):
    '''State of every kind, a generator and another optimizer included.'''

    def __init__(self, params, lr):
        params = list(params)
        groups = [{"params": params[:2], "lr": lr / 2}, {"params": params[2:]}]
        super().__init__(groups, {"lr": lr, "betas": (0.9, 0.99)})
        self.inner = SGD(params[:1], lr=lr, momentum=0.5)
        self.calls, self.means = 0, {}
        self.noise = torch.Generator().manual_seed(3)

    @torch.no_grad()
    def step(self, closure=None):
        self.calls += 1
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["sum"] = torch.zeros_like(p, dtype=torch.float64)
                    state["signs"] = torch.zeros_like(p, dtype=torch.int16)
                state["sum"].mul_(group["betas"][0]).add_(p.grad.double(), alpha=0.1)
                state["signs"].add_((p.grad > 0).to(torch.int16))
                mean = self.means.setdefault(p, torch.zeros(1))
                mean.add_(p.grad.mean() + 1e-3 * torch.randn(1, generator=self.noise))
                drawn = 1e-4 * torch.randn_like(p) / self.calls
                p.sub_((group["lr"] * (state["sum"] + 0.01 * state["signs"]) + drawn + 1e-3 * mean).float())
        self.inner.step()


class Sharp(Optimizer):
    '''Sharpness-aware minimisation (arXiv:2010.01412): it evaluates the batch at a second place.'''

    def __init__(self, params, lr, radius=0.05):
        super().__init__(params, {"lr": lr, "radius": radius})

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "Sharp needs a closure"
        closure = torch.enable_grad()(closure)
        moved = []
        for group in self.param_groups:
            norm = torch.stack([p.grad.norm() for p in group["params"]]).norm()
            for p in group["params"]:
                shift = p.grad * (group["radius"] / (norm + 1e-12))
                p.add_(shift)
                moved.append((p, shift, group["lr"]))
        self.zero_grad()
        closure()
        for p, shift, lr in moved:
            p.sub_(shift)
            p.sub_(p.grad, alpha=lr)


class Averaged(SGD):
    '''SGD that has the mean of its weights in evaluation, and refuses to step there.'''

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.steps, self.training = 0, False

    @torch.no_grad()
    def step(self, closure=None):
        assert self.training, "call train() first"
        super().step()
        self.steps += 1
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("mean", torch.zeros_like(p)).lerp_(p, 1 / self.steps)

    def train(self):
        self._swap(True)

    def eval(self):
        self._swap(False)

    @torch.no_grad()
    def _swap(self, training):
        if self.steps and training is not self.training:
            for p in self.param_groups[0]["params"]:
                kept = p.clone()
                p.copy_(self.state[p]["mean"])
                self.state[p]["mean"] = kept
        self.training = training
"""

PARTS = """
import torch


def warm(step, total_steps, share=0.5):
    return min(1.0, (step + 1) / (share * total_steps))


def margin(logits, labels, width=1.0):
    right = logits.gather(1, labels[:, None])
    return torch.relu(width + logits - right).mean()


class Margin(torch.nn.Module):
    def __init__(self, width=1.0):
        super().__init__()
        self.register_buffer("width", torch.tensor(width))

    def forward(self, logits, labels):
        return margin(logits, labels, self.width)


def erase(images, generator):
    row = int(torch.randint(24, (1,), generator=generator))
    images = images.clone()
    images[:, :, row : row + 8] = 0
    return images


def top3(logits, labels):
    return (logits.topk(3).indices == labels[:, None]).any(1).float().mean()
"""


def write(folder: Path) -> None:
    """Write `lion.py`, `odd.py` and `parts.py`."""
    for name, text in (("lion", LION), ("odd", ODD), ("parts", PARTS)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
