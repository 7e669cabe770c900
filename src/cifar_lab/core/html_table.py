"""HTML of a notebook's output: tables with escaped texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from cifar_lab.core.text import plain


def html_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. None is an empty cell, and a float has four digits."""
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_lines(lines: Iterable[str]) -> str:
    """A paragraph per line."""
    return "".join(f"<p>{escape(plain(line))}</p>" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return escape(plain(f"{value:.4f}" if isinstance(value, float) else str(value)))
