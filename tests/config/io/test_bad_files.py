"""Wrong settings files and the exact lines that a person reads about them, from the tables beside this file.

In a table, lines with `>` are the file `x.yaml`; the lines below them are the whole error, in which `<optimizer.name>`
stands for all that it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.setting_keys import known_choices
from cifar_lab.config.registry import SECTION_CHOICES
from cifar_lab.core.errors import SettingsError

HERE = Path(__file__).parent
TABLES = ("bad_yaml.txt", "bad_settings.txt", "contradictions.txt")


def cases(table: str) -> Iterator[tuple[str, str]]:
    for block in (HERE / table).read_text(encoding="utf-8").strip("\n").split("\n\n"):
        lines = block.split("\n")
        stated = [line[2:] for line in lines if line.startswith(">")]
        yield "\n".join(stated) + "\n", with_choices("\n".join(line for line in lines if not line.startswith(">")))


def with_choices(message: str) -> str:
    """The message with the choices that there are."""
    for section, (key, classes) in SECTION_CHOICES.items():
        known = known_choices(section) if section != "model" else classes
        message = message.replace(f"<{section}.{key}>", ", ".join(known))
    return message


CASES = [case for table in TABLES for case in cases(table)]


def test_the_tables_hold_what_they_held() -> None:
    assert len(CASES) >= 200
    assert all(text.strip() and message for text, message in CASES)


@pytest.mark.parametrize(("text", "message"), CASES, ids=[repr(text)[1:50] for text, _ in CASES])
def test_message(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(Path("x.yaml"))
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
