"""Networks of finished runs: loaded, they are those that the runs evaluated, bit for bit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cifar_lab
from cifar_lab import data
from cifar_lab.analysis.predictions import read_predictions
from cifar_lab.config.registry import BUILT_IN_MODELS
from cifar_lab.core.errors import DataError, LabError, SettingsError
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedFileError, RunFolder
from cifar_lab.training.trained.export import export
from cifar_lab.training.trained.network import TrainedNetwork, load_trained

pytestmark = pytest.mark.xdist_group("trained networks")

STRANGER = """
import torch
from torch import nn

class Stranger(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.GELU(), nn.AdaptiveAvgPool2d(2))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, images):
        logits = self.head(self.drop(self.body(images).flatten(1)))
        return (logits, logits * 2) if self.training else (logits,)
"""

ARMS: dict[str, tuple[str, ...]] = {
    **{name: (f"model.name={name}",) for name in BUILT_IN_MODELS},
    "channel": ("data.normalize=channel",),
    "bf16": ("runtime.precision=bf16",),
    "none": ("data.normalize=none", "model.name=Net1"),
    "enlarged": ("model.name=stranger.py:Stranger", "model.aux_weights=[0.3]", "model.input_size=40"),
    "stranger": ("model.name=stranger.py:Stranger", "model.options.width=6", "model.aux_weights=[0.3]"),
    "package": ("model.name=torchvision.models:shufflenet_v2_x0_5", "data.train_size=64", "data.test_size=20"),
}

KINDS = ("onnx", "torch.export", "safetensors")


@pytest.fixture(scope="module")
def made(shared_lab: Any) -> Any:
    """Makes the run of an arm, once."""
    (shared_lab.folder / "stranger.py").write_text(STRANGER)
    records: dict[str, Record] = {}

    def make(name: str) -> Record:
        if name not in records:
            words = [word.replace("stranger.py", str(shared_lab.folder / "stranger.py")) for word in ARMS[name]]
            settings = shared_lab.settings("epochs=1", f"label={name}", *words)
            records[name] = shared_lab.make(shared_lab.job(settings))
        return records[name]

    make.results = shared_lab.results  # type: ignore[attr-defined]
    return make


def load(made: Any, name: str) -> TrainedNetwork:
    loaded: TrainedNetwork = cifar_lab.load_model(made(name), made.results)
    return loaded


def test_bytes_survive_the_way_through_shares() -> None:
    pixels = torch.arange(256).float()
    assert torch.equal(pixels / 255 * 255, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARMS)
def test_predictions_are_the_recorded_ones(made: Any, name: str) -> None:
    network, record = load(made, name), made(name)
    labels, logits = read_predictions(made.results, record)
    test = data.load_test(network.settings.data)
    np.testing.assert_array_equal(test.labels, labels)
    np.testing.assert_array_equal(network.logits_of(test.images).numpy(), logits)
    with torch.no_grad():
        shares = network(torch.from_numpy(test.images).float() / 255).numpy()
    np.testing.assert_allclose(shares, logits, atol=0.05 if name == "bf16" else 1e-4)
    np.testing.assert_array_equal(shares.argmax(axis=1), logits.argmax(axis=1))
    assert (network.classes, network.side, network.training) == (record.data.classes, 32, False)


@pytest.mark.slow
def test_statistics_of_the_record_stand_in_for_missing_images(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record = made("channel")
    assert record.schema_ == 5
    wanted = load(made, "channel")

    def refuse(*_: Any, **__: Any) -> None:
        raise DataError("no images")

    for name in ("known", "prepare"):
        monkeypatch.setattr(data, name, refuse)
    network = load(made, "channel")
    assert torch.equal(network.scale, wanted.scale)
    assert torch.equal(network.shift, wanted.shift)
    older = record.model_copy(
        update={"data": record.data.model_copy(update={"channel_mean": None, "channel_std": None})}
    )
    with pytest.raises(DataError, match="needs the statistics of the training images"):
        load_trained(made.results, older, wanted.settings)
    monkeypatch.undo()
    assert torch.equal(load_trained(made.results, older, wanted.settings).scale, wanted.scale)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in (*BUILT_IN_MODELS, "stranger", "enlarged") for kind in KINDS),
        ("channel", "safetensors"),
        ("bf16", "onnx"),
        ("package", "torch.export"),
    ],
)
def test_exported_networks_give_the_same_logits(made: Any, name: str, kind: Any, tmp_path: Path) -> None:
    assert export(load(made, name), kind, tmp_path / "network") <= 1e-4


@pytest.mark.slow
def test_an_exported_network_stands_alone(made: Any, tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network, images = load(made, "channel"), torch.rand(7, 3, 32, 32)
    export(network, "onnx", tmp_path / "net.onnx")
    export(network, "torch.export", tmp_path / "net.pt2")
    with torch.no_grad():
        wanted = network(images).numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["logits"], {"images": images.numpy()})[0], wanted, atol=1e-4)
    found = torch.export.load(tmp_path / "net.pt2").module()(images).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    facts = {each.key: each.value for each in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert (facts["run_id"], facts["image_size"]) == (network.run_id, "32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch.export"])
def test_a_network_that_no_program_can_state_is_refused_in_one_line(
    lab: Any, kind: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    code = lab.folder / "stranger.py"
    branch = "if images.sum() > 1e9: images = images * 2\n        logits ="
    code.write_text(STRANGER.replace("logits =", branch, 1))
    record = lab.make(lab.job(lab.settings("epochs=1", f"model.name={code}:Stranger", "model.aux_weights=[0.3]")))
    capfd.readouterr()
    with pytest.raises(LabError, match=r"Stranger cannot be exported to .*; --format safetensors writes its") as caught:
        export(cifar_lab.load_model(record, lab.results), kind, lab.folder / "network")
    assert len(str(caught.value).splitlines()) == 1
    assert tuple(capfd.readouterr()) == ("", "")
    assert not (lab.folder / "network").exists()


def test_a_run_is_named_by_its_id_or_by_its_label_alone(made: Any, shared_lab: Any) -> None:
    record, second = made("Net"), shared_lab.make(shared_lab.job(shared_lab.settings("epochs=1", "label=two"), seed=7))
    shared_lab.make(shared_lab.job(shared_lab.settings("epochs=1", "label=two"), seed=8))
    for name in (record.run_id, record.run_id[:12], "Net"):
        assert cifar_lab.load_model(name, made.results).run_id == record.run_id
    assert cifar_lab.load_model(second, str(made.results)).run_id == second.run_id
    with pytest.raises(SettingsError, match="'two': 2 runs have this label; give the beginning of a run's id: "):
        cifar_lab.load_model("two", made.results)
    with pytest.raises(SettingsError, match="no run id starts with 'other', and no finished run"):
        cifar_lab.load_model("other", made.results)


def test_the_generators_of_the_caller_are_left_alone(made: Any) -> None:
    record = made("Net")
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    cifar_lab.load_model(record, made.results)
    assert torch.equal(torch.rand(2), wanted)


def test_images_of_another_type_or_size_are_refused(made: Any) -> None:
    network = load(made, "Net")
    with pytest.raises(ValueError, match=re.escape("images: torch.uint8 of shape (1, 3, 32, 32) instead of")):
        network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="images: 40 × 32 pixels instead of 32 × 32; resize them"):
        network(torch.zeros(1, 3, 40, 32))


def test_damaged_and_missing_weights_are_refused(lab: Any) -> None:
    record = lab.make(lab.job(lab.settings("epochs=1", "label=damaged")))
    weights = RunFolder(lab.results, record.run_id).weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"is damaged \(its SHA-256 differs from the record\); to retrain"):
        cifar_lab.load_model(record, lab.results)
    weights.unlink()
    with pytest.raises(DamagedFileError, match=r"cannot be read \(No such file or directory\); to retrain"):
        cifar_lab.load_model(record, lab.results)


def test_a_diverged_or_unfinished_run_has_no_network(lab: Any) -> None:
    record = lab.make(lab.job(lab.settings("epochs=1", "label=far", "optimizer.lr=1e30")))
    assert record.status == "diverged"
    with pytest.raises(SettingsError, match=f"run {record.run_id}. diverged, so it has no weights"):
        cifar_lab.load_model("far", lab.results)
    RunFolder(lab.results, record.run_id).record.rename(lab.folder / "record.json")
    RunFolder(lab.results, record.run_id).metrics.unlink(missing_ok=True)
    with pytest.raises(SettingsError, match="is not finished; to finish it: cifar-lab run"):
        cifar_lab.load_model(record.run_id, lab.results)


def test_changed_or_missing_code_of_a_model_is_refused(lab: Any) -> None:
    code = lab.folder / "stranger.py"
    code.write_text(STRANGER)
    settings = lab.settings("epochs=1", f"model.name={code}:Stranger", "model.aux_weights=[0.3]")
    record = lab.make(lab.job(settings))
    code.write_text(STRANGER.replace("GELU", "ReLU"))
    with pytest.raises(DataError, match=r"the code of its model .* has changed since the run; restore it"):
        load_trained(lab.results, record, settings)
    code.unlink()
    with pytest.raises(DataError, match="is not found; restore it"):
        load_trained(lab.results, record, settings)
