"""From a sweep file to its points, and from validation accuracies to the winners. Nothing runs here; no torch."""

from cifar_lab.sweep_plan.points import Expansion, Point, expand, same_numbers
from cifar_lab.sweep_plan.rules import MAX_POINTS, axis_keys
from cifar_lab.sweep_plan.winners import (
    Ranked,
    SearchRuns,
    confirm_settings,
    pick_winners,
    search_settings,
    winners_document,
)

__all__ = [
    "MAX_POINTS",
    "Expansion",
    "Point",
    "Ranked",
    "SearchRuns",
    "axis_keys",
    "confirm_settings",
    "expand",
    "pick_winners",
    "same_numbers",
    "search_settings",
    "winners_document",
]
