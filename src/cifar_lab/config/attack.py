"""Settings of an attack on trained networks. Each attack is a class with its own settings, chosen by `name`."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cifar_lab.config.roles import Role, Section, Seed

Norm = Literal["linf", "l2"]
AttackLoss = Literal["cross_entropy", "margin", "both"]
CorruptionKind = Literal["noise", "blur", "contrast", "jpeg"]

FRACTION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*/\s*([1-9][0-9]*)\s*")

MOST_EPS = 100.0
"""Largest distance of an L2 attack. The diagonal of an image of 57 × 57 pixels."""


def as_eps(value: Any) -> Any:
    """A fraction such as `8/255` as a number. Any other value as it is."""
    found = FRACTION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) / int(found[2]) if found else value


def as_list(value: Any) -> Any:
    """A single distance as a list of one. Any other value as it is."""
    return [value] if isinstance(value, int | float | str) and not isinstance(value, bool) else value


Eps = Annotated[float, BeforeValidator(as_eps), Field(ge=0, le=MOST_EPS)]
EpsList = Annotated[tuple[Eps, ...], BeforeValidator(as_list), Field(strict=False, min_length=1, max_length=100)]

LINF_CURVE = tuple(each / 255 for each in (0, 0.25, 0.5, 1, 2, 4, 8))
"""Distances of a curve in the L-inf norm."""

L2_CURVE = tuple(0.5 * each for each in (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1))
"""Distances of a curve in the L2 norm, of images with pixels from 0 to 1."""


class AttackOptions(Section):
    """Settings of every attack."""

    default_role: ClassVar[Role] = Role.SHARED

    images: Annotated[int, Field(ge=1)] | Literal["all"] = 1000
    """Test images, the same share of each class, chosen once for all runs. `all`: the whole test split."""
    seed: Seed = 0
    """Seed of the choice of images and of all random numbers of the attack. It is the same for every network."""


class EpsOptions(AttackOptions):
    """Settings of an attack within a distance."""

    norm: Norm = "linf"
    """`linf`: largest change of a pixel. `l2`: root of the sum of squared changes. Pixels have the range 0 to 1."""
    eps: EpsList | None = None
    """Distances, in the pixel range 0 to 1, such as 8/255. Null: 0 to 8/255 for `linf`, 0 to 0.5 for `l2`."""

    @property
    def distances(self) -> tuple[float, ...]:
        """Distances in ascending order, each once."""
        usual = LINF_CURVE if self.norm == "linf" else L2_CURVE
        return tuple(sorted(set(usual if self.eps is None else self.eps)))


class FGSM(EpsOptions):
    """Fast gradient sign method (arXiv:1412.6572): one step of the full distance. A point of a chart, not a measure."""

    name: Literal["fgsm"]
    loss: Literal["cross_entropy", "margin"] = "cross_entropy"
    """Loss that the step increases. `margin`: the largest other logit minus that of the class."""


class PGD(EpsOptions):
    """Projected gradient descent (arXiv:1706.06083). The worst case per image over its restarts, losses and steps."""

    name: Literal["pgd"] = "pgd"
    steps: int = Field(20, ge=1, le=10_000)
    """Steps of each restart. 20 for a curve, 100 for a verdict."""
    restarts: int = Field(1, ge=1, le=1000)
    """Random starts. 5 for a verdict."""
    step_factor: float = Field(2.5, gt=0, le=100)
    """Length of a step: `step_factor` · eps / `steps`."""
    loss: AttackLoss = "cross_entropy"
    """Loss that the steps increase. `margin`: the largest other logit minus that of the class. `both`: all restarts
    with one, then with the other."""


class DeepFool(AttackOptions):
    """DeepFool in the L2 norm (arXiv:1511.04599): the distance of each image to the nearest boundary that it finds."""

    name: Literal["deepfool"]
    steps: int = Field(50, ge=1, le=10_000)
    """Most steps per image. An image that is not misclassified then counts as a failure and is shown as one."""
    overshoot: float = Field(0.02, ge=0, le=10)
    """Share by which each step crosses the boundary of the linear model."""
    candidates: int = Field(10, ge=2, le=1000)
    """Classes whose boundaries are tried, those with the largest logits."""


class AutoAttack(EpsOptions):
    """AutoAttack (arXiv:2003.01690), the standard version: four attacks without parameters. Needs the extra
    `attacks`."""

    name: Literal["autoattack"]
    images: Annotated[int, Field(ge=1)] | Literal["all"] = 200
    """As of the other attacks. AutoAttack takes about a hundred times as long as PGD."""
    eps: EpsList | None = (1 / 255,)
    """As of the other attacks."""


class Noise(EpsOptions):
    """Random noise of the same size, the harmless end of the scale: uniform in the box or in the ball of the norm."""

    name: Literal["noise"]
    draws: int = Field(1, ge=1, le=1000)
    """Draws per image. The worst of them counts."""


class Corruption(AttackOptions):
    """Corruptions of five severities, as in CIFAR-10-C (arXiv:1903.12261)."""

    name: Literal["corruption"]
    kinds: Annotated[tuple[CorruptionKind, ...], Field(strict=False, min_length=1)] = (
        "noise", "blur", "contrast", "jpeg",
    )  # fmt: skip
    """`noise`: Gaussian noise. `blur`: Gaussian blur. `contrast`: less contrast. `jpeg`: JPEG compression."""


AnyAttack = FGSM | PGD | DeepFool | AutoAttack | Noise | Corruption
ATTACKS: dict[str, type[AnyAttack]] = {
    "pgd": PGD, "fgsm": FGSM, "deepfool": DeepFool, "autoattack": AutoAttack, "noise": Noise, "corruption": Corruption,
}  # fmt: skip
"""Settings class of each attack by name."""


def attack_from(values: dict[str, Any]) -> AnyAttack:
    """Attack of valid values, as a record or a request has them."""
    return ATTACKS[values.get("name", "pgd")].model_validate(values)


def attack_id(attack: AnyAttack) -> str:
    """Identity of an attack: a hash of its settings. Values at their defaults are left out."""
    values = attack.model_dump(mode="json", exclude_defaults=True)
    if isinstance(attack, EpsOptions):
        values["eps"] = [round(each, 9) for each in attack.distances]
    text = json.dumps({**values, "name": attack.name}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def attack_words(attack: AnyAttack) -> str:
    """`PGD-20 L∞`: name of an attack with its main settings."""
    norm = {"linf": " L∞", "l2": " L2"}[attack.norm] if isinstance(attack, EpsOptions) else ""
    if isinstance(attack, PGD):
        more = f" × {attack.restarts}" if attack.restarts > 1 else ""
        loss = {"cross_entropy": "", "margin": " margin", "both": " both losses"}[attack.loss]
        return f"PGD-{attack.steps}{more}{loss}{norm}"
    titles = {"fgsm": "FGSM", "deepfool": "DeepFool L2", "autoattack": "AutoAttack", "noise": "noise",
              "corruption": "corruptions"}  # fmt: skip
    return f"{titles[attack.name]}{norm}"


def eps_words(eps: float) -> str:
    """`8/255` for a multiple of a quarter of a pixel value, else the number. A short decimal stays as it is."""
    quarters = 4 * 255 * eps
    is_short = abs(1000 * eps - round(1000 * eps)) < 1e-9
    return f"{round(quarters) / 4:g}/255" if abs(quarters - round(quarters)) < 1e-6 and not is_short else f"{eps:.4g}"
