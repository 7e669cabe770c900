"""Report draws and computes nothing; analysis computes and draws nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import cifar_lab

PACKAGE = Path(cifar_lab.__file__).parent
COMPUTING = ("numpy", "scipy", "statistics", "cifar_lab.analysis.stats")
DRAWING = ("jinja2", "markupsafe", "matplotlib", "plotly", "rich")


def imported(package: str) -> Iterator[tuple[str, str]]:
    """(file, module) of every import."""
    for path in sorted((PACKAGE / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            yield from ((path.name, name) for name in names)


def test_report_imports_nothing_to_compute_with() -> None:
    assert [each for each in imported("report") if each[1].startswith(COMPUTING)] == []


def test_analysis_imports_nothing_to_draw_with() -> None:
    assert [each for each in imported("analysis") if each[1].startswith(DRAWING)] == []
    assert len(list(imported("analysis"))) > 100
