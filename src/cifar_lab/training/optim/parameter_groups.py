"""Learning-rate factor and weight decay of each parameter, by `optimizer.groups`, in the layout of the flat rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from cifar_lab.config import OptimizerOptions, ParameterGroup
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.flat_parameters import FlatParameters, ParameterSpan

SHOWN = 12
"""Names of parameters that an error lists."""


class GroupValues(NamedTuple):
    """Values of one parameter."""

    lr_factor: float
    weight_decay: float


def group_values(
    settings: OptimizerOptions, names: Sequence[str], weight_decay: float | None = None
) -> tuple[GroupValues, ...]:
    """Values of each parameter. The first group whose `match` is found in its name decides.

    Args:
        names: trainable parameters.
        weight_decay: of parameters whose group states none. None is that of the settings.

    Raises:
        SettingsError: a group has no parameter.
    """
    own = GroupValues(1.0, settings.weight_decay if weight_decay is None else weight_decay)
    chosen = groups_by_name(settings, names)
    return tuple(own if group is None else _values(group, own) for group in chosen)


def groups_by_name(settings: OptimizerOptions, names: Sequence[str]) -> list[ParameterGroup | None]:
    """Group of each parameter, None for those in no group. Errors as `group_values`."""
    groups = list(enumerate(settings.groups))
    chosen = [next((number for number, group in groups if _is_in(group, name)), None) for name in names]
    for number, group in groups:
        if number not in chosen:
            raise SettingsError(f"optimizer.groups[{number}].match: {_unused(group, names)}")
    return [None if number is None else settings.groups[number] for number in chosen]


def _is_in(group: ParameterGroup, name: str) -> bool:
    return re.search(group.match, name) is not None


def _values(group: ParameterGroup, own: GroupValues) -> GroupValues:
    return GroupValues(group.lr_factor, own.weight_decay if group.weight_decay is None else group.weight_decay)


def _unused(group: ParameterGroup, names: Sequence[str]) -> str:
    """Reason why a group has no parameter, with advice."""
    taken = [name for name in names if _is_in(group, name)]
    if taken:
        return f"{group.match!r} is found only in names of an earlier group, such as {taken[0]}; move the group up"
    parts = [".".join(name.split(".")[:count]) for name in names for count in range(1, name.count(".") + 2)]
    words = dict.fromkeys([*parts, *(part for name in names for part in name.split("."))])
    near = did_you_mean(re.sub(r"[\\^$]", "", group.match), words)
    listed = f"{', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
    return f"{group.match!r} is found in no name of a trainable parameter{near or ';'} the names are {listed}"


@dataclass(frozen=True)
class Segment:
    """Adjacent numbers of a row whose parameters have equal values."""

    values: GroupValues
    where: slice


def segments(values: Sequence[GroupValues], spans: Sequence[ParameterSpan], width: int) -> list[Segment]:
    """Segments of a row of `width` numbers, which they cover without a gap."""
    ends = [*(span.offset for span in spans[1:]), width]
    found, start = [], 0
    for value, same in groupby(zip(values, ends, strict=True), lambda each: each[0]):
        *_, (_, end) = same
        found.append(Segment(value, slice(start, end)))
        start = end
    return found


class RowGroups:
    """Values of the parameters of K rows."""

    def __init__(self, rows: Sequence[Sequence[Segment]], width: int, device: torch.device) -> None:
        """`rows`: segments of each row."""
        self._rows, self._width, self._device = rows, width, device
        self._varies = any(len(row) > 1 or row[0].values.lr_factor != 1 for row in rows)

    def parts(self, member: int) -> list[tuple[GroupValues, list[slice]]]:
        """Each pair of values of a row with its segments. Parameters with a learning rate of 0 are left out."""
        found: dict[GroupValues, list[slice]] = {}
        for segment in self._rows[member]:
            if segment.values.lr_factor:
                found.setdefault(segment.values, []).append(segment.where)
        return list(found.items())

    def lr_factors(self) -> Tensor | None:
        """Factor of each number of each row, (K, P) float64. None where all are 1."""
        return self._table(lambda values: values.lr_factor) if self._varies else None

    def weight_decays(self) -> Tensor:
        """Weight decay, float64: (K, P), or (K, 1) where each row has one for all of its parameters."""
        if self._varies:
            return self._table(lambda values: values.weight_decay)
        decays = [row[0].values.weight_decay for row in self._rows]
        return torch.tensor(decays, dtype=torch.float64, device=self._device).unsqueeze(1)

    def _table(self, number: Callable[[GroupValues], float]) -> Tensor:
        table = torch.zeros(len(self._rows), self._width, dtype=torch.float64)
        for row, found in zip(table, self._rows, strict=True):
            for segment in found:
                row[segment.where] = number(segment.values)
        return table.to(self._device)


def row_groups(settings: Sequence[OptimizerOptions], parameters: FlatParameters) -> RowGroups:
    """Values of the parameters of a cohort. Member k of `settings` has row k.

    Raises:
        SettingsError: a group has no parameter.
    """
    names = [span.name for span in parameters.spans]
    return groups_of([group_values(each, names) for each in settings], parameters)


def groups_of(values: Sequence[Sequence[GroupValues]], parameters: FlatParameters) -> RowGroups:
    """`values` of each parameter of each row in the layout of the rows."""
    width = parameters.values.shape[1]
    rows = [segments(each, parameters.spans, width) for each in values]
    return RowGroups(rows, width, parameters.values.device)
