"""Weights of a finished run: `model.weights: run:ID`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.source_runs import source_weights, with_source_weights

OWN = """
import torch
from torch import nn

def net(num_classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.ReLU(), nn.Linear(4, num_classes))
"""


@pytest.fixture
def source(lab: Any) -> str:
    """Id of a finished run."""
    job = lab.job(lab.settings())
    lab.make(job)
    return str(job.run_id)


def refusal(lab: Any, weights: str) -> str:
    with pytest.raises(SettingsError) as caught:
        source_weights(lab.settings(f"model.weights={weights}"), lab.results)
    return str(caught.value)


def first_weights(lab: Any, *overrides: str) -> dict[str, torch.Tensor]:
    """Weights of a run after one step so small that they keep all their digits but the last."""
    job = lab.job(lab.settings("optimizer.lr=1e-30", "epochs=1", *overrides))
    lab.make(job)
    return load_file(lab.run_folder(job).weights)


def test_a_run_begins_with_the_network_of_another(lab: Any, source: str) -> None:
    trained = load_file(lab.results / "runs" / source / "weights.safetensors")
    for head, same in (("new", False), ("keep", True)):
        found = first_weights(lab, f"model.weights=run:{source}", f"model.head={head}")
        assert torch.equal(found["conv1.weight"], trained["conv1.weight"])
        assert torch.equal(found["fc3.weight"], trained["fc3.weight"]) == same


def test_its_id_covers_that_of_the_other_run(lab: Any, source: str) -> None:
    arms = [lab.settings(f"model.weights=run:{name}") for name in (source, source[::-1])]
    assert recipe(arms[0])["model"]["weights"] == f"run:{source}"
    assert recipe(arms[0]) != recipe(arms[1])
    with_path = with_source_weights(arms[0], lab.results)
    assert with_path.model.weights == str((lab.results / "runs" / source / "weights.safetensors").absolute())
    assert with_source_weights(lab.settings(), lab.results) == lab.settings()


def test_what_names_no_finished_run_is_told_with_a_suggestion(lab: Any, source: str) -> None:
    (lab.results / "runs" / "00000000000000ff").mkdir()
    begin = "model.weights: run:"
    assert refusal(lab, f"run:{source[:6]}") == (
        f"{begin}{source[:6]}: no run of this id in {lab.results}; did you mean run:{source}?"
    )
    assert f"did you mean run:{source}?" in refusal(lab, f"run:{source[:-1]}g")
    assert refusal(lab, "run:zzz").endswith("`cifar-lab list` shows the ids")
    assert refusal(lab, "run:00000000000000ff").endswith("finish it first: repeat its `cifar-lab run` command")
    (lab.results / "runs" / source / "weights.safetensors").unlink()
    assert refusal(lab, f"run:{source}").endswith("is missing or cut short; train this run again")


def test_a_settings_file_keeps_the_name_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "arm.yaml").write_text("model: {name: Net, weights: run:0123456789abcdef}\n")
    assert load_settings(tmp_path / "arm.yaml").model.weights == "run:0123456789abcdef"


def test_a_command_continues_from_a_run_also_with_a_model_file(lab: Any) -> None:
    (lab.folder / "own.py").write_text(OWN)
    own = f"model.name={lab.folder}/own.py:net"
    assert lab.command("run", lab.file("first", own, "seeds=[0]"))[0] == 0
    (first,) = lab.records()
    weights = f"model.weights=run:{first.run_id}"
    code, output, errors = lab.command("run", lab.file("second", own, "seeds=[0]", weights))
    assert code == 0, errors
    assert f"note: run:{first.run_id}: the last layer 3 is kept (model.head: keep)" in errors
    assert {record.run_id for record in lab.records()} > {first.run_id}
    code, output, errors = lab.command("run", lab.file("third", own, "model.weights=run:0", "seeds=[0]"))
    assert (code, output) == (2, "")
    assert "third: model.weights: run:0: no run of this id in results; " in errors
