"""Outputs of a network: its logits, and auxiliary logits in training mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

MAIN_KEYS = ("logits", "out")
"""Keys of the main output in a dictionary of outputs. Without any the first output is the main one."""


def split_outputs(output: Any) -> tuple[Any, list[Any]]:
    """(main output, auxiliary outputs) of what a network returned. Outputs that are None do not count."""
    if isinstance(output, Tensor):
        return output, []
    if is_dataclass(output) and not isinstance(output, type | Mapping):
        output = {field.name: getattr(output, field.name) for field in fields(output)}
    if isinstance(output, Mapping):
        named = dict(output)
        main = next((key for key in MAIN_KEYS if key in named), next(iter(named), None))
        rest = [value for key, value in named.items() if key != main and value is not None]
        return named.get(main), rest
    if isinstance(output, Sequence) and output and not isinstance(output, str):
        return output[0], [each for each in output[1:] if each is not None]
    return output, []


def main_output(output: Any) -> Any:
    """Logits of what a network returned."""
    return split_outputs(output)[0]
