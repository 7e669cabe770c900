"""Documentation of a setting: the text below its field, of its class or of one that it inherits from."""

from __future__ import annotations

from cifar_lab.config import AdamW, CustomModel
from cifar_lab.config.io.field_docs import field_docs


def test_documentation_is_the_text_below_the_field() -> None:
    assert field_docs(AdamW)["lr"] == "Learning rate per step, before the scheduler changes it."
    assert field_docs(CustomModel)["options"].startswith("Keyword arguments of the class")
