"""Base class of the settings sections, their registry entries, and number types that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from cifar_lab.config.roles import Role

MAX_SEED = 2**32 - 1

Probability = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


@dataclass(frozen=True, kw_only=True)
class Component:
    """Registry entry of one choice of a section, stated in its settings class."""

    maker: str
    """`module:name` of the class or function that makes it. The module is relative to the package of its kind."""
    label: str = ""
    """Name on charts and in labels. Empty is the choice itself."""


class Section(BaseModel):
    """Base of every section: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    default_role: ClassVar[Role] = Role.UNDECLARED
    """Role of fields that state none."""
