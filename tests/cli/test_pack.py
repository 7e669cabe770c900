"""A lab that is packed, opened in an empty folder without its images, and asked the same questions."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from ..compatibility.commands import Lab

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packed lab")]

CLAIMS = """\
claims:
  adam: {arm: adam.yaml, better_than: baseline.yaml, by_at_least: 1}
  level: {arm: adam.yaml, accuracy_at_least: 0.99}
  smooth: {arm: smooth.yaml, equal_to: baseline.yaml, within: 5}
  none: {claim: It is good., arm: missing.yaml, accuracy_at_least: 0.5}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a report and packs of it."""
    made = Lab.copied(tmp_path_factory.mktemp("packed") / "lab")
    (made.folder / "claims.yaml").write_text(CLAIMS)
    assert made.give("report").code in (0, 3)
    made.give("claims")
    for options in ("", "--no-weights --out small.zip"):
        said = made.give(f"pack {options}")
        assert said.code == 0, said.err
    return made


def opened(lab: Lab, archive: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab of an archive in a new folder, with an empty cache of images."""
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(folder.parent / "no cache"))
    said = Lab(folder.parent).give(f"unpack '{lab.folder / archive}' '{folder}'")
    assert said.code == 0, said.err
    return Lab(folder)


@pytest.mark.parametrize("archive", ["lab.zip", "small.zip"])
def test_another_machine_gets_the_same_words(
    lab: Lab, archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened(lab, archive, tmp_path / "other", monkeypatch)
    for line in ("report --check", "claims", "claims --json", "list --arms", "compare Adam control"):
        ours, theirs = lab.give(line), other.give(line)
        assert (theirs.code, theirs.text) == (ours.code, ours.text), line
    assert lab.give("claims").code == 1
    before = {path.name: path.read_bytes() for path in other.results.iterdir() if path.is_file()}
    other.give("report")
    for name in ("answers.json", "summary.csv", "report.md", "looks.json"):
        assert (other.results / name).read_bytes() == before[name], name
    assert "damaged" not in other.give("verify").out.replace("none damaged", "")


def test_every_file_of_the_results_is_packed_or_left_behind_on_purpose(lab: Lab) -> None:
    with zipfile.ZipFile(lab.folder / "lab.zip") as archive:
        packed = set(archive.namelist())
    for path in lab.results.rglob("*"):
        name = path.relative_to(lab.results).as_posix()
        behind = path.is_dir() or path.suffix in (".png", ".damaged", ".previous") or path.name == "checkpoint.bin"
        has_no_record = name.startswith("runs/") and not (path.parent / "record.json").exists()
        behind = behind or (has_no_record and path.suffix in (".npz", ".safetensors"))
        assert (f"results/{name}" in packed) is not behind, name


def test_the_same_lab_gives_the_same_bytes(lab: Lab) -> None:
    assert lab.give("pack --out again.zip").code == 0
    assert (lab.folder / "again.zip").read_bytes() == (lab.folder / "lab.zip").read_bytes()


def test_weights_are_left_out_on_request_and_no_run_counts_as_damaged(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(lab.folder / "small.zip") as small, zipfile.ZipFile(lab.folder / "lab.zip") as whole:
        assert {name for name in whole.namelist() if name not in small.namelist()} == {
            name for name in whole.namelist() if name.endswith("/weights.safetensors")
        }
        assert not [name for name in whole.namelist() if "checkpoint" in name or name.endswith(".damaged")]
    other = opened(lab, "small.zip", tmp_path / "other", monkeypatch)
    run = next((other.results / "runs").glob("*/predictions.npz")).parent.name
    said = other.give(f"export {run} --format safetensors")
    assert said.code == 3
    assert "the pack of these results has no weights" in said.err


@pytest.mark.parametrize("name", ["record.json", "predictions.npz", "claims.yaml", "looks.json", "pack.json"])
def test_a_changed_digit_in_the_archive_is_found(lab: Lab, name: str, tmp_path: Path) -> None:
    content = bytearray((lab.folder / "lab.zip").read_bytes())
    with zipfile.ZipFile(lab.folder / "lab.zip") as archive:
        entry = next(each for each in archive.infolist() if each.filename.endswith(name))
        start = entry.header_offset + 30 + len(entry.filename)
    at = next(
        start + found.start() for found in re.finditer(rb"[0-8]", bytes(content[start : start + entry.file_size]))
    )
    content[at] += 1
    (tmp_path / "x.zip").write_bytes(content)
    said = Lab(tmp_path).give("unpack x.zip out")
    assert said.code == 3
    assert "is damaged" in said.err
    assert not (tmp_path / "out").exists()


def test_a_changed_digit_after_unpacking_is_found(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = opened(lab, "lab.zip", tmp_path / "other", monkeypatch)
    answers = other.results / "answers.json"
    answers.write_text(answers.read_text().replace('"mean": 0.', '"mean": 0.9', 1))
    assert other.give("report --check").code == 1


def test_a_damaged_lab_is_not_packed(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = opened(lab, "lab.zip", tmp_path / "other", monkeypatch)
    path = next((other.results / "runs").glob("*/predictions.npz"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    said = other.give("pack")
    assert said.code == 3
    assert "predictions.npz: is damaged" in said.err
    assert not (other.folder / "lab.zip").exists()
