"""Settings of the loss, with those of a teacher."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from cifar_lab.config.roles import CodeName, IdleUnless, Mark, Probability, Role, Section, tag_of


class Distill(Section):
    """Distillation: the loss compares the logits with those of a teacher too (Hinton et al. 2015, arXiv:1503.02531)."""

    default_role: ClassVar[Role] = Role.SHARED

    name: Literal["kl"] = "kl"
    teacher: str | None = Field(None, pattern=r"^run:.+$")
    """`run:ID`, the trained network of a finished run in the same results folder. It sees the images as they are
    augmented for the run. Null: no teacher."""
    temperature: Annotated[float, IdleUnless("teacher")] = Field(4.0, gt=0, le=1000)
    """Divisor of both logits before their softmax."""
    weight: Annotated[float, IdleUnless("teacher")] = Field(0.9, gt=0, le=1)
    """Share of the teacher in the loss: (1 − weight) · loss of the labels + weight · temperature² · KL divergence."""


class Loss(Section):
    """Cross-entropy of the logits against the class, averaged over the batch."""

    default_role: ClassVar[Role] = Role.SHARED

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Probability = 0.0
    """Share of the target spread evenly over all classes (arXiv:1512.00567)."""
    distill: Annotated[Distill, Mark.LATER] = Distill()
    """A teacher beside the labels."""


class CustomLoss(Section):
    """Your function of the logits and the labels."""

    default_role: ClassVar[Role] = Role.SHARED
    label_smoothing: ClassVar[float] = 0.0

    name: CodeName
    """`path/to/file.py:NAME` or `package.module:NAME`: a function `f(logits, labels)` that returns the mean loss of the
    batch, from logits (B, classes) and labels (B,), or a `torch.nn.Module` class whose `forward` does so. It is the
    training loss of the record. The validation and the test loss stay cross-entropy. The id of a run includes its
    source, as that of a model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the function, or those of the class, by name."""


def distillation(loss: Loss | CustomLoss) -> Distill | None:
    """Settings of the teacher. None without one."""
    return loss.distill if isinstance(loss, Loss) and loss.distill.teacher is not None else None


AnyLoss = Annotated[
    Annotated[Loss, Tag("cross_entropy")] | Annotated[CustomLoss, Tag("custom")], tag_of("cross_entropy")
]
