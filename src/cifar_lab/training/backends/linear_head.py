"""Steps of a linear probe on features that were computed once: torch's own operations, called without its modules.

A step of so few numbers is mostly the cost of calls. These are the operations that `F.cross_entropy` of `nn.Linear` and
its backward pass end in, with outputs that are allocated once, so the bits are those of the eager backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.features import FeatureBatches
from cifar_lab.training.optim.optimizers import CohortOptimizer

STEPS = (50, 10, 5, 1)
"""Steps whose features are gathered at a time. They divide the steps between two reads of the loss."""

GATHERED = 2**22
"""Most numbers that are gathered at a time. A single step may have more."""


@dataclass(frozen=True)
class _Head:
    """Last layer of one network, with views of its parameters and gradients."""

    weight: Tensor
    """(features, classes)."""
    bias: Tensor
    weight_gradient: Tensor
    """(classes, features)."""
    bias_gradient: Tensor

    @classmethod
    def of(cls, layer: nn.Linear) -> _Head:
        weight, bias = layer.weight, layer.bias
        assert weight.grad is not None
        assert bias.grad is not None
        return cls(weight.detach().t(), bias.detach(), weight.grad, bias.grad)


class LinearHeadBackend:
    """Backend of a cohort on the CPU whose networks train their last layer alone, from features in memory."""

    def __init__(self, eager: EagerBackend, batches: FeatureBatches, layers: Sequence[nn.Linear]) -> None:
        """Use the cohort of `eager`. `layers`: what each network trains."""
        self.cohort, self.metrics = eager.cohort, eager.metrics
        self._eager, self._batches, self._layers = eager, batches, layers
        size, numbers = max(batches.batch_sizes), layers[0].in_features
        self._together = next((each for each in STEPS if each * size * numbers * len(layers) <= GATHERED), 1)
        # The same memory again and again: new memory of this size takes longer than the copies.
        self._memory = torch.empty(len(layers), self._together * size, numbers)

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. torch's kernels keep their threads, which decide their rounding."""

    @torch.no_grad()
    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        self.metrics = self._eager.new_metrics()
        update = self._updates(epoch)
        randomness = self._batches.randomness(epoch)
        self.cohort.parameters.zero_gradients()
        heads = [_Head.of(layer) for layer in self._layers]
        done, sizes = 0, self._batches.batch_sizes
        for index in torch.split(randomness.order, self._memory.shape[1], dim=1):
            part = self._part(index, sizes[done : done + self._together], heads)
            for step in range(len(part[0].sizes)):
                for member in part:
                    member.gradients(step)
                update(done + step)
            for number, member in enumerate(part):
                member.write(self.metrics.loss[:, number], self.metrics.right[:, number], done)
            done += len(part[0].sizes)
            yield done

    def _updates(self, epoch: int) -> Callable[[int], None]:
        """Update of the networks at a step of the epoch."""
        cohort, (lr, momentum) = self.cohort, self._eager.rates(epoch)
        optimizer = cohort.optimizer
        if not isinstance(optimizer, CohortOptimizer):
            return lambda step: cohort.update(lr[step], None if momentum is None else momentum[step])
        rates = lr.squeeze(-1).tolist()
        own = torch.full_like(lr, torch.nan) if momentum is None else momentum
        momenta = own.squeeze(-1).tolist()

        def update(step: int) -> None:
            optimizer.step_rows(rates[step], momenta[step])
            cohort.after_step()

        return update

    def _part(self, index: Tensor, sizes: Sequence[int], heads: Sequence[_Head]) -> list[_Part]:
        features, labels = self._batches.rows_into(index, self._memory), self._batches.split.labels[index]
        return [_Part(*each, sizes) for each in zip(heads, features, labels, strict=True)]


class _Part:
    """Some steps of one network."""

    def __init__(self, head: _Head, features: Tensor, labels: Tensor, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self._head, self._labels = head, labels
        size, classes = sizes[0], len(head.bias)
        count = torch.tensor(sizes).repeat_interleave(torch.tensor(sizes)).unsqueeze(1)  # images of each one's step
        slopes = torch.zeros(len(labels), classes).scatter_(1, labels.unsqueeze(1), -1 / count)
        self._logits, self._logs, change = (torch.empty(len(labels), classes) for _ in range(3))
        self._steps = [
            (*views, views[-1].t())
            for views in zip(
                *(torch.split(each, size) for each in (features, labels, self._logits, self._logs, slopes, change)),
                strict=True,
            )
        ]
        self._losses: list[Tensor] = []

    def gradients(self, step: int) -> None:
        """Replace the gradients of the head by those of a step's mean loss."""
        head = self._head
        features, labels, logits, logs, slopes, change, transposed = self._steps[step]
        torch.addmm(head.bias, features, head.weight, out=logits)
        torch._log_softmax(logits, 1, False, out=logs)
        self._losses.append(F.nll_loss(logs, labels))
        torch._log_softmax_backward_data(slopes, logs, 1, torch.float32, out=change)
        torch.mm(transposed, features, out=head.weight_gradient)
        torch.sum(change, 0, out=head.bias_gradient)

    def write(self, losses: Tensor, right: Tensor, begin: int) -> None:
        """Store loss and number of correct images of each step, from the step `begin` on."""
        end = begin + len(self.sizes)
        losses[begin:end] = torch.stack(self._losses)
        hits = (self._logits.argmax(dim=1) == self._labels).cumsum(0)
        at = torch.tensor(self.sizes).cumsum(0) - 1
        right[begin:end] = torch.diff(hits[at], prepend=torch.zeros(1, dtype=torch.int64))


def linear_head_backend(eager: EagerBackend) -> LinearHeadBackend | None:
    """Backend of networks that train a linear layer from features in memory. None for any others."""
    cohort, batches = eager.cohort, eager.batches
    is_plain = not (eager.label_smoothing or eager.teacher or eager.adversary or cohort.stacked or cohort.watch)
    if not (is_plain and isinstance(batches, FeatureBatches)) or eager.execution.bf16:
        return None
    layers = [layer for tail in cohort.tails if (layer := _only_layer(tail)) is not None]
    is_head = len(layers) == len(cohort.networks) and len(cohort.parameters.spans) == len(list(layers[0].parameters()))
    return LinearHeadBackend(eager, batches, layers) if is_head else None


def _only_layer(tail: nn.Module) -> nn.Linear | None:
    """The linear layer that a tail consists of. None for any other tail."""
    if not isinstance(tail, fx.GraphModule):
        return None
    called = [node for node in tail.graph.nodes if node.op not in ("placeholder", "output")]
    if len(called) != 1 or called[0].op != "call_module":
        return None
    layer = tail.get_submodule(str(called[0].target))
    if type(layer) is not nn.Linear or layer.bias is None:
        return None
    return layer if all(each.requires_grad for each in layer.parameters()) else None
