"""Settings of the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from cifar_lab.config.model_options import (
    SMALL_PARAMETERS,
    Frozen,
    HeadInit,
    Init,
    ModelComponent,
    ModelFacts,
    ModelOptions,
)
from cifar_lab.config.roles import MODEL_NAME, IdleUnless, Mark, Role, Section, tag_of

# `title` keeps the model's name as the title in the JSON schema.


class NetModel(ModelOptions, title="Net"):
    """The tutorial network: conv 3→6 5×5, pool, conv 6→16 5×5, pool, linear 400→120→84→classes, ReLU."""

    component = ModelComponent(
        maker="nets:Net",
        last_layer="fc3",
        facts=ModelFacts(small=True, batch_norm=False, parameters=62_006, channels_last_on_cpu=True, own_kernels=True),
    )
    name: Annotated[Literal["Net"], Role.SHARED] = "Net"


class Net1Model(ModelOptions, title="Net1"):
    """Net with BatchNorm after conv1, conv2 and fc1."""

    component = ModelComponent(
        maker="nets:Net1",
        last_layer="fc3",
        facts=ModelFacts(small=True, batch_norm=True, parameters=62_290, channels_last_on_cpu=True, own_kernels=True),
    )
    name: Annotated[Literal["Net1"], Role.SHARED]


class Net2Model(ModelOptions, title="Net2"):
    """Net with Kaiming-normal initialisation of its convolutions and linear layers (arXiv:1502.01852)."""

    component = ModelComponent(
        maker="nets:Net2",
        last_layer="fc3",
        facts=ModelFacts(small=True, batch_norm=False, parameters=62_006, channels_last_on_cpu=True, own_kernels=True),
    )
    name: Annotated[Literal["Net2"], Role.SHARED]


class Net3Model(ModelOptions, title="Net3"):
    """Net with twice the channels: 12, 32, 240, 168."""

    component = ModelComponent(
        maker="nets:Net3",
        last_layer="fc3",
        facts=ModelFacts(small=True, batch_norm=False, parameters=244_962, channels_last_on_cpu=True, own_kernels=True),
    )
    name: Annotated[Literal["Net3"], Role.SHARED]


Channels = Annotated[int, Field(ge=1, le=4096)]


class WideModel(ModelOptions, title="Wide"):
    """Net with the channels and features that you choose: conv 5×5, pool, conv 5×5, pool, three linear layers, ReLU."""

    component = ModelComponent(
        maker="nets:wide",
        last_layer="fc3",
        facts=ModelFacts(small=True, batch_norm=False, parameters=604_926, channels_last_on_cpu=True, own_kernels=True),
    )
    name: Annotated[Literal["Wide"], Role.SHARED]
    channels: Annotated[tuple[Channels, Channels], Role.SHARED, Field(strict=False)] = (64, 128)
    """Output channels of both convolutions. Those of Net are [6, 16]."""
    widths: Annotated[tuple[Channels, Channels], Role.SHARED, Field(strict=False)] = (120, 84)
    """Output features of the first and the second linear layer. The default is that of Net."""
    batch_norm: Annotated[bool, Role.SHARED] = False
    """BatchNorm after both convolutions and the first linear layer, as in Net1."""

    def facts(self) -> ModelFacts:
        """Facts of a network of these widths."""
        (first, second), (third, fourth) = self.channels, self.widths
        convolutions = first * (3 * 25 + 1) + second * (first * 25 + 1)
        linear = third * (second * 25 + 1) + fourth * (third + 1) + 10 * (fourth + 1)
        norms = 2 * (first + second + third) * self.batch_norm
        parameters = convolutions + linear + norms
        small = parameters < SMALL_PARAMETERS
        return replace(self.component.facts, small=small, batch_norm=self.batch_norm, parameters=parameters)


class CifarNetModel(ModelOptions, title="CifarNet"):
    """Network of the 94 % records of airbench94 (arXiv:2404.00498), for 32 × 32 pixels.

    A 2 × 2 convolution with frozen, whitening filters and their negatives, then three blocks of conv 3×3, max-pool,
    BatchNorm, GELU, conv 3×3, BatchNorm, GELU, a max-pool and a scaled linear layer. Its convolutions begin as the
    identity of their input channels. The weights of BatchNorm stay 1. The record trains BatchNorm biases with 64 times
    the learning rate: `optimizer.groups: [{match: norm, lr_factor: 64}]`.
    """

    component = ModelComponent(
        maker="cifar_net:CifarNet",
        last_layer="head",
        facts=ModelFacts(
            small=False, batch_norm=True, parameters=1_971_352, channels_last_on_cpu=True, own_kernels=False
        ),
    )
    name: Annotated[Literal["CifarNet"], Role.SHARED]
    init: Annotated[Init, Role.MEMBER, Mark.LATER] = "whiten"
    """Filters of the first convolution: `whiten`, or frozen random filters with another value, which draws the weights
    of the other layers too."""
    widths: Annotated[tuple[Channels, Channels, Channels], Role.SHARED, Field(strict=False)] = (64, 256, 256)
    """Channels of the blocks."""
    head_scale: Annotated[float, Role.SHARED] = Field(1 / 9, gt=0, le=100)
    """Factor of the logits."""
    whiten_bias_epochs: Annotated[int, Role.SHARED] = Field(3, ge=0, le=100_000)
    """Epochs in which the bias of the first convolution is trained. It keeps its value afterwards."""

    def facts(self) -> ModelFacts:
        """Facts of a network of these widths."""
        inputs, convolutions = 24, 0
        for outputs in self.widths:
            convolutions += 9 * outputs * (inputs + outputs) + 2 * outputs
            inputs = outputs
        parameters = 24 + convolutions + 10 * inputs
        return replace(self.component.facts, small=parameters < SMALL_PARAMETERS, parameters=parameters)


class ResNet18Model(ModelOptions, title="ResNet18"):
    """torchvision's ResNet-18 (arXiv:1512.03385), its last layer replaced."""

    component = ModelComponent(
        maker="nets:resnet18",
        last_layer="fc",
        facts=ModelFacts(
            small=False,
            batch_norm=True,
            parameters=11_181_642,
            channels_last_on_cpu=False,
            own_kernels=False,
            any_size=True,
        ),
    )
    name: Annotated[Literal["ResNet18"], Role.SHARED]
    pretrained: Annotated[bool, Role.SHARED] = False
    """Start from torchvision's ImageNet weights (IMAGENET1K_V1)."""


