"""Pretrained weights from real files: those that fit, those that do not, those that are out to harm."""

import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file
from torch import nn

from cifar_lab import config
from cifar_lab.core.errors import WeightsError
from cifar_lab.models import LAST_LAYER, MODELS, build
from cifar_lab.models.nets import Net
from cifar_lab.models.weights import load_weights


def settings(name: str, path: Path) -> config.Model:
    return TypeAdapter(config.Model).validate_python({"name": name, "weights": str(path)})


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def refusal(path: Path, name: str = "Net") -> str:
    """The message with which the file is refused, without its path; one line."""
    model = MODELS[name](10)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(model, path, LAST_LAYER[name])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), "half loaded"
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_all_but_the_last_layer_comes_from_the_file(name, suffix, tmp_path):
    torch.manual_seed(1)
    source = MODELS[name](100)
    source(torch.randn(4, 3, 32, 32))  # moves the running statistics of BatchNorm off their start
    path = save(source.state_dict(), tmp_path / f"weights{suffix}")
    torch.manual_seed(2)
    loaded = build(settings(name, path), 7)
    torch.manual_seed(2)
    fresh = MODELS[name](7)
    for key, value in loaded.state_dict().items():
        expected = fresh if key.startswith(LAST_LAYER[name] + ".") else source
        assert torch.equal(value, expected.state_dict()[key]), key


def test_the_file_may_lack_the_last_layer_or_have_the_same_number_of_classes(tmp_path):
    source = Net(10)
    state = source.state_dict()
    body = {key: value for key, value in state.items() if not key.startswith("fc3.")}
    for name, content in (("whole.pt", state), ("body.pt", body)):
        torch.manual_seed(3)
        model = build(settings("Net", save(content, tmp_path / name)), 10)
        assert torch.equal(model.fc2.weight, source.fc2.weight)
        assert not torch.equal(model.fc3.weight, source.fc3.weight)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(prefix, tmp_path):
    source = Net()
    path = save({prefix + key: value for key, value in source.state_dict().items()}, tmp_path / "w.pt")
    assert torch.equal(build(settings("Net", path), 10).conv1.weight, source.conv1.weight)


def test_a_prefix_on_some_keys_only_is_not_guessed_at(tmp_path):
    state = Net().state_dict()
    state["module.conv1.weight"] = state.pop("conv1.weight")
    assert "1 missing: conv1.weight; 1 unexpected: module.conv1.weight; " in refusal(save(state, tmp_path / "w.pt"))


def test_a_network_that_is_an_attribute_of_what_was_saved_is_found(tmp_path):
    state = MODELS["Net"](10).state_dict()
    saved = {f"model.{key}": value for key, value in state.items()} | {"loss.weight": torch.ones(10)}
    for content in (saved, {"epoch": 3, "state_dict": saved}):
        model = MODELS["Net"](10)
        torch.save(content, tmp_path / "lightning.ckpt")
        notes = load_weights(model, tmp_path / "lightning.ckpt", "fc3", "keep")
        assert "lightning.ckpt: the keys under model are used; not used: loss.weight" in notes
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    twins = {f"{name}.{key}": value for name in ("student", "teacher") for key, value in state.items()}
    assert "unexpected: student.conv1.weight" in refusal(save(twins, tmp_path / "twins.pt"))


def test_files_from_before_the_batch_counter_load(tmp_path):
    source = MODELS["ResNet18"](1000)
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    assert len(state) == 102
    model = build(settings("ResNet18", save(state, tmp_path / "w.pt")), 10)
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_half_precision_weights_are_widened(tmp_path):
    source = Net().half()
    model = build(settings("Net", save(source.state_dict(), tmp_path / "w.pt")), 10)
    assert model.conv1.weight.dtype == torch.float32
    assert torch.equal(model.conv1.weight, source.conv1.weight.float())


def test_weights_of_another_model_are_named_key_by_key(tmp_path):
    state = Net().state_dict()
    del state["conv1.bias"]
    state["conv9.bias"] = torch.zeros(3)
    state["fc1.weight"] = torch.zeros(120, 256)
    assert refusal(save(state, tmp_path / "w.safetensors")) == (
        "does not fit Net: 1 missing: conv1.bias; 1 unexpected: conv9.bias; "
        "1 misshaped: fc1.weight (120, 256) instead of (120, 400); "
        "use weights of this model, or choose the model of these weights"
    )


def test_the_first_five_keys_of_each_fault_and_their_number(tmp_path):
    message = refusal(save(Net().state_dict(), tmp_path / "w.pt"), "ResNet18")
    assert "does not fit ResNet: 100 missing: conv1.weight" not in message  # conv1.weight is there, with another shape
    assert re.search(r"does not fit ResNet: 99 missing: (\S+, ){4}\S+, …; 9 unexpected: conv1\.bias, ", message)
    assert "1 misshaped: conv1.weight (6, 3, 5, 5) instead of (64, 3, 7, 7); " in message
    assert "8 misshaped: conv1.weight (6, 3, 5, 5) instead of (12, 3, 5, 5), " in refusal(tmp_path / "w.pt", "Net3")


