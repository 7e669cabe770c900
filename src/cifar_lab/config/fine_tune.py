"""Settings of fine-tuning: the layers that train in each epoch, and their learning rates."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cifar_lab.config.roles import Mark, Role, Section


class FineTune(Section):
    """Training of a network that has weights already. Layers are those of its forward pass, such as stem, layer1 to
    layer4 and fc of ResNet18. The last one is the head."""

    default_role: ClassVar[Role] = Role.SHARED

    freeze_epochs: Annotated[int, Mark.LATER] = Field(0, ge=0, le=100_000)
    """First epochs in which the head alone trains. Its optimizer state is discarded when other layers join."""
    gradual_unfreeze: Annotated[int, Mark.LATER] = Field(0, ge=0, le=100_000)
    """Epochs after which the next layer joins, from the head down (arXiv:1801.06146). The head trains alone for
    `freeze_epochs`, or where those are 0 for as many epochs as this. 0: all layers join at once."""
    layer_decay: Annotated[float, Role.MEMBER, Mark.LATER] = Field(1.0, gt=0, le=1)
    """Factor of the learning rate per layer below the head: lr · layer_decay^depth, the head at depth 0."""
    head_lr_factor: Annotated[float, Role.MEMBER, Mark.LATER] = Field(1.0, gt=0, le=10_000)
    """Factor of the learning rate of the head."""
    batchnorm: Annotated[Literal["train", "frozen"], Mark.LATER] = "train"
    """`frozen`: every BatchNorm keeps its running statistics and its weights, and computes as in evaluation. `train`:
    those of frozen layers only."""

    @property
    def in_stages(self) -> bool:
        """Whether the layers that train change between epochs."""
        return bool(self.freeze_epochs or self.gradual_unfreeze)

    @property
    def scales_rates(self) -> bool:
        """Whether the learning rate depends on the layer."""
        return self.layer_decay != 1 or self.head_lr_factor != 1

    @property
    def alone(self) -> int:
        """Epochs in which the head trains alone."""
        return self.freeze_epochs or self.gradual_unfreeze