class CustomModel(Section):
    """Your `torch.nn.Module`, or one of a package: a class or a function, called with `options`."""

    name: Annotated[str, Role.SHARED, Mark.PATH, Mark.CODE] = Field(pattern=MODEL_NAME)
    """`path/to/file.py:NAME` with the path relative to the settings file, `package.module:NAME` of the working folder
    or an installed package, `torchvision.models:NAME`, or `timm:NAME`. The id of a run includes the content of every
    Python file outside installed packages that the model imports, and the version of an installed package."""
    options: Annotated[dict[str, Any], Role.SHARED] = Field(default_factory=dict)
    """Keyword arguments of the class or function: numbers, strings, booleans, lists and mappings of
    them. `num_classes` is added where it is accepted."""
    aux_weights: Annotated[tuple[float, ...] | None, Role.SHARED, Mark.LATER, Field(strict=False)] = None
    """Weights in the loss of the auxiliary logits that the model returns in training mode after its own, as a tuple or
    a dictionary."""
    weights: Annotated[str | None, Role.SHARED, Mark.PATH, Mark.BY_CONTENT, Mark.LATER] = None
    """Pretrained weights, as for built-in models."""
    head: Annotated[Literal["new", "keep"], Role.SHARED, Mark.LATER, IdleUnless("weights")] = "keep"
    """Last layer with `weights`: kept from the file where its shape fits, or initialised again."""
    input_size: Annotated[int | None, Role.SHARED, Mark.LATER] = Field(None, ge=8, le=1024)
    """Rows and columns, in pixels, to which each batch is resized on the device after augmentation. Null: the size of
    the images."""
    init: Annotated[Init, Role.SHARED, Mark.LATER] = "torch"
    """Initial weights of convolutions and linear layers, as for built-in models. `torch`: those that the code gives."""
    head_init: Annotated[HeadInit, Role.SHARED, Mark.LATER] = "torch"
    """Initial weights and biases of the last layer: `zero`, or those of `init`."""
    freeze: Annotated[Frozen, Role.SHARED, Mark.LATER] = ()
    """Layers or parameters that keep their first weights, by name, such as `[stem, layer1]`, or `all_but_head`, all but
    the last layer. A frozen layer computes as in evaluation: BatchNorm keeps its running statistics, and dropout is
    off."""


Model = Annotated[
    Annotated[NetModel, Tag("Net")]
    | Annotated[Net1Model, Tag("Net1")]
    | Annotated[Net2Model, Tag("Net2")]
    | Annotated[Net3Model, Tag("Net3")]
    | Annotated[WideModel, Tag("Wide")]
    | Annotated[CifarNetModel, Tag("CifarNet")]
    | Annotated[ResNet18Model, Tag("ResNet18")]
    | Annotated[CustomModel, Tag("custom")],
    tag_of("Net"),
]
