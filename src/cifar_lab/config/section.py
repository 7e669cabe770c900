"""What every section of the settings keeps to, and the kinds of number that several have."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from cifar_lab.config.roles import Role

MAX_SEED = 2**32 - 1

Probability = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Section(BaseModel):
    """Base of every section: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    default_role: ClassVar[Role] = Role.UNDECLARED
    """The role of fields that state none."""
