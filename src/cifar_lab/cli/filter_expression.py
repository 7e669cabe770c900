"""Expressions of `list --filter`: comparisons joined by `and`, `or` and `not`, with parentheses.

    accuracy>0.6 and not (optimizer.name=adam or tag=old)

A comparison is a field, an operator and a value. `=` and `!=` compare numbers as numbers, and texts with `*` as a
pattern. The order operators need numbers. A run without a value matches no comparison. Nothing is evaluated as code.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn

from cifar_lab.core.errors import SettingsError

Value = str | float | tuple[str, ...] | None
"""Value of a field: a text, a number, tags, or None where the run has none."""

Lookup = Callable[[str], Value]

MOST_TOKENS = 500
"""Words, operators and parentheses of an expression."""

MOST_DEPTH = 30
"""Parentheses and negations inside each other."""

_TOKENS = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<mark><=|>=|==|!=|[=<>()])|(?P<word>[^\s()<>=!"']+)|(?P<bad>\S))"""
)
_SINGLE = re.compile(r"\s*(?P<key>[A-Za-z_][\w.]*)\s*=(?P<value>[^=<>!()].*)")
_WORDS = re.compile(r"\b(and|or|not)\b", re.IGNORECASE)

_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_OPERATORS = ("=", "==", "!=", *_ORDERS)

DATES = frozenset({"finished"})
"""Fields whose texts have an order: times in ISO 8601."""


@dataclass(frozen=True)
class FieldTest:
    """A field, an operator and a value."""

    key: str
    operator: str
    value: str

    def fields(self) -> Iterator[str]:
        """The field."""
        yield self.key

    def matches(self, lookup: Lookup) -> bool:
        """Whether the comparison holds."""
        found = lookup(self.key)
        if found is None:
            return False
        if self.operator in _ORDERS:
            return self._in_order(found)
        values: tuple[str | float, ...] = found if isinstance(found, tuple) else (found,)
        return any(map(self._equals, values)) == (self.operator != "!=")

    def _equals(self, found: str | float) -> bool:
        wanted, have = number(self.value), number(found)
        if wanted is not None and have is not None:
            return wanted == have
        return fnmatchcase(as_text(found), self.value)

    def _in_order(self, found: Value) -> bool:
        compare = _ORDERS[self.operator]
        if self.key in DATES:
            rank = float(str(found) > self.value) - float(str(found) < self.value)
            return compare(rank, 0.0)
        have, wanted = number(found), number(self.value)
        return have is not None and wanted is not None and compare(have, wanted)


@dataclass(frozen=True)
class Not:
    """Negation of an expression."""

    inner: Expression

    def fields(self) -> Iterator[str]:
        """Its fields."""
        yield from self.inner.fields()

    def matches(self, lookup: Lookup) -> bool:
        """Whether the inner expression does not hold."""
        return not self.inner.matches(lookup)


@dataclass(frozen=True)
class Joined:
    """Expressions joined by `and` or `or`."""

    parts: tuple[Expression, ...]
    is_and: bool

    def fields(self) -> Iterator[str]:
        """Their fields."""
        for part in self.parts:
            yield from part.fields()

    def matches(self, lookup: Lookup) -> bool:
        """Whether all, or any, of the expressions hold."""
        held = (part.matches(lookup) for part in self.parts)
        return all(held) if self.is_and else any(held)


Expression = FieldTest | Not | Joined


def parse_filter(text: str) -> Expression:
    """Parse the value of `--filter`. `KEY=VALUE` may have spaces in its value: `label=Adam lr 0.1`.

    Raises:
        SettingsError: it is no expression. Names the place.
    """
    try:
        return _Parser(text).whole()
    except SettingsError:
        if (single := _SINGLE.fullmatch(text)) and not (_WORDS.search(single["value"]) and "=" in single["value"]):
            return FieldTest(single["key"], "=", single["value"].strip())
        raise


def number(value: Value) -> float | None:
    """Number of a text such as `0.01` or `60%`. None for any other text."""
    if isinstance(value, float):
        return value
    if not isinstance(value, str):
        return None
    digits, scale = (value[:-1], 100.0) if value.endswith("%") else (value, 1.0)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", digits):
        return None
    return float(digits) / scale


def as_text(value: str | float) -> str:
    """Text of a value as a settings file has it."""
    return f"{value:g}" if isinstance(value, float) else value


class _Parser:
    """Recursive descent over the tokens of an expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(found.lastgroup or "", found[found.lastgroup or 0]) for found in _TOKENS.finditer(text)]
        self.at = self.depth = 0
        if len(self.tokens) > MOST_TOKENS:
            raise SettingsError(f"--filter: has {len(self.tokens):,} words, at most {MOST_TOKENS} are read")

    def whole(self) -> Expression:
        """The expression, with nothing after it."""
        found = self._joined("or")
        if self.at < len(self.tokens):
            self._refuse("and, or, or the end")
        return found

    def _joined(self, word: str) -> Expression:
        parts = [self._part(word)]
        while self._take(word):
            parts.append(self._part(word))
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), is_and=word == "and")

    def _part(self, word: str) -> Expression:
        return self._joined("and") if word == "or" else self._single()

    def _single(self) -> Expression:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise SettingsError(f"--filter: more than {MOST_DEPTH} parentheses and negations inside each other")
        try:
            return self._nested()
        finally:
            self.depth -= 1

    def _nested(self) -> Expression:
        """A comparison, or an expression that is negated or in parentheses."""
        if self._take("not"):
            return Not(self._single())
        if not self._take("("):
            return self._comparison()
        found = self._joined("or")
        if not self._take(")"):
            self._refuse(")")
        return found

    def _comparison(self) -> FieldTest:
        key = self._next("word", "a field, such as accuracy or optimizer.lr")
        sign = self._next("mark", f"one of {' '.join(_OPERATORS)}")
        if sign not in _OPERATORS:
            self.at -= 1
            self._refuse(f"one of {' '.join(_OPERATORS)}")
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        value = self._next(kind if kind in ("word", "text") else "word", "a value")
        value = value[1:-1] if kind == "text" else value
        if sign in _ORDERS and key not in DATES and number(value) is None:
            raise SettingsError(f"--filter: {key}{sign}{value}: {value!r} is not a number")
        return FieldTest(key, sign, value)

    def _take(self, word: str) -> bool:
        taken = self.at < len(self.tokens) and self.tokens[self.at][0] != "text"
        taken = taken and self.tokens[self.at][1].lower() == word
        self.at += taken
        return taken

    def _next(self, kind: str, expected: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            self._refuse(expected)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _refuse(self, expected: str) -> NoReturn:
        found = repr(self.tokens[self.at][1]) if self.at < len(self.tokens) else "the end"
        raise SettingsError(
            f"--filter: {self.text!r}: found {found}, expected {expected}; examples: accuracy>0.6, label=Adam, "
            '"seed<5 and not tag=old"'
        )