def test_a_missing_file_and_a_folder(tmp_path):
    assert refusal(tmp_path / "none.pt") == "cannot be read (No such file or directory); correct `model.weights`"
    assert refusal(tmp_path) == "cannot be read (Is a directory); correct `model.weights`"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_cut_short_anywhere(suffix, tmp_path):
    whole = save(Net().state_dict(), tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        assert "not a file of weights (" in refusal(path)
    path.write_bytes(whole[:-1])
    assert "not a file of weights (" in refusal(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_of_something_else(suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    for content in (b"<html><body>404</body></html>", b"\x00" * 4096, b"\xff" * 64, os.urandom(512)):
        path.write_bytes(content)
        assert "not a file of weights (" in refusal(path)


def test_a_checkpoint_that_holds_more_than_the_weights(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, **Net().state_dict()}, path)
    assert refusal(path) == "not a state dict: it holds epoch besides tensors; save `model.state_dict()` alone"
    torch.save([1, 2], path)
    assert refusal(path) == "holds a list, not a state dict; save `model.state_dict()`"
    torch.save({}, path)
    assert refusal(path) == "not a state dict: it is empty; save `model.state_dict()` alone"


def test_a_whole_model_is_refused_and_the_way_on_is_named(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(2, 2), path)
    message = refusal(path)
    assert message.startswith("not a file of weights (UnpicklingError: ")
    assert message.endswith("it is damaged or holds more than tensors: save `model.state_dict()` again")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("force", [None, "1"])
def test_nothing_in_a_file_is_executed(force, tmp_path, monkeypatch):
    if force:  # torch's switch back to unrestricted loading must not reach us
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", force)
    target = tmp_path / "executed"
    state = OrderedDict(Net().state_dict())
    state["conv1.weight"] = Bomb(target)
    for name, write in {
        "zip.pt": lambda path: torch.save(state, path),
        "legacy.pt": lambda path: torch.save(state, path, _use_new_zipfile_serialization=False),
        "plain.pt": lambda path: path.write_bytes(pickle.dumps(state)),
        "named.safetensors": lambda path: path.write_bytes(pickle.dumps(state)),
    }.items():
        write(tmp_path / name)
        assert "not a file of weights (" in refusal(tmp_path / name)
    assert not target.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert target.exists(), "the bomb of this test is a dud"


def test_the_state_dict_in_a_checkpoint_of_others_is_found(tmp_path):
    source, other = Net(10), Net(10)
    state = source.state_dict()
    files = {
        "net": {"net": nn.DataParallel(source).state_dict(), "acc": 12.5, "epoch": 3},
        "numpy": {"net": state, "acc": np.float64(12.5), "epoch": np.int64(3)},
        "imagenet": {"state_dict": state, "epoch": 3, "optimizer": {"state": {0: {"a": torch.ones(2)}}}},
        "deep": {"checkpoint": {"model": state}, "args": {"lr": 0.1}},
        "several": {"ema": {"a": torch.ones(2)}, "model": state},
        "two that fit": {"model_ema": other.state_dict(), "model": state},
    }
    for name, content in files.items():
        path = tmp_path / f"{name}.pth.tar"
        torch.save(content, path)
        notes: list[str] = []
        model = build(settings("Net", path), 10, notes=notes)
        assert torch.equal(model.conv1.weight, source.conv1.weight), name
        assert not torch.equal(model.fc3.weight, source.fc3.weight)
        assert "the state dict under" in notes[0]
    assert notes == [
        "two that fit.pth.tar: the state dict under model is used; not used: model_ema",
        "two that fit.pth.tar: the last layer fc3 is initialised again (model.head: new)",
    ]


def test_the_last_layer_is_kept_where_it_fits(tmp_path):
    source = Net(10)
    path = save(source.state_dict(), tmp_path / "w.pt")
    kept = settings("Net", path).model_copy(update={"head": "keep"})
    notes: list[str] = []
    assert torch.equal(build(kept, 10, notes=notes).fc3.weight, source.fc3.weight)
    assert build(kept, 7, notes=notes).fc3.weight.shape == (7, 84)
    assert notes == [
        "w.pt: the last layer fc3 is kept (model.head: keep)",
        "w.pt: the last layer fc3 is initialised again (the file has other shapes for it)",
    ]


def test_weights_of_a_custom_model(tmp_path):
    (tmp_path / "own.py").write_text(
        "from torch import nn\ndef own(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n"
    )
    state = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)).state_dict()
    path = save(state, tmp_path / "own.pth")
    for classes, head, same in ((10, "keep", True), (10, "new", False), (7, "keep", False)):
        model = config.CustomModel(name=f"{tmp_path}/own.py:own", weights=str(path), head=head)
        loaded = build(model, classes)[1].weight
        assert loaded.shape == (classes, 3072)
        assert (loaded.shape == state["1.weight"].shape and torch.equal(loaded, state["1.weight"])) == same
