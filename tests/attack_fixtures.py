"""Records of attacks as `attack` would leave them, with chosen outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.config.attack import PGD, AnyAttack, DeepFool, attack_id
from cifar_lab.store.attack_records import AttackExample, AttackLevel, AttackRecord, write_attack
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

WEIGHTS = "f" * 64
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""PNG of one pixel."""


def marks(share: float, images: int) -> str:
    """Outcomes of which a share is correct, the first images."""
    right = round(share * images)
    return "1" * right + "0" * (images - right)


def attack_on(
    record: Record, attack: AnyAttack, *, images: int = 200, clean: float = 0.8, **changes: Any
) -> AttackRecord:
    """A complete record of an attack on the network of a run."""
    values: dict[str, Any] = {
        "attack_id": attack_id(attack),
        "run_id": record.run_id,
        "attack": attack.model_dump(mode="json"),
        "seed": attack.seed,
        "weights_sha256": WEIGHTS,
        "fingerprint": record.data.fingerprint,
        "images": tuple(range(images)),
        "clean": marks(clean, images),
        "finished": "2026-11-02T10:00:00Z",
    }
    return AttackRecord.model_validate(values | changes)


def pgd_on(record: Record, robust: Sequence[float], attack: PGD | None = None, **changes: Any) -> AttackRecord:
    """PGD with these accuracies at its distances above 0."""
    attack = attack or PGD(eps=(0.0, 1 / 255, 8 / 255))
    images, clean = changes.get("images", 200), changes.get("clean", 0.8)
    shares = [clean, *robust] if attack.distances[0] == 0 else robust
    levels = tuple(
        AttackLevel(level=eps, correct=marks(share, images))
        for eps, share in zip(attack.distances, shares, strict=True)
    )
    example = AttackExample(image=0, label=0, predicted=1, level=8 / 255, clean=DOT, attacked=DOT)
    return attack_on(record, attack, **{"levels": levels, "examples": (example,), **changes})


def deepfool_on(record: Record, distances: Sequence[float | None], **changes: Any) -> AttackRecord:
    """DeepFool with these distances of the images that are correct when clean. The others are wrong."""
    images = changes.pop("images", len(distances))
    values = (*distances, *[0.0] * (images - len(distances)))
    clean = len(distances) / images
    return attack_on(record, DeepFool(name="deepfool"), images=images, clean=clean, distances=values, **changes)


def with_weights(record: Record) -> Record:
    """The record of a run whose weights were attacked."""
    return record.model_copy(update={"files": {"weights.safetensors": WEIGHTS}, "sizes": {"weights.safetensors": 1}})


def save_attacked(results: Path, *pairs: tuple[Record, Sequence[AttackRecord]]) -> None:
    """Write runs with their attacks into a results folder."""
    for record, attacks in pairs:
        folder = RunFolder(results, record.run_id)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.weights.write_bytes(b"w")
        folder.write_record(with_weights(record))
        for attack in attacks:
            write_attack(folder, attack)


def spread(mean: float, std: float, seeds: int, start: int = 0) -> list[float]:
    """Accuracies of seeds, the same ones for the same start."""
    return [float(value) for value in np.random.default_rng(start).normal(mean, std, seeds)]
