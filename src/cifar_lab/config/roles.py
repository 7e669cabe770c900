"""Sections and field roles: the part of each setting in run identity, data source, cohorts and comparisons of arms.

A role stands where its field is defined, `flip: Annotated[bool, Role.MEMBER] = False`, or once for a section class in
`default_role`. Run identity, data-source key, cohort key and "settings that differ" are folds over the roles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field

MAX_SEED = 2**32 - 1

CODE_NAME = r"^[^:\s][^:]*:[A-Za-z_][A-Za-z0-9_]*$"
"""Pattern of `path/to/file.py:NAME` and `package.module:NAME`."""

MODEL_NAME = CODE_NAME + r"|^timm:[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z0-9_.]+$"
"""Pattern of the same, and of a model of timm with the tag of its weights: `timm:resnet10t.c3_in1k`."""

Probability = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def _sorted_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names in one order, so that lists of the same names are one run."""
    return tuple(sorted(set(names)))


NameSet = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    Field(strict=False, max_length=1000),
    AfterValidator(_sorted_once),
]
"""Names of classes or layers, each once."""


class Role(Enum):
    """The part of a setting in the id of a run and in a cohort."""

    SOURCE = "source"
    """Selects the images. In the id the data fingerprint stands for it."""
    MEMBER = "member"
    """In the id. Each member of a cohort has its own value."""
    SHARED = "shared"
    """In the id. Equal for all members of a cohort, unless its backend trains each with its own value."""
    EXECUTION = "execution"
    """Execution only. Not in the id, equal for all members of a cohort."""
    LABEL = "label"
    """Names or lists runs. Neither in the id nor in the cohort key."""
    UNDECLARED = "undeclared"
    """No role stated. Treated as in the id, as shared and as part of the data source. A test refuses it."""

    @property
    def in_id(self) -> bool:
        """Whether the run identity holds the value."""
        return self in (Role.MEMBER, Role.SHARED, Role.UNDECLARED)

    @property
    def in_source_key(self) -> bool:
        """Whether the value tells one set of images from another."""
        return self in (Role.SOURCE, Role.UNDECLARED)

    @property
    def in_cohort_key(self) -> bool:
        """Whether members of one cohort have equal values."""
        return self not in (Role.MEMBER, Role.LABEL)

    @property
    def changes_numbers(self) -> bool:
        """Whether another value can change results beyond rounding."""
        return self.in_id or self.in_source_key


@dataclass(frozen=True)
class IdleUnless:
    """Mark a field without effect while another field of its section is false or 0."""

    field: str


@dataclass(frozen=True)
class DefaultsTo:
    """Mark a field whose default, null, takes the value of another setting. Stating that value means the same."""

    key: str
    """`section.field`."""


class Mark(Enum):
    """Further facts of a field that the folds read."""

    ALWAYS_IN_ID = "always in id"
    """In the id even at its default. Only for the fields of the first ids: a new one is left out at its default."""
    BY_CONTENT = "by content"
    """A file that enters the id as the SHA-256 of its content."""
    PATH = "path"
    """A file or folder. Relative to the settings file that states it."""
    CODE = "code"
    """Names a class or function of the user, `file.py:NAME` or `package.module:NAME`. Its source is in the id."""
    LATER = "later"
    """Not written to settings.yaml at its default, so that versions from before this field read the file."""
    PLACE = "place"
    """A folder that holds the same images wherever it is."""


CodeName = Annotated[str, Mark.PATH, Mark.CODE, Field(pattern=CODE_NAME)]
"""Name of a class or function of the user."""


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


def tag_of(default: str) -> Discriminator:
    """Discriminator of a section with a choice: a built-in name, or `custom` if the name holds a colon."""

    def tag(value: Any) -> str:
        name = value.get("name", default) if isinstance(value, dict) else getattr(value, "name", default)
        return "custom" if isinstance(name, str) and ":" in name else str(name)

    return Discriminator(tag)


T = TypeVar("T")


def marks(cls: type[BaseModel], name: str, kind: type[T]) -> list[T]:
    """The marks of one kind on a field, else those on the field that it overrides."""
    for base in cls.__mro__:
        if issubclass(base, BaseModel) and name in base.model_fields:
            found = [mark for mark in base.model_fields[name].metadata if isinstance(mark, kind)]
            if found:
                return found
    return []


@cache
def role_of(cls: type[BaseModel], name: str) -> Role:
    """The role of a field: its own, else that of the field it overrides, else its class's."""
    return next(iter(marks(cls, name, Role)), getattr(cls, "default_role", Role.UNDECLARED))


@cache
def has_mark(cls: type[BaseModel], name: str, mark: Mark) -> bool:
    """Whether a field has the mark."""
    return mark in marks(cls, name, Mark)


@cache
def outside_id(cls: type[BaseModel]) -> frozenset[str]:
    """Fields of a section whose value is not in the id of a run."""
    return frozenset(name for name in cls.model_fields if not role_of(cls, name).in_id)


@cache
def source_fields(cls: type[BaseModel]) -> frozenset[str]:
    """Fields of a data section that tell one set of images from another."""
    return frozenset(name for name in cls.model_fields if role_of(cls, name).in_source_key)


@cache
def places(cls: type[BaseModel]) -> frozenset[str]:
    """Fields of a data section that locate the images without selecting them."""
    return frozenset(name for name in cls.model_fields if has_mark(cls, name, Mark.PLACE))


def source_key(data: BaseModel) -> str:
    """The data section reduced to the fields that select images, as JSON."""
    return data.model_dump_json(include=set(source_fields(type(data))))


def idle_fields(section: BaseModel, settings: BaseModel) -> set[str]:
    """Fields of a section without effect beside the other settings.

    Args:
        section: one section of `settings`.
        settings: the whole, where `DefaultsTo` looks its key up.
    """
    unless, defaults = _dependent(type(section))
    idle = {name for name, mark in unless if not getattr(section, mark.field)}
    return idle | {name for name, mark in defaults if getattr(section, name) in (None, value_at(settings, mark.key))}


def value_at(settings: BaseModel, key: str) -> Any:
    """The value at a dotted key, None where the chosen class has no such field."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part, None)
    return value


def leaves(settings: BaseModel) -> Iterator[tuple[str, BaseModel, str]]:
    """(dotted key, owner, field) of every field of the settings that is not itself a section."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for key, owner, field in leaves(value):
                yield f"{name}.{key}", owner, field
        else:
            yield name, settings, name


@cache
def shared_fields(cls: type[BaseModel]) -> frozenset[str]:
    """Fields of a section that are equal for all members of a cohort."""
    return frozenset(name for name in cls.model_fields if role_of(cls, name).in_cohort_key)


@cache
def _dependent(
    cls: type[BaseModel],
) -> tuple[tuple[tuple[str, IdleUnless], ...], tuple[tuple[str, DefaultsTo], ...]]:
    """Fields of a section that depend on others, with their marks."""
    return tuple(_marked(cls, IdleUnless)), tuple(_marked(cls, DefaultsTo))


def _marked(cls: type[BaseModel], kind: type[T]) -> Iterator[tuple[str, T]]:
    for name in cls.model_fields:
        for mark in marks(cls, name, kind):
            yield name, mark
