"""Files that were sent to another machine are found in the place of those that settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.config.model_source import source_files
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError, WeightsError
from cifar_lab.core.host import SHIPPED, below, located


def test_a_sent_file_goes_before_the_one_of_that_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, root = tmp_path / "here.py", tmp_path / "sent"
    here.write_text("here")
    assert located(here) == here
    monkeypatch.setenv(SHIPPED, str(root))
    assert located(here) == here
    sent = below(root, here)
    sent.parent.mkdir(parents=True)
    sent.write_text("sent")
    assert located(here).read_text() == "sent"
    assert located(Path("relative.py")) == Path("relative.py")


def test_a_recipe_is_the_same_where_its_files_were_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights = tmp_path / "mine.py", tmp_path / "start.safetensors"
    model.write_text("import beside\n")
    (tmp_path / "beside.py").write_text("WIDTH = 3\n")
    weights.write_bytes(b"weights")
    arms = [settings_from({"model": {"name": f"{model}:Mine"}}), settings_from({"model": {"weights": str(weights)}})]
    recipes = [recipe(arm) for arm in arms]
    root = tmp_path / "sent"
    for path in (*source_files(f"{model}:Mine"), weights):
        below(root, path).parent.mkdir(parents=True, exist_ok=True)
        path.rename(below(root, path))
    with pytest.raises(SettingsError):
        recipe(arms[0])
    with pytest.raises(WeightsError):
        recipe(arms[1])
    monkeypatch.setenv(SHIPPED, str(root))
    assert [recipe(arm) for arm in arms] == recipes
