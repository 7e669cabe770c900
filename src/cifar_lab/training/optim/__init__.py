"""Optimizers and schedules of a cohort: K runs of one architecture with separate hyper-parameters."""

from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters
from cifar_lab.training.optim.factory import MixedOptimizer, make_optimizer
from cifar_lab.training.optim.optimizers import CohortOptimizer
from cifar_lab.training.optim.schedules import CohortSchedule, make_schedule

__all__ = [
    "CohortOptimizer",
    "CohortSchedule",
    "FlatParameters",
    "MixedOptimizer",
    "flatten_parameters",
    "make_optimizer",
    "make_schedule",
]
