"""Record of an attack on the network of a run, `attack-<id>.json` beside the run's record. No torch.

An outcome per image is a text of `0` and `1` in the order of `images`: `1` is classified correctly under attack. Images
that are wrong when clean have `0` everywhere. A record with fewer outcomes than images is that of an attack under way,
which the next `cifar-lab attack` continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.ranges import Count, Digest, Positive, Seconds, Seed, Values
from cifar_lab.store.record_files import read_sealed, refuse_newer, schema_in
from cifar_lab.store.records import Plain, Record
from cifar_lab.store.run_folder import RunFolder

ATTACK_SCHEMA = 1
"""Version of an attack record. A record of a newer schema is refused by name."""

Outcomes = Annotated[str, Field(pattern=r"^[01]*$")]
Distance = Annotated[float, Field(ge=0)]
Level = Annotated[float, Field(ge=0)]
Picture = Annotated[str, Field(max_length=200_000, pattern=r"^[A-Za-z0-9+/=]*$")]


class AttackLevel(Plain):
    """Outcomes at one distance, or at one severity of a corruption."""

    level: Level
    """Distance in the pixel range 0 to 1, or severity from 1 to 5."""
    kind: str = ""
    """Kind of the corruption. Empty for an attack."""
    correct: Outcomes
    """Outcome per image."""
    single_step: Outcomes = ""
    """The same for one step of the full distance, to notice masked gradients. Empty where none was tried."""


class AttackExample(Plain):
    """An attacked image: pictures are PNG files in base64."""

    image: Count
    """Index in the test split."""
    label: Count
    predicted: Count
    """Class under attack."""
    level: Level
    kind: str = ""
    clean: Picture
    attacked: Picture


class GradientFacts(Plain):
    """Facts of the gradients that an attack follows, over the images that are classified correctly."""

    images: Count = 0
    """Images with a gradient."""
    zero: Count = 0
    """Images whose gradient is 0 in every pixel."""
    unbounded: Count | None = None
    """Images that are still classified correctly within a distance that allows every image. Null where not tried."""


class AttackRecord(Plain):
    """An attack on the network of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)

    schema_: Positive = Field(ATTACK_SCHEMA, alias="schema")
    attack_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    run_id: str
    attack: Values
    """Settings of the attack, resolved."""
    seed: Seed
    """Of the attack. The same for every network, so that networks are compared on the same random numbers."""
    weights_sha256: Digest
    """SHA-256 of the weights that were attacked."""
    fingerprint: str
    """Of the images, as in the record of the run."""
    images: tuple[Count, ...]
    """Indices of the test images."""
    clean: Outcomes = ""
    levels: tuple[AttackLevel, ...] = ()
    distances: tuple[Distance | None, ...] = ()
    """DeepFool: L2 distance of each image, 0 for one that is wrong when clean, null for one that was not flipped."""
    gradients: GradientFacts = GradientFacts()
    examples: tuple[AttackExample, ...] = ()
    """One per class, where an image of the class was misclassified under attack."""
    seconds: Seconds = 0.0
    """Wall time, shared by the networks that were attacked together."""
    device: str = ""
    device_name: str = ""
    torch: str = ""
    cifar_lab: str = ""
    together: Positive = 1
    """Networks that were attacked together."""
    started: str = ""
    """UTC, ISO 8601."""
    finished: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every image was attacked."""
        return len(self.clean) == len(self.images)

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        """Refuse outcomes of different numbers of images.

        Raises:
            ValueError: of pydantic's convention.
        """
        done = len(self.clean)
        texts = [text for each in self.levels for text in (each.correct, each.single_step or each.correct)]
        if done > len(self.images) or any(len(text) != done for text in texts):
            raise ValueError("outcomes of different numbers of images")
        if self.distances and len(self.distances) != done:
            raise ValueError("distances of another number of images")
        for text in texts:
            if any(after > before for before, after in zip(self.clean, text, strict=True)):
                raise ValueError("an image that is wrong when clean counts as correct")
        return self


class DamagedAttackError(DataError):
    """An attack record with a wrong checksum or content. It is set aside and the attack made again."""

    def __init__(self, path: Path, fault: str = "is damaged") -> None:
        super().__init__(f"{path}: {fault}; the same `cifar-lab attack` command repeats the attack")
        self.path = path


def attack_file(folder: RunFolder, attack_id: str) -> Path:
    """Path of the record of an attack."""
    return folder.path / f"attack-{attack_id}.json"


def write_attack(folder: RunFolder, record: AttackRecord) -> None:
    """Replace the record of an attack, with its checksum.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    write_bytes(attack_file(folder, record.attack_id), seal_record(record.model_dump_json(indent=1)))


def read_attack(path: Path) -> AttackRecord:
    """Record of an attack.

    Raises:
        FileNotFoundError: the file is missing.
        DataError: it is damaged, or of a newer version of cifar-lab.
    """
    content, is_sealed = read_sealed(path, DamagedAttackError)
    try:
        record = AttackRecord.model_validate_json(content)
    except ValidationError as error:
        refuse_newer(path, schema_in(content), ATTACK_SCHEMA)
        raise DamagedAttackError(path) from error
    refuse_newer(path, record.schema_, ATTACK_SCHEMA)
    if not is_sealed or path.name != f"attack-{record.attack_id}.json" or record.run_id != path.parent.name:
        raise DamagedAttackError(path)
    return record


def belongs_to(attack: AttackRecord, record: Record) -> bool:
    """Whether the attack was made on the network that the run's record names."""
    weights = record.files.get("weights.safetensors")
    return attack.weights_sha256 == weights and attack.fingerprint == record.data.fingerprint


def find_attacks(results: Path, record: Record) -> Iterator[AttackRecord]:
    """Complete attacks on the network of a run. Unusable ones are named and left out (`store.left_out`)."""
    for path in RunFolder(results, record.run_id).attacks():
        try:
            attack = read_attack(path)
        except FileNotFoundError:
            continue
        except DataError as fault:
            leave_out(fault)
            continue
        if attack.is_complete and belongs_to(attack, record):
            yield attack


def verify_attacks(folder: RunFolder) -> tuple[int, list[Path], list[str]]:
    """(records of attacks that were read, damaged ones, notes on those that this version cannot read)."""
    damaged: list[Path] = []
    notes: list[str] = []
    paths = folder.attacks()
    for path in paths:
        try:
            read_attack(path)
        except FileNotFoundError:
            continue
        except DamagedAttackError:
            damaged.append(path)
        except DataError as fault:
            notes.append(str(fault))
    return len(paths) - len(notes), damaged, notes
