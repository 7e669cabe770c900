"""The file of ImageNet weights: found, fetched from a real server, refused, out of reach."""

import hashlib
import http.server
import re
import socket
import threading
import time

import pytest
import torch
from torchvision.models import ResNet18_Weights

from cifar_lab import config
from cifar_lab.core import download
from cifar_lab.core.errors import SettingsError, WeightsError
from cifar_lab.models import build, nets

PRETRAINED = config.ResNet18Model(name="ResNet18", pretrained=True)


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Torch hub's folder, empty."""
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server on this machine in the place of torchvision's; returns (weights it holds, its folder, file name)."""
    folder = tmp_path / "served"
    folder.mkdir()
    torch.manual_seed(8)
    source = nets.resnet18(1000)
    torch.save(source.state_dict(), folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    name = f"resnet18-{digest[:8]}.pth"
    (folder / "new").rename(folder / name)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", url)
        monkeypatch.setattr(nets, "IMAGENET_SHA256", digest)
        monkeypatch.setattr(download, "SCHEMES", ("http",))
        yield source.state_dict(), folder, name
        server.shutdown()


def test_weights_are_fetched_once_and_the_last_layer_is_new(checkpoints, served, capsys):
    state, folder, name = served
    model = build(PRETRAINED, 10)
    assert torch.equal(model.layer1[0].conv1.weight, state["layer1.0.conv1.weight"])
    assert model.fc.weight.shape == (10, 512)
    assert [path.name for path in checkpoints.iterdir()] == [name]
    (folder / name).unlink()
    assert torch.equal(build(PRETRAINED, 10).conv1.weight, state["conv1.weight"])
    assert capsys.readouterr() == ("", "")


def test_a_download_with_another_hash_is_not_kept(checkpoints, served):
    _, folder, name = served
    (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(the downloaded file has SHA-256 "):
        build(PRETRAINED, 10)
    assert list(checkpoints.iterdir()) == []


def test_a_file_that_the_server_lacks(checkpoints, served):
    _, folder, name = served
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=re.escape("cannot be downloaded (the server answered 404 File not found)")):
        build(PRETRAINED, 10)


def test_a_damaged_file_in_the_folder_is_named_and_not_read(checkpoints):
    checkpoints.mkdir(parents=True)
    path = checkpoints / "resnet18-f37072fd.pth"
    path.write_bytes(b"half a download")
    digest = hashlib.sha256(b"half a download").hexdigest()
    with pytest.raises(WeightsError) as caught:
        build(PRETRAINED, 10)
    assert str(caught.value) == (
        f"{path}: damaged: its SHA-256 is {digest}, expected {nets.IMAGENET_SHA256}; "
        "delete it, so that the next run downloads it again"
    )


def test_no_network_names_the_file_the_folder_and_the_other_way(checkpoints, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    started = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        build(PRETRAINED, 10)
    assert time.monotonic() - started < 10
    assert str(caught.value) == (
        "resnet18-f37072fd.pth: the ImageNet weights of ResNet18 are not on this machine and "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth cannot be downloaded "
        "(no connection ([Errno 101] Network is unreachable)); "
        f"put the file into {checkpoints}, or set `model.weights: PATH`"
    )


def test_a_name_server_that_never_answers(checkpoints, monkeypatch):
    over = threading.Event()

    def hang(*_args, **_kwargs):
        over.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.3)
    with pytest.raises(WeightsError, match=re.escape("cannot be downloaded (no answer within 0.3 s)")):
        build(PRETRAINED, 10)
    over.set()


def test_the_checksum_is_that_of_the_published_name():
    assert ResNet18_Weights.IMAGENET1K_V1.url.endswith(f"/resnet18-{nets.IMAGENET_SHA256[:8]}.pth")


def test_pretrained_beside_weights_is_refused(tmp_path):
    both = config.ResNet18Model(name="ResNet18", pretrained=True, weights=str(tmp_path / "w.pt"))
    with pytest.raises(SettingsError, match="`pretrained: true` and `weights` contradict each other"):
        build(both, 10)
