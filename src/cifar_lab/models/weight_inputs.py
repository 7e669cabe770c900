"""Normalisation that pretrained weights expect of their input, where it is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from cifar_lab.config import CustomModel, ResNet18Model, Settings
from cifar_lab.core.errors import DataError
from cifar_lab.core.host import located

if TYPE_CHECKING:
    from cifar_lab.store.run_folder import RunFolder

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

TORCHVISION, TIMM = "torchvision.models", "timm"


def input_notes(settings: Settings, network: nn.Module) -> Iterator[str]:
    """Note on weights that were trained on pixels of another normalisation than `data.normalize` gives.

    Args:
        settings: of an arm, with the file of the run that its weights name.
        network: built from them.
    """
    found = _of_run(settings.model.weights) or _of_package(settings, network)
    if found is not None and found[1] != settings.data.normalize:
        what, expected = found
        yield (
            f"{what} expect data.normalize: {expected}, and this arm has {settings.data.normalize}; set "
            f"data.normalize: {expected}"
        )


def _of_run(weights: str | None) -> tuple[str, str] | None:
    """(weights, normalisation) of weights of a finished run."""
    if weights is None or (folder := folder_of_weights(located(weights))) is None:
        return None
    try:
        record = folder.read_record()
    except DataError:
        return None
    method = None if record is None else record.settings.get("data", {}).get("normalize")
    return None if method is None else (f"the weights of run:{folder.path.name}", str(method))


def folder_of_weights(path: Path) -> RunFolder | None:
    """Folder of the run whose weights a file is. None for another file."""
    from cifar_lab.store.run_folder import RunFolder  # here, because models stand below much that imports them

    folder = RunFolder(path.parent.parent.parent, path.parent.name)
    return folder if path == folder.weights else None


def _of_package(settings: Settings, network: nn.Module) -> tuple[str, str] | None:
    """(weights, normalisation) of weights that torchvision or timm brings."""
    model = settings.model
    if isinstance(model, ResNet18Model) and model.pretrained:
        return "the ImageNet weights", "imagenet"
    if not isinstance(model, CustomModel) or model.weights is not None:
        return None
    package = model.name.partition(":")[0]
    if package.startswith(TORCHVISION) and (model.options.get("weights") or model.options.get("pretrained")):
        return f"the weights of {package}", "imagenet"
    if package == TIMM and model.options.get("pretrained"):
        method = _method(getattr(network, "pretrained_cfg", None) or {})
        return None if method is None else ("the weights of timm", method)
    return None


def _method(facts: Any) -> str | None:
    """`data.normalize` of the mean and the standard deviation in timm's description of weights."""
    given = tuple(tuple(facts.get(key, ())) for key in ("mean", "std"))
    return {HALF: "half", IMAGENET: "imagenet"}.get(given)  # type: ignore[arg-type]
