"""From a sweep file to its points, and from validation accuracies to the winners. Nothing runs here; no torch."""

from cifar_lab.studies.space.halving import kept_points, rung_epochs, rung_sizes
from cifar_lab.studies.space.methods import Method, expand, start_method
from cifar_lab.studies.space.points import Expansion, Point, PointResult, same_numbers
from cifar_lab.studies.space.random_search import drawn_axes
from cifar_lab.studies.space.rules import MAX_POINTS, axis_keys
from cifar_lab.studies.space.winners import (
    Ranked,
    SearchRuns,
    confirm_settings,
    pick_winners,
    search_document,
    search_settings,
    winners_document,
)

__all__ = [
    "MAX_POINTS",
    "Expansion",
    "Method",
    "Point",
    "PointResult",
    "Ranked",
    "SearchRuns",
    "axis_keys",
    "confirm_settings",
    "drawn_axes",
    "expand",
    "kept_points",
    "pick_winners",
    "rung_epochs",
    "rung_sizes",
    "same_numbers",
    "search_document",
    "search_settings",
    "start_method",
    "winners_document",
]
