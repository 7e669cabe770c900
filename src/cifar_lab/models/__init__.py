"""Networks: built-in and custom ones, pretrained weights, and the stacked form of a cohort."""

from cifar_lab.models.factory import LAST_LAYER, MODELS, build, count_frozen, count_parameters, memory_format

__all__ = ["LAST_LAYER", "MODELS", "build", "count_frozen", "count_parameters", "memory_format"]
