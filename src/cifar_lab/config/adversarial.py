"""Settings of adversarial training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from cifar_lab.config.attack import Norm, as_eps
from cifar_lab.config.roles import IdleUnless, Mark, Role, Section


class Adversarial(Section):
    """Adversarial training (arXiv:1706.06083): each step trains on attacked images instead of the clean ones.

    The images are attacked by projected gradient descent from a random start, on the network of the step in evaluation
    mode, after augmentation. Validation and test images are clean.
    """

    default_role: ClassVar[Role] = Role.SHARED

    norm: Annotated[Norm, IdleUnless("eps"), Mark.LATER] = "linf"
    """`linf`: largest change of a pixel. `l2`: root of the sum of squared changes. Pixels have the range 0 to 1."""
    eps: Annotated[float, BeforeValidator(as_eps), Mark.LATER] = Field(0.0, ge=0, le=100)
    """Distance of the attack in the pixel range 0 to 1, such as 8/255. 0: ordinary training."""
    steps: Annotated[int, IdleUnless("eps"), Mark.LATER] = Field(7, ge=1, le=1000)
    """Steps of the attack, each of length 2.5 · eps / `steps`. A step of training takes about as many times longer."""
