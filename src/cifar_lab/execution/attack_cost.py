"""Forecast of attacks before they start: passes through the networks, and seconds per pass on this machine. No torch.

Images that are misclassified soon are dropped, so the forecast is an upper end unless earlier attacks on networks of
the model were measured. Of AutoAttack, which takes the longest, the forecast allows for the images that the network
misclassifies without an attack or under a PGD that was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cifar_lab.config.attack import PGD, AnyAttack, AutoAttack, attack_from
from cifar_lab.core.host import device_names
from cifar_lab.core.text import in_words
from cifar_lab.execution.attack_runs import AttackPlan
from cifar_lab.execution.cost import network_key
from cifar_lab.store.attack_records import find_attacks
from cifar_lab.store.records import Record
from cifar_lab.training.attacks.passes import auto_passes, passes

OWN_KERNELS = 3.0
"""Time of a training step with torch, which makes the attacks, relative to the C kernels. Measured for Net."""

SHORTEST = 5.0
"""Seconds below which a forecast gives no number, because the start of the worker takes about as long."""

SAMPLED_RUNS = 50
"""Runs whose attacks are read for their times."""


@dataclass(frozen=True)
class AttackForecast:
    """Time of the attacks of a plan."""

    seconds: float | None
    """Wall time. None where no run of a model was trained on this machine."""
    is_measured: bool
    """Whether earlier attacks on networks of each model were measured."""

    @property
    def line(self) -> str:
        """The time in words."""
        if self.seconds is None:
            return "time: not known, because no run of the model was trained on this machine"
        if self.seconds < SHORTEST:
            return "time: a few seconds"
        if self.is_measured:
            return f"time: about {in_words(self.seconds)}, from earlier attacks on this machine"
        return f"time: at most about {in_words(self.seconds)}, from training times on this machine"


def forecast_attacks(plan: AttackPlan, records: Sequence[Record], results: Path) -> AttackForecast:
    """Forecast the wall time of a plan.

    Args:
        records: all of the results folder.
    """
    device = "cuda" if plan.on_gpu else "cpu"
    names = device_names()[device]
    here = [record for record in records if record.environment.device_name in names]
    measured = _measured(here, results)
    trained = {model: _trained(runs) for model, runs in _by_model(here).items()}
    by_id = {record.run_id: record for record in records}
    total, is_measured = 0.0, True
    for job in plan.jobs:
        model = network_key(job.settings[0].model.model_dump(mode="json"))
        for attack in job.attacks:
            found = measured.get((model, attack.name))
            each = found if found is not None else trained.get(model)
            if each is None:
                return AttackForecast(None, False)
            is_measured = is_measured and found is not None
            for run_id in job.run_ids:
                work = _passes(attack, by_id[run_id], results, is_measured=found is not None)
                total += each * work * _images(attack, by_id[run_id])
    return AttackForecast(total / plan.workers, is_measured)


def _images(attack: AnyAttack, record: Record) -> int:
    size = record.data.test_size
    return size if attack.images == "all" else min(attack.images, size)


def _passes(attack: AnyAttack, record: Record, results: Path, *, is_measured: bool) -> float:
    """Passes per image of a network. Times that were measured are per pass of an image that withstands the attack."""
    classes = len(record.data.classes)
    if is_measured or not isinstance(attack, AutoAttack):
        return passes(attack, classes)
    clean = record.test.accuracy if record.test is not None else 1.0
    levels = _pgd_levels(record, attack.norm, results)
    # The first of the four is a PGD of 100 steps. An attack within a smaller distance is no stronger.
    return 1 + sum(
        auto_passes(classes, clean, min((share for level, share in levels if level <= eps), default=1.0))
        for eps in attack.distances if eps > 0
    )  # fmt: skip


def _pgd_levels(record: Record, norm: str, results: Path) -> list[tuple[float, float]]:
    """(distance, share of the images that withstand it) of each PGD that was made on the network of a run."""
    found = []
    for made in find_attacks(results, record):
        attack = attack_from(dict(made.attack))
        if isinstance(attack, PGD) and attack.norm == norm:
            found += [(float(each.level), each.correct.count("1") / len(each.correct)) for each in made.levels]
    return found


def _by_model(records: Iterable[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.settings:
            groups.setdefault(network_key(record.settings["model"]), []).append(record)
    return groups


def _trained(records: Sequence[Record]) -> float | None:
    """Seconds per pass from training: the median run, without those that train on the features of frozen layers."""
    found = [
        record.train_seconds
        / (record.epochs_trained * record.data.train_size * record.environment.cohort)
        * (OWN_KERNELS if record.environment.kernels == "own" else 1)
        for record in records
        if record.epochs_trained and not record.frozen_parameters
    ]
    return median(found) if found else None


def _measured(records: Sequence[Record], results: Path) -> dict[tuple[str, str], float]:
    """Seconds per pass of finished attacks, by model and attack."""
    found: dict[tuple[str, str], list[float]] = {}
    for model, name, seconds in _attack_times(records, results):
        found.setdefault((model, name), []).append(seconds)
    return {key: median(values) for key, values in found.items()}


def _attack_times(records: Sequence[Record], results: Path) -> Iterator[tuple[str, str, float]]:
    attacked = [record for record in records if record.settings and record.status == "done"]
    for record in attacked[:SAMPLED_RUNS]:
        for made in find_attacks(results, record):
            attack = attack_from(dict(made.attack))
            if made.device_name == record.environment.device_name:
                seconds = made.seconds / (made.together * len(made.images) * passes(attack, len(record.data.classes)))
                yield network_key(record.settings["model"]), attack.name, seconds
