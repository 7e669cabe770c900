from __future__ import annotations

import pytest

from .registry import Case


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """What the test at hand shows."""
    found: Case = request.function.case
    return found
