"""Settings and facts that every built-in model has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cifar_lab.config.roles import Component, IdleUnless, Mark, NameSet, Role, Section


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model. `tests/models/test_contract.py` checks them against the network."""

    small: bool
    """Whether a GPU trains all its runs as one cohort, because one of them would not keep it busy."""
    batch_norm: bool
    """Whether it has BatchNorm layers that cannot train on a batch of one image."""
    parameters: int
    """Trainable parameters with ten classes."""
    channels_last_on_cpu: bool
    """Whether the channels_last memory format is faster on the CPU. Measured on one thread, a step of 64 images: Net
    5.3 ms against 6.6 ms, ResNet18 221 ms against 207 ms. The `kernels` backend ignores it and has its own layout."""
    own_kernels: bool
    """Whether the `kernels` backend has all its layers."""
    any_size: bool = False
    """Whether it takes images of another size than 32 × 32 pixels."""


@dataclass(frozen=True, kw_only=True)
class ModelComponent(Component):
    """Registry entry of a built-in model. Its maker takes the number of classes and the model's own options."""

    last_layer: str
    """Layer that pretrained weights never fill, because its outputs are the classes of another data set."""
    facts: ModelFacts


Init = Literal["torch", "kaiming", "orthogonal", "whiten"]
HeadInit = Literal["torch", "zero"]

SMALL_PARAMETERS = 1_000_000
"""Trainable parameters below which a model is small."""

RUN = "run:"
"""Beginning of weights that are those of a finished run."""


def source_run(weights: str | None) -> str | None:
    """Id in `run:ID`. None where the weights are those of a file, or there are none."""
    return weights.removeprefix(RUN) if weights is not None and weights.startswith(RUN) else None


Frozen = NameSet | Literal["all_but_head"]
"""Frozen layers and parameters by name, or all but the last layer."""


class ModelOptions(Section):
    """Settings of every built-in model."""

    component: ClassVar[ModelComponent]

    weights: Annotated[str | None, Role.SHARED, Mark.PATH, Mark.BY_CONTENT] = None
    """Pretrained weights: a state dict in .safetensors or torch's format, alone or as one part of a checkpoint, or
    `run:ID`, the trained network of a finished run in the same results folder. Null: from scratch."""
    head: Annotated[Literal["new", "keep"], Role.SHARED, Mark.LATER, IdleUnless("weights")] = "new"
    """Last layer with `weights`: initialised again, or kept from the file where its shape fits."""
    input_size: Annotated[int | None, Role.SHARED, Mark.LATER] = Field(None, ge=8, le=1024)
    """Rows and columns, in pixels, to which each batch is resized on the device after augmentation. Null: the size of
    the images."""
    init: Annotated[Init, Role.MEMBER, Mark.LATER] = "torch"
    """Initial weights of convolutions and linear layers. `torch`: as torch draws them. `kaiming`: normal, fan-in, for
    ReLU (arXiv:1502.01852). `orthogonal`: rows or columns of each flattened matrix, gain √2 (arXiv:1312.6120), and 1 in
    the last layer. `whiten`: the first convolution makes patches of training images uncorrelated and of variance 1, as
    in arXiv:2404.00498. Its filters are the eigenvectors of their covariance, the largest eigenvalue first, then their
    negatives. Fewer outputs take the first of them, and further outputs and other layers stay as torch draws them."""
    head_init: Annotated[HeadInit, Role.MEMBER, Mark.LATER] = "torch"
    """Initial weights and biases of the last layer. `torch`: those of `init`. `zero`: zeros (arXiv:1901.09321), so that
    training begins with equal logits."""
    freeze: Annotated[Frozen, Role.SHARED, Mark.LATER] = ()
    """Layers or parameters that keep their first weights, by name, such as `[stem, layer1]`, or `all_but_head`, all but
    the last layer. A frozen layer computes as in evaluation: BatchNorm keeps its running statistics, and dropout is
    off."""

    def facts(self) -> ModelFacts:
        """Facts of the model with these options."""
        return self.component.facts

    def own_options(self) -> dict[str, Any]:
        """Keyword arguments of the maker: every field except the name and the source of the weights."""
        shared = {"name", "pretrained", *ModelOptions.model_fields}
        return {name: getattr(self, name) for name in type(self).model_fields if name not in shared}
