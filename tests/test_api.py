"""The package as a script or a notebook uses it, in a working folder of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cifar_lab
from cifar_lab.core.errors import EnvironmentFault, LabError, SettingsError, TimeLimit
from cifar_lab.execution.tracker import Policy

README = Path(__file__).parents[1] / "README.md"

TINY = """\
data: {dataset: synthetic, train_size: 200, test_size: 100, batch_size: 50, difficulty: 0.1}
epochs: 1
seeds: [0]
runtime: {device: cpu}
"""

FRAGILE = """\
import torch
from torch import nn

class Fragile(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, num_classes)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.steps += 1
            if self.steps > 30:
                raise RuntimeError("out of patience")
        return self.layer(images.flatten(1))
"""
"""Network that passes the trial before the start, and fails in epoch 8 of `TINY`."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tiny `configs/q3_adam.yaml`."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "q3_adam.yaml").write_text(f"label: Adam\noptimizer: {{name: adam}}\n{TINY}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_code_of_the_readme_and_of_the_package_run_as_they_stand(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (readme,) = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    package = cifar_lab.__doc__ or ""
    exec(compile(readme, "README.md", "exec"), {})
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    (record,) = cifar_lab.read_records("results")
    assert record.test is not None
    assert lines[-1] == f"Adam 0 {record.test.accuracy}"
    assert any(line.startswith("Adam · seed 0: epoch 5/5, loss ") for line in printed.err.splitlines())
    assert [line.epoch for line in cifar_lab.read_metrics("results", record.run_id)] == [1, 2, 3, 4, 5]
    code = package[package.index("import cifar_lab") : package.index("What the options")]
    exec(compile(code, "cifar_lab", "exec"), {})
    assert capsys.readouterr() == (f"{lines[-1]}\n", "1 run: 1 already done\n")


@pytest.mark.slow
def test_one_arm_or_several_and_silence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arm = cifar_lab.load_settings(Path("configs/q3_adam.yaml"))
    alone = cifar_lab.make_runs(arm, "results", display=cifar_lab.Silent())
    together = cifar_lab.make_runs((arm, arm), Path("results"), display=cifar_lab.Silent())
    assert alone.records == together.records == cifar_lab.read_records(Path("results"))
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_failed_run_raises(here: Path) -> None:
    Path("fragile.py").write_text(FRAGILE)
    Path("fragile.yaml").write_text(f"model: {{name: 'fragile.py:Fragile'}}\n{TINY.replace('epochs: 1', 'epochs: 9')}")
    arm = cifar_lab.load_settings("fragile.yaml")
    with pytest.raises(LabError, match=r"^1 of 1 run failed: fragile · seed 0: .*out of patience") as caught:
        cifar_lab.make_runs(arm, display=cifar_lab.Silent())
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_sweep_from_python(here: Path) -> None:
    Path("grid.yaml").write_text(
        "base: configs/q3_adam.yaml\nsearch: {top: 1, confirm_seeds: [7], val_size: 50}\n"
        "arms: {slow: {optimizer.lr: 0.001}}\n"
    )
    outcome = cifar_lab.make_sweep(cifar_lab.load_sweep("grid.yaml"), "results", display=cifar_lab.Silent())
    assert [winner.point.name for winner in outcome.winners] == ["slow"]
    assert [(record.seed, record.test is not None) for record in outcome.confirmed.records] == [(7, True)]


@pytest.mark.slow
def test_a_policy_says_what_the_options_of_a_command_say(here: Path) -> None:
    Path("fragile.py").write_text(FRAGILE)
    Path("fragile.yaml").write_text(f"model: {{name: 'fragile.py:Fragile'}}\n{TINY.replace('epochs: 1', 'epochs: 9')}")
    fragile, quiet = cifar_lab.load_settings("fragile.yaml"), cifar_lab.Silent()
    with pytest.raises(LabError, match="out of patience"):
        cifar_lab.make_runs(fragile, display=quiet)
    with pytest.raises(LabError, match="not retried: --retry none"):
        cifar_lab.make_runs(fragile, display=quiet, policy=cifar_lab.policy(retry="none"))
    adam = cifar_lab.load_settings("configs/q3_adam.yaml", ["epochs=100000"])
    with pytest.raises(TimeLimit):
        cifar_lab.make_runs(adam, display=quiet, policy=cifar_lab.policy(time_limit="2s"))
    assert cifar_lab.policy() == Policy()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time_limit": "2 hours"}, "time_limit: '2 hours' is not a duration; write 90s, 15m, 2h or 1h30m"),
        ({"retries": -1}, "retries: -1 is below 0; write 0 for a single attempt"),
        ({"max_failures": 0}, "max_failures: 0 is below 1; omit it to continue after failures"),
        ({"retry": "some"}, "retry: 'some' is not one of: none, failed, all"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        cifar_lab.policy(**given)
    assert str(refused.value) == said


@pytest.mark.slow
def test_runs_are_made_where_the_engine_is(here: Path) -> None:
    arm, quiet = cifar_lab.load_settings("configs/q3_adam.yaml"), cifar_lab.Silent()
    with (
        pytest.raises(EnvironmentFault, match=r"^--address 127\.0\.0\.1:1: no Ray cluster answers there"),
        cifar_lab.open_engine("ray", "127.0.0.1:1") as cluster,
    ):
        cifar_lab.make_runs(arm, display=quiet, engine=cluster)
    assert cifar_lab.read_records() == []
    with cifar_lab.open_engine("here") as local:
        assert len(cifar_lab.make_runs(arm, display=quiet, engine=local).records) == 1
    with pytest.raises(SettingsError, match=r"^workers: 0 is below 1; omit it to use all cores$"):
        cifar_lab.make_runs(arm, display=quiet, workers=0)


def test_every_public_name_is_there() -> None:
    assert all(callable(getattr(cifar_lab, name)) for name in cifar_lab.__all__)
    with pytest.raises(AttributeError, match="module 'cifar_lab' has no attribute 'nothing'"):
        cifar_lab.nothing  # noqa: B018
