"""Every fault has its test, the tests are there, and the page of them is as the tests say."""

from __future__ import annotations

import ast
import re

from . import elsewhere
from .registry import ROWS
from .reliability import PAGE, ROOT, cases, page


def test_every_row_has_a_case() -> None:
    assert {case.row for case in cases()} == set(ROWS)


def test_every_test_that_is_named_is_there() -> None:
    for case in cases():
        file, _, name = case.test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, case.test


def test_every_sentence_of_another_test_is_one_of_the_programs() -> None:
    """Its fixed parts stand in the source or in that test, however they are broken over lines there."""
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    for case in elsewhere.CASES:
        test = (ROOT / case.test.partition("::")[0]).read_text(encoding="utf-8")
        told = re.sub(r'"\s*\n\s*[rf]*"', "", source + test)
        for part in re.split(r"\{\w+\}", case.says):
            assert part.strip(" ;:(") in told, (case.test, part)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(cases()), "make it again: python -m tests.faults.reliability"
