"""Which network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from cifar_lab.config.roles import Mark, Role
from cifar_lab.config.section import Section


class ModelOptions(Section):
    """What every built-in model shares."""

    weights: Annotated[str | None, Role.SHARED, Mark.BY_CONTENT] = None
    """Pretrained weights (a state dict, .safetensors or .pt); the last layer is made new. Null: from scratch."""


class Net(ModelOptions):
    """The tutorial network: conv 3→6 5×5, pool, conv 6→16 5×5, pool, linear 400→120→84→classes, ReLU."""

    name: Annotated[Literal["Net"], Role.SHARED] = "Net"


class Net1(ModelOptions):
    """Net with BatchNorm after conv1, conv2 and fc1."""

    name: Annotated[Literal["Net1"], Role.SHARED]


class Net2(ModelOptions):
    """Net with Kaiming-normal initialisation of its convolutions and linear layers (arXiv:1502.01852)."""

    name: Annotated[Literal["Net2"], Role.SHARED]


class Net3(ModelOptions):
    """Net with twice the channels: 12, 32, 240, 168."""

    name: Annotated[Literal["Net3"], Role.SHARED]


class ResNet18(ModelOptions):
    """torchvision's ResNet-18 (arXiv:1512.03385), its last layer replaced."""

    name: Annotated[Literal["ResNet18"], Role.SHARED]
    pretrained: Annotated[bool, Role.SHARED] = False
    """Start from torchvision's ImageNet weights (IMAGENET1K_V1)."""


class CustomModel(Section):
    """A `torch.nn.Module` of your own, called as `Class(num_classes=…, **options)`."""

    name: Annotated[str, Role.SHARED] = Field(pattern=r"^[^:\s][^:]*:[A-Za-z_][A-Za-z0-9_]*$")
    """`package.module:Class`, or `path/to/file.py:Class` with the path relative to the settings file. The id of a run
    names the file and the files beside it that it imports; of a package only the module itself."""
    options: Annotated[dict[str, Any], Role.SHARED] = Field(default_factory=dict)
    """Keyword arguments of the class: numbers, strings, booleans, lists and mappings of them."""


BUILT_IN_MODELS: dict[str, type[Section]] = {
    "Net": Net, "Net1": Net1, "Net2": Net2, "Net3": Net3, "ResNet18": ResNet18,
}  # fmt: skip


def _model_tag(value: Any) -> str:
    """The class of a model section: a built-in name, or custom when it holds a colon."""
    name = value.get("name", "Net") if isinstance(value, dict) else getattr(value, "name", "Net")
    return "custom" if isinstance(name, str) and ":" in name else str(name)


Model = Annotated[
    Annotated[Net, Tag("Net")]
    | Annotated[Net1, Tag("Net1")]
    | Annotated[Net2, Tag("Net2")]
    | Annotated[Net3, Tag("Net3")]
    | Annotated[ResNet18, Tag("ResNet18")]
    | Annotated[CustomModel, Tag("custom")],
    Discriminator(_model_tag),
]
