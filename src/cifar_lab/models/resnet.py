"""torchvision's ResNet-18 (arXiv:1512.03385) and the file of its ImageNet weights."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import urllib.request
from pathlib import Path

import torch
from torch import nn

from cifar_lab.errors import WeightsError

CONNECT_SECONDS = 6.0
"""How long the server may take to answer before it counts as out of reach."""

STALL_SECONDS = 30.0
"""How long a download may stand still."""


def resnet18(num_classes: int = 10) -> nn.Module:
    """ResNet-18 with random weights, its last layer `fc` replaced by one of `num_classes` outputs."""
    from torchvision.models import resnet18 as torchvision_resnet18

    model: nn.Module = torchvision_resnet18()
    model.fc = nn.Linear(512, num_classes)
    return model


def imagenet_weights_file() -> Path:
    """The checked file of ResNet18_Weights.IMAGENET1K_V1 in torch hub's folder, fetched if it is not there.

    Raises:
        WeightsError: it cannot be fetched, or the file there is not what its name says.
    """
    from torchvision.models import ResNet18_Weights

    url: str = ResNet18_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    hash_prefix = path.stem.rpartition("-")[2]  # the file is named resnet18-<first hex digits of its SHA-256>.pth
    if not path.exists():
        _fetch(url, path, hash_prefix)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(hash_prefix):
        raise WeightsError(
            f"{path}: damaged: its SHA-256 begins with {digest[:8]}, not {hash_prefix}; "
            "delete it and run again to fetch it anew"
        )
    return path


def _fetch(url: str, path: Path, hash_prefix: str) -> None:
    """Download to a temporary name, check, then rename; all by torch's own function."""
    reason = _unreachable(url)
    if reason is None:
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(STALL_SECONDS)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix, progress=False)
            return
        except (OSError, http.client.HTTPException, RuntimeError) as error:  # RuntimeError: a wrong hash
            reason = str(error)
        finally:
            socket.setdefaulttimeout(timeout)
    raise WeightsError(
        f"{path.name}: the ImageNet weights of ResNet18 are not on this machine and {url} cannot be fetched "
        f"({reason}); put the file into {path.parent}, or name one of your own with `model.weights: PATH`"
    )


def _unreachable(url: str) -> str | None:
    """Why the server does not answer, or None if it does.

    Asked in a thread of its own: neither name look-up nor a row of dead addresses keeps to a socket's timeout.
    """
    answer: list[str | None] = [f"no answer in {CONNECT_SECONDS:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
            answer.append(None)
        except (OSError, http.client.HTTPException) as error:
            answer.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CONNECT_SECONDS)
    return answer[-1]
