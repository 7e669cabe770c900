"""A results folder of cifar-lab 0.1.0 means the same to every later version: ids, numbers, files and exit codes."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from cifar_lab.store.documents import read_document

from . import bits, golden
from .cases import READING, REPEATED, REPORT_CHECK, VERIFY_DAMAGE, Case
from .commands import OLD_LAB, ORIGIN, Lab
from .comparing import differences, lost, lost_keys, other_bits
from .outline import FAILED, RESUMED, outline
from .texts import DAMAGED_RUN


def names(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", READING, ids=names)
def test_a_command_that_reads_names_the_same_runs_and_changes_nothing(case: Case, old: Lab) -> None:
    before = old.digests()
    said = old.give(case.line)
    assert said.code == case.code, said.text
    assert golden.told(case, said) in golden.read("told.txt")
    assert old.digests() == before


def test_the_copy_that_is_read_is_the_old_lab(old: Lab) -> None:
    assert old.digests() == Lab(OLD_LAB).digests()


@pytest.mark.parametrize("case", REPEATED, ids=names)
def test_a_command_that_is_repeated_trains_nothing(case: Case, copy: Lab) -> None:
    before = copy.digests()
    said = copy.give(case.line)
    assert said.code == case.code, said.text
    assert {path: digest for path, digest in copy.digests().items() if not path.endswith(".png")} == before


def test_the_records_are_those_that_were_written(old: Lab) -> None:
    assert golden.runs(old) == golden.read("runs.txt")


def test_the_images_are_those_that_were_drawn(old_cache: Path) -> None:
    assert lost_keys(golden.read("cache.txt"), golden.cache_files(old_cache)) == {}


# --- the report ---


def test_the_answers_are_the_same_numbers_under_the_same_keys(reported: Lab) -> None:
    assert differences(golden.read("answers.json"), golden.answers(reported)) == []


def test_the_table_has_the_same_columns_and_numbers(reported: Lab) -> None:
    numbers = [{key: golden.number(text) for key, text in row.items()} for row in golden.summary(reported)]
    before = [{key: golden.number(text) for key, text in row.items()} for row in golden.read("summary.json")]
    assert differences(before, numbers) == []


def test_a_report_is_checked_against_the_old_records(reported: Lab) -> None:
    assert reported.give(REPORT_CHECK.line).code == 0
    path = reported.results / "answers.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"mean": 0.41,', '"mean": 0.42,'), encoding="utf-8")
    assert reported.give(REPORT_CHECK.line).code == 1
    path.write_text(text, encoding="utf-8")


# --- what is written into an old folder ---


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_to_the_same_weights_and_predictions(written: Lab) -> None:
    assert other_bits(golden.read("resumed.json"), bits.resumed(written)) == []


def test_a_resumed_run_keeps_its_first_epoch(written: Lab) -> None:
    for run_id in RESUMED:
        before, after = ((lab.run(run_id) / "metrics.jsonl").read_text() for lab in (Lab(OLD_LAB), written))
        assert after.splitlines()[0] == before.splitlines()[0]
        assert len(after.splitlines()) == 3
        assert (written.run(run_id) / "checkpoint.bin").exists() is False


def test_a_run_that_failed_is_resumed_and_fails_again(written: Lab) -> None:
    before, failure = (json.loads((lab.run(FAILED) / "failure.json").read_bytes()) for lab in (Lab(OLD_LAB), written))
    assert failure["when"] > before["when"]
    assert (failure["kind"], failure["exit_code"], failure["attempts"]) == ("error", 1, 1)
    assert (written.run(FAILED) / "checkpoint.bin.previous").read_bytes() == (
        Lab(OLD_LAB).run(FAILED) / "checkpoint.bin"
    ).read_bytes()


def test_settings_are_written_as_they_were(written: Lab) -> None:
    for run_id in (*RESUMED, FAILED):
        before, after = ((lab.run(run_id) / "settings.yaml").read_text() for lab in (Lab(OLD_LAB), written))
        changed = "  checkpoint_seconds: 0.0\n"  # of the command
        assert after.replace(str(written.folder), ORIGIN).replace(changed, "") == before


def test_what_a_search_leaves_is_made_anew_from_its_runs_and_has_a_checksum(written: Lab) -> None:
    before, after = (
        {path.relative_to(lab.results): read_document(path) for path in (lab.results / "sweeps").rglob("*.json")}
        for lab in (Lab(OLD_LAB), written)
    )
    assert {path: found.is_checked for path, found in before.items()} == dict.fromkeys(before, False)
    assert {path: found.is_checked for path, found in after.items()} == dict.fromkeys(before, True)
    new = {"schema", "plan_sha256"}
    for path, found in before.items():
        assert {k: v for k, v in after[path].values.items() if k not in new} == {
            k: v for k, v in found.values.items() if k not in new
        }


def test_files_have_the_names_and_keys_that_they_had(written: Lab) -> None:
    assert lost_keys(golden.read("files.txt"), list(outline(written))) == {}


def test_what_was_written_is_whole(written: Lab) -> None:
    assert written.give("verify").code == 0


# --- damage and locks ---


def test_damage_is_set_aside_under_the_same_name(copy: Lab) -> None:
    weights = copy.run(DAMAGED_RUN) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    before = set(copy.digests())
    assert copy.give("verify").code == VERIFY_DAMAGE.code
    assert {Path(path).name for path in set(copy.digests()) - before} == {
        "record.json.damaged", "weights.safetensors.damaged"
    }  # fmt: skip
    assert {Path(path).name for path in before - set(copy.digests())} == {"record.json", "weights.safetensors"}
    assert copy.give("verify").code == 0


@pytest.mark.parametrize(("name", "line"), [(".writer", "run missing.yaml"), (".writer", "sweep grid.yaml")])
def test_a_folder_that_an_old_version_writes_to_is_left_alone(name: str, line: str, copy: Lab) -> None:
    before = copy.digests()
    with (copy.results / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert copy.give(line).code == 4
        assert copy.give("list").code == 0
    (copy.results / name).unlink()
    assert copy.digests() == before


def test_a_run_that_an_old_version_holds_is_running(copy: Lab) -> None:
    with (copy.run(RESUMED[0]) / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (line,) = (line for line in copy.give("list").out.splitlines() if line.startswith(RESUMED[0]))
    assert " running " in line


def test_each_golden_run_has_a_folder(old: Lab) -> None:
    folders = sorted(path.name for path in (old.results / "runs").iterdir())
    finished = [line.split()[0] for line in golden.read("runs.txt")]
    assert lost(sorted(finished), folders) == []
    assert len(folders) == 42
