"""Files that a run of the cluster needs from the driver."""

from __future__ import annotations

from pathlib import Path

from cifar_lab.config.io.load import settings_from
from cifar_lab.execution.ray.transfers import _files_of
from tests.training.own_code import write


def test_code_of_the_user_is_sent_with_all_that_it_imports(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "shared.py").write_text("")
    with (tmp_path / "lion.py").open("a") as file:
        file.write("\nimport shared\n")
    settings = settings_from(
        {"optimizer": {"name": "lion.py:Lion"}, "loss": {"name": "parts.py:margin"}, "metrics": ["parts.py:top3"]},
        base=tmp_path,
    )
    assert {path.name for path in _files_of(settings)} == {"lion.py", "shared.py", "parts.py"}
