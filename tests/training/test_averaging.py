"""Average of the weights: equal to a plain reference, resumed to the same bits, and used as `average.use` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import update_bn

from cifar_lab.config import Ema, Settings
from cifar_lab.config.io.load import dump_settings, settings_from
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import Interrupted, SettingsError
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.store.records import Record
from cifar_lab.training.averaging import WeightAverage, compute_statistics
from cifar_lab.training.device import prepare_execution
from cifar_lab.training.grouping import cohort_key
from cifar_lab.training.run import run_cohort

TINY = [
    "data.train_size=58", "data.test_size=20", "data.val_size=10", "data.batch_size=8", "optimizer.lr=0.02", "epochs=3",
    "runtime.device=cpu",
]  # fmt: skip


def weights(record: Record, job: Any) -> dict[str, torch.Tensor]:
    return load_file(job.results / "runs" / record.run_id / "weights.safetensors")


def arm(lab: Any, *more: str, half: float = 0.5) -> Settings:
    found: Settings = lab.settings(*TINY, "average.name=ema", f"average.half_life_epochs={half}", *more)
    return found


@pytest.mark.parametrize("stacked", [False, True])
def test_equal_to_the_weighted_mean_of_all_steps(stacked: bool) -> None:
    flat = flatten_parameters([nn.Linear(5, 3), nn.Linear(5, 3)])
    settings = [Ema(name="ema", half_life_epochs=half) for half in (0.5, 2.0)]
    average = WeightAverage(settings, [], flat, steps_per_epoch=10)
    average._stacked = stacked
    seen = []
    for step in range(20):
        flat.values.copy_(torch.randn(flat.values.shape, generator=torch.Generator().manual_seed(step)))
        seen.append(flat.values.double().clone())
        average.step()
    for row, half in enumerate((5, 20)):
        shares = 0.5 ** ((19 - torch.arange(20, dtype=torch.float64)) / half)
        expected = (torch.stack(seen)[:, row] * (shares / shares.sum()).unsqueeze(1)).sum(dim=0)
        torch.testing.assert_close(average._average[row].double(), expected, rtol=1e-5, atol=1e-6)


def test_statistics_are_those_of_torchs_update_bn() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 5), nn.BatchNorm2d(2)
    )
    reference = nn.Sequential(*network)
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (1200, 3, 32, 32), dtype=np.uint8), np.zeros(1200, dtype=np.int64)
    execution = prepare_execution(Settings().runtime.model_copy(update={"device": "cpu"}), 1)
    split = ResidentSplit(
        pixels, labels, Normalizer.make("half", (), (), execution.device, torch.contiguous_format, 32)
    )
    spread = torch.arange(1000) * 1200 // 1000
    batches = [split.normalizer.from_bytes(split.take(spread[start::2])) for start in range(2)]
    network[2].p = reference[2].p = 0.0  # type: ignore[assignment]
    update_bn(batches, reference)
    expected = [each.clone() for each in reference.buffers()]
    for norm in (network[1], network[4]):
        norm.reset_running_stats()  # type: ignore[operator]
    network[2].p = 0.5  # type: ignore[assignment]
    compute_statistics(network.train(), split, execution)
    for found, wanted in zip(network.buffers(), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert network.training
    assert network[1].momentum == 0.1


@pytest.mark.parametrize("model", ["Net", "Net1"])
@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_what_is_used_is_saved_and_scored_and_the_other_is_recorded(lab: Any, model: str, kernels: str) -> None:
    ends = {}
    for use in ("ema", "last"):
        job = lab.job(arm(lab, f"model.name={model}", f"average.use={use}", f"runtime.kernels={kernels}"))
        record = lab.make(job)
        ends[use] = record, weights(record, job)
    plain = lab.job(lab.settings(*TINY, f"model.name={model}", f"runtime.kernels={kernels}"))
    record = lab.make(plain)
    without = weights(record, plain)
    (ema, ema_weights), (last, last_weights) = ends["ema"], ends["last"]
    assert all(torch.equal(last_weights[name], without[name]) for name in without), "the average changes no step"
    assert not torch.equal(ema_weights["conv1.weight"], without["conv1.weight"])
    assert last.test is not None
    assert ema.test is not None
    assert record.test is not None
    assert last.test.accuracy == record.test.accuracy == ema.test.metrics["accuracy_last"]
    assert last.test.metrics["accuracy_ema"] == ema.test.accuracy
    assert last.val is not None
    assert ema.val is not None
    assert last.val.metrics["accuracy_ema"] == ema.val.accuracy


@pytest.mark.parametrize("model", ["Net", "Net1"])
def test_an_interrupted_run_ends_with_the_same_bits(lab: Any, model: str) -> None:
    settings = arm(
        lab, f"model.name={model}", "optimizer.name=muon", "scheduler.name=trapezoid", "optimizer.clip_norm=1"
    )
    job = lab.job(settings, results="interrupted")
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    whole, again = lab.make(lab.job(settings, results="whole")), lab.make(job)
    assert whole.files == again.files
    assert whole.metrics_sha256 == again.metrics_sha256
    assert whole.test == again.test


def test_members_end_as_they_do_alone(lab: Any) -> None:
    arms = [
        arm(lab, "model.name=Net1", f"average.use={use}", "runtime.kernels=torch", half=half)
        for use, half in (("ema", 0.2), ("last", 1.0), ("ema", 1.0))
    ]
    together = [lab.job(each, results="together") for each in arms]
    assert len({cohort_key(job) for job in together}) == 1
    records: dict[str, Any] = {}
    run_cohort(
        together, lambda job, event: None, lambda: False, lambda job, outcome: records.update({job.run_id: outcome})
    )
    for job in together:
        alone = lab.job(job.settings, results="alone")
        ours, theirs = weights(records[job.run_id], job), weights(lab.make(alone), alone)
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-4)


def test_an_average_is_in_the_id_and_in_no_file_without_one(tmp_path: Path) -> None:
    def stated(**values: Any) -> Any:
        return recipe(settings_from({"average": values}))

    assert stated(name="none") == recipe(Settings())
    assert "average" not in dump_settings(Settings())
    assert stated(name="ema")["average"] == {"name": "ema"}
    assert stated(name="ema", use="last")["average"] == {"name": "ema", "use": "last"}
    text = dump_settings(settings_from({"average": {"name": "ema", "half_life_epochs": 2}}))
    assert "average:\n  name: ema\n  half_life_epochs: 2.0\n  use: ema\n" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"average": {"name": "ema", "half_life_epochs": 0}}, "0 is out of range; expected a number above 0"),
        ({"average": {"name": "ema", "use": "best"}}, "'best' is not one of: ema, last"),
        ({"ema": {}}, "did you mean average?"),
        ({"average": {"use": "ema"}}, "average.use: none, the default, has no use; set average.name: ema"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from(values)
    assert message in str(caught.value)
