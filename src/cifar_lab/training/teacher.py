"""Teacher of a run: the trained network of another run, whose logits the loss compares with its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.config import Settings
from cifar_lab.config.loss import Distill, distillation
from cifar_lab.config.model_options import source_run
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.resident_split import Normalizer
from cifar_lab.store.records import DataIdentity, Record
from cifar_lab.store.results import RunFolder
from cifar_lab.training.device import Execution


@dataclass(frozen=True)
class Teacher:
    """Distillation (Hinton et al. 2015, arXiv:1503.02531): the softened logits of the teacher are targets.

    The loss is (1 − weight) · loss of the labels + weight · T² · KL(teacher ‖ student) of both logits divided by T.
    """

    network: nn.Module
    """Takes images with pixels from 0 to 1."""
    normalizer: Normalizer
    """Of the images that the student takes."""
    temperature: float
    weight: float

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (K, B, classes) of normalised images (K, B, 3, H, W), as the student sees them."""
        flat = images.flatten(0, 1)
        found: Tensor = self.network(flat * self.normalizer.std + self.normalizer.mean)
        return found.view(*images.shape[:2], -1)

    def blend(self, loss: Tensor, logits: Tensor, wanted: Tensor) -> Tensor:
        """Mean loss of a batch with that of the teacher.

        Args:
            loss: of the labels, scalar or (K,).
            logits: of the student, (B, classes) or (K, B, classes).
            wanted: those of the teacher.
        """
        own, soft = (F.log_softmax(each.float() / self.temperature, dim=-1) for each in (logits, wanted))
        apart = F.kl_div(own, soft, reduction="none", log_target=True).sum(dim=-1).mean(dim=-1)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * apart


def load_teacher(
    settings: Settings, results: Path, identity: DataIdentity, normalizer: Normalizer, execution: Execution
) -> tuple[Teacher | None, list[str]]:
    """Load the teacher that the settings name onto the device, with notes for the record.

    Args:
        results: folder of its run.
        identity: of the student's images.
        normalizer: of the student's images.

    Raises:
        SettingsError: there is no such run, it has no network, or it tells other classes apart.
        DataError: its files are damaged.
    """
    if (asked := distillation(settings.loss)) is None:
        return None, []
    from cifar_lab.training.trained.network import load_trained  # most runs need none

    record = _record(asked, results)
    if record.data.classes != identity.classes:
        raise _refusal(asked, "it tells other classes apart than the images of this run; name another run")
    taught = Settings.model_validate({**record.settings, "seeds": [record.seed]}, strict=False)
    network = load_trained(results, record, taught)
    if not network.any_size and network.side != settings.data.side():
        raise _refusal(asked, f"it takes images of {network.side} pixels, not {settings.data.side()}; name another run")
    network = network.to(execution.device).requires_grad_(False)
    return Teacher(network, normalizer, asked.temperature, asked.weight), list(_notes(asked, record, identity))


def _notes(asked: Distill, record: Record, identity: DataIdentity) -> Iterator[str]:
    if identity.split_hash is not None and record.data.split_hash != identity.split_hash:
        yield (
            f"the teacher {asked.teacher} did not set aside the validation images of this run, so its validation "
            "accuracy may be too high"
        )


def _record(asked: Distill, results: Path) -> Record:
    run_id = source_run(asked.teacher)
    assert run_id is not None
    record = RunFolder(results, run_id).read_record()
    if record is None:
        raise _refusal(asked, f"no finished run of this id in {results}")
    return record


def _refusal(asked: Distill, reason: str) -> SettingsError:
    return SettingsError(f"loss.distill.teacher: {asked.teacher}: {reason}")
