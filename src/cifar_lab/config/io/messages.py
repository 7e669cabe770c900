"""Words for messages: expected type and range, value found, and the value that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from cifar_lab.config.io.axis_words import axis_of_text
from cifar_lab.config.io.inner_sections import inner_classes, is_section
from cifar_lab.config.io.nearest_name import nearest
from cifar_lab.config.io.tree import Node, as_number, plain, resolve, shorten
from cifar_lab.config.roles import CODE_NAME, MODEL_NAME

PATTERN_WORDS = {
    CODE_NAME: "package.module:Class or path/to/file.py:Class",
    MODEL_NAME: "package.module:Class, path/to/file.py:Class or timm:NAME",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.png$": "a file name of letters, digits, '.', '_' and '-' that ends in .png",
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$": "up to 32 letters, digits, '_' and '-'",
}
"""The patterns of `config` and `config.sheets` in words."""

_TRUTHS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def describe(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Type and range of a setting in words: `a whole number from 1 to 65,536`, `one of sgd, adam`, `a list of …`."""
    annotation, metadata = unwrap(annotation, metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    limits = _limits(metadata)
    if inner := inner_classes(annotation):
        return f"a mapping with name ({_or(inner)}) and its settings"
    if origin in (Union, UnionType):
        if words := _words_beside_truths(arguments):
            return f"one of true, false, {', '.join(words)}"
        return " or ".join(describe(argument, () if argument is type(None) else metadata) for argument in arguments)
    if origin is Literal:
        words = [str(argument) for argument in arguments]
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {count}{_plural(*unwrap(arguments[0], ()))}"
    if origin is dict or annotation is dict:
        return "a mapping of keys to values"
    if is_section(annotation):
        return f"a mapping with {_and(annotation.model_fields)}"
    return _describe_value(annotation, limits)


def _describe_value(annotation: Any, limits: dict[str, Any]) -> str:
    """Type and range of a single value in words."""
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return f"a whole number{_range(limits)}"
    if annotation is float:
        return f"a number{_range(limits)}"
    if annotation is str:
        if "pattern" in limits:
            return PATTERN_WORDS.get(limits["pattern"], f"text like {limits['pattern']}")
        return f"text of at most {limits['max_length']:,} characters" if "max_length" in limits else "text"
    return "nothing (null)" if annotation is type(None) else "a value"


def _and(words: Iterable[str], last_word: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {last_word} {last}" if most else last


def _or(words: Iterable[str]) -> str:
    return _and(words, "or")


def _words_beside_truths(arguments: tuple[Any, ...]) -> list[str]:
    """Words of a setting that takes true, false or one of them. Empty for another union."""
    words = [argument for argument in arguments if get_origin(argument) is Literal]
    return [str(word) for word in get_args(words[0])] if bool in arguments and len(words) == 1 else []


def unwrap(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The type below `Annotated`, and all its metadata."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    return annotation, metadata


def item_type(annotation: Any, part: str | int) -> Any:
    """Type of an item of a list, or of a value of a mapping."""
    annotation, _ = unwrap(annotation, ())
    arguments = get_args(annotation)
    if is_section(annotation):
        field = annotation.model_fields.get(part)
        return Any if field is None else Annotated[field.annotation, *field.metadata]
    if get_origin(annotation) is tuple and isinstance(part, int):
        return arguments[0] if arguments[-1] is Ellipsis else arguments[min(part, len(arguments) - 1)]
    return arguments[1] if get_origin(annotation) is dict else Any


def found(node: Node) -> str:
    """A value and its type in words: `'3.0' is text`, `3.0 is a decimal number`, `nothing is stated`."""
    value = node.value
    if value is None:
        return "nothing is stated" if not node.text else f"{node.text} is nothing"
    if isinstance(value, list):
        return "found a list" if len(value) != 1 else "found a list of 1"
    if isinstance(value, dict):
        return "found a mapping"
    kinds = {bool: "true or false", int: "a whole number", float: "a decimal number", str: "text"}
    if isinstance(value, bool):
        return f"{show(node)} is a boolean"
    return f"{show(node)} is {kinds[type(value)]}"


def show(node: Node) -> str:
    """A scalar for a message. Text is quoted and shortened."""
    value = node.value
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:59] + "…")
    if isinstance(value, bool):
        return str(value).lower()
    return shorten(node.text or str(value))


def hint(node: Node, annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """` — did you mean 3?` where the value suggests what was meant, else empty."""
    annotation, _ = unwrap(annotation, metadata)
    meant = _meant(node, annotation)
    return f" — did you mean {meant}?" if meant else ""


def _meant(node: Node, annotation: Any) -> str:
    """The value that was probably meant, as YAML writes it. Empty where none is likely."""
    value, origin, arguments = node.value, get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return next(filter(None, (_meant(node, unwrap(argument, ())[0]) for argument in arguments)), "")
    if origin is Literal and isinstance(value, str):
        return nearest(value, map(str, arguments))
    if origin is tuple and not isinstance(value, list | dict | None):
        return _meant_list(node, arguments)
    if annotation is bool and isinstance(value, str):
        return _TRUTHS.get(value.lower(), nearest(value, ("true", "false")))
    if annotation is float and isinstance(value, str):
        return as_number(value)
    if annotation is int:
        return _meant_integer(value)
    if annotation is str and isinstance(plain(node), bool | int | float):
        return f"'{show(node)}'"
    return ""


def _meant_list(node: Node, arguments: tuple[Any, ...]) -> str:
    """A list of numbers that was written as text or as one number."""
    items = node.value.replace(",", " ").split() if isinstance(node.value, str) else [show(node)]
    wanted = unwrap(arguments[0], ())[0]
    fits = all(type(resolve(item)) in ((int, float) if wanted is float else (int,)) for item in items)
    count = len(items) if arguments[-1] is Ellipsis else len(arguments)
    return f"[{', '.join(items)}]" if len(items) == count and wanted in (int, float) and fits else ""


def _meant_integer(value: Any) -> str:
    number = resolve(as_number(value)) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        return ""
    return str(int(number))


def limits_of(annotation: Any) -> dict[str, Any]:
    """Bounds of an annotation: ge, gt, le, lt, min_length, max_length, pattern."""
    return _limits(unwrap(annotation, ())[1])


def _limits(metadata: tuple[Any, ...]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            limits |= _limits(tuple(item.metadata))
            continue
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
            bound = getattr(item, name, None)
            if bound is not None:
                limits[name] = bound
    return limits


def _range(limits: dict[str, Any]) -> str:
    if "ge" in limits and "le" in limits:
        return f" from {_number(limits['ge'])} to {_number(limits['le'])}"
    words = {"ge": "at least", "gt": "above", "lt": "below", "le": "at most"}
    parts = [f"{words[name]} {_number(limits[name])}" for name in words if name in limits]
    if not parts:
        return ""
    return f" of {parts[0]}" if parts[0].startswith("at least") and len(parts) == 1 else f" {' and '.join(parts)}"


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _plural(annotation: Any, metadata: tuple[Any, ...]) -> str:
    if is_section(annotation):
        return f"mappings, each with {_and(annotation.model_fields)}"
    if get_origin(annotation) is tuple:
        return "pairs of numbers"
    names = {int: "whole numbers", float: "numbers", str: "texts", dict: "mappings"}
    name = names.get(annotation, names.get(get_origin(annotation) or object, "values"))
    return f"{name}, each{_range(_limits(metadata))}" if annotation in (int, float) and metadata else name


SEVERAL_VALUES = "; to try several values,"
"""Beginning of the advice where a value is a list of values."""


def several_values(node: Node, key: str) -> str:
    """`; to try several values, …` where a text lists values with commas or in Hydra's words, else empty."""
    axis = axis_of_text(node.value) if isinstance(node.value, str) else ""
    if not axis:
        return ""
    random = "" if axis.startswith("[") else "search: {method: random, trials: 20} and "
    return f"{SEVERAL_VALUES} write a sweep file with {random}space: {{{key}: {axis}}} and run cifar-lab sweep FILE"
