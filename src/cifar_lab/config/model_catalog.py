"""Facts of each built-in model that are known before it is built, from the entries in `model`. No torch."""

from __future__ import annotations

from cifar_lab.config.components import BUILT_IN_MODELS
from cifar_lab.config.model import ModelFacts

GROUP_IMAGES = 16
"""Images that the `kernels` backend takes at a time: LANES in kernels.h."""

MODEL_FACTS: dict[str, ModelFacts] = {name: cls.component.facts for name, cls in BUILT_IN_MODELS.items()}
"""Facts by `model.name`. A custom model has none."""
