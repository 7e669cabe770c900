"""Records of attacks: what is written is read, damage is named and set aside, and no other network's counts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.attack_records import (
    AttackLevel,
    AttackRecord,
    DamagedAttackError,
    attack_file,
    find_attacks,
    read_attack,
    write_attack,
)
from cifar_lab.store.results import RunFolder
from cifar_lab.store.verify import verify_results

from .test_results import RUN, make_record

WEIGHTS = b"weights"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


def make_attack(**changes: object) -> AttackRecord:
    values: dict[str, object] = {
        "attack_id": "0123456789ab",
        "run_id": RUN,
        "attack": {"name": "pgd", "images": 4},
        "seed": 0,
        "weights_sha256": DIGEST,
        "fingerprint": make_record().data.fingerprint,
        "images": (3, 5, 8, 9),
        "clean": "1101",
        "levels": (AttackLevel(level=0.01, correct="0101"),),
    }
    return AttackRecord.model_validate(values | changes)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A finished run."""
    made = RunFolder(tmp_path / "results", RUN)
    made.path.mkdir(parents=True)
    made.write_file("weights.safetensors", WEIGHTS)
    files = {"weights.safetensors": DIGEST}
    made.write_record(make_record(files=files, sizes=made.sizes(files)))
    return made


def found(folder: RunFolder) -> list[AttackRecord]:
    record = folder.read_record()
    assert record is not None
    return list(find_attacks(folder.path.parents[1], record))


def test_what_is_written_is_read(folder: RunFolder) -> None:
    made = make_attack()
    write_attack(folder, made)
    assert read_attack(attack_file(folder, made.attack_id)) == made
    assert found(folder) == [made]


def test_an_attack_under_way_or_on_another_network_is_not_found(folder: RunFolder) -> None:
    write_attack(folder, make_attack(clean="11", levels=(AttackLevel(level=0.01, correct="01"),)))
    write_attack(folder, make_attack(attack_id="a" * 12, weights_sha256="0" * 64))
    write_attack(folder, make_attack(attack_id="b" * 12, fingerprint="other"))
    assert found(folder) == []


def test_every_byte_that_changes_is_noticed_and_verify_sets_the_file_aside(folder: RunFolder) -> None:
    write_attack(folder, make_attack())
    path = attack_file(folder, "0123456789ab")
    content = path.read_bytes()
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(DamagedAttackError):
            read_attack(path)
    assert found(folder) == []
    (line,) = verify_results(folder.path.parents[1]).damage
    assert line == (
        f"{path}: is damaged; set aside as {path.name}.damaged; the same `cifar-lab attack` command repeats the attack"
    )
    assert folder.record.exists()
    assert verify_results(folder.path.parents[1]).damage == ()


def test_a_good_attack_counts_among_the_files_that_verify_reads(folder: RunFolder) -> None:
    before = verify_results(folder.path.parents[1]).files
    write_attack(folder, make_attack())
    after = verify_results(folder.path.parents[1])
    assert (after.files, after.damage, after.notes) == (before + 1, (), ())


def test_a_record_of_a_newer_version_is_refused_by_name(folder: RunFolder) -> None:
    write_attack(folder, make_attack().model_copy(update={"schema_": 2}))
    with pytest.raises(DataError, match="install a newer cifar-lab"):
        read_attack(attack_file(folder, "0123456789ab"))


def test_a_newer_record_with_an_unknown_key_is_not_called_damaged(folder: RunFolder) -> None:
    newer = make_attack().model_copy(update={"schema_": 2}).model_dump_json(indent=1)
    path = attack_file(folder, "0123456789ab")
    path.write_bytes(seal_record(newer.replace("{", '{\n "later": 1,', 1)))
    with pytest.raises(DataError, match="install a newer cifar-lab"):
        read_attack(path)
    found = verify_results(folder.path.parents[1])
    assert (len(found.notes), found.damage) == (1, ())


def test_a_copy_in_another_folder_is_refused(folder: RunFolder) -> None:
    write_attack(folder, make_attack())
    other = RunFolder(folder.path.parents[1], "f" * 16)
    other.path.mkdir()
    content = attack_file(folder, "0123456789ab").read_bytes()
    attack_file(other, "0123456789ab").write_bytes(content)
    with pytest.raises(DamagedAttackError):
        read_attack(attack_file(other, "0123456789ab"))


@pytest.mark.parametrize(
    "changes",
    [
        {"clean": "11011"},
        {"clean": "110"},
        {"clean": "1301"},
        {"levels": (AttackLevel(level=0.01, correct="0111"),)},
        {"distances": (0.1, None)},
        {"attack_id": "../escape"},
    ],
)
def test_outcomes_that_no_attack_gives_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_attack(**changes)


def test_training_a_run_again_discards_its_attacks(folder: RunFolder) -> None:
    write_attack(folder, make_attack())
    folder.discard()
    assert folder.attacks() == []
