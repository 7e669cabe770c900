"""`rm`, `gc`, `note`, `tag` and `diff` on a copy of the old lab."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from ..compatibility.commands import Lab

RUN = "13747b80a8ccfdc5"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.copied(tmp_path / "lab")


def test_rm_asks_first_and_a_dry_run_changes_nothing(lab: Lab) -> None:
    before = lab.digests()
    said = lab.give(f"rm {RUN[:6]} --dry-run")
    assert said.code == 0
    assert said.out.splitlines()[-1] == f"next: cifar-lab rm {RUN[:6]} --yes"
    assert RUN in said.out
    refused = lab.give(f"rm {RUN}")
    assert (refused.code, lab.digests()) == (2, before)
    assert refused.err.endswith(f"add --yes: cifar-lab rm {RUN} --yes\n")


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_rm_takes_an_answer_from_a_terminal(
    lab: Lab, answer: str, gone: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as file:

        class Terminal:
            def isatty(self) -> bool:
                return True

            def readline(self) -> str:
                return file.readline()

        monkeypatch.setattr(sys, "stdin", Terminal())
        said = lab.give(f"rm {RUN}")
    assert said.code == 0
    assert "remove 1 run? [y/N]" in said.err
    assert lab.run(RUN).exists() is not gone


def test_a_run_that_no_look_counted_leaves_nothing(lab: Lab) -> None:
    said = lab.give(f"rm {RUN} --yes --json")
    assert json.loads(said.out)["removed"] == [RUN]
    assert not lab.run(RUN).exists()
    assert not (lab.results / "removed").exists()
    assert not (lab.results / ".removing").exists()
    assert lab.give("verify").code == 0


def test_the_report_names_a_removed_run_of_an_earlier_look(lab: Lab) -> None:
    lab.give("compare Adam control")
    seen = json.loads(lab.give("list --filter 'label=Adam and seed=0' --json").out)["runs"][0]["run_id"]
    said = lab.give(f"rm {seen} --yes")
    assert "1 run of an earlier look: it leaves a mark" in said.out
    assert f"1 run removed after an earlier look: {seen}." in lab.give("compare Adam control").out
    report = lab.give("report")
    assert f"1 run removed after an earlier look: {seen}." in report.out
    assert "gone" not in report.out
    assert lab.give("report --check").code == 0
    mark = lab.results / "removed" / f"{seen}.json"
    mark.write_text(mark.read_text().replace('"seed": 0', '"seed": 1'))
    assert f"1 run of an earlier look is gone: {seen}." in lab.give("compare Adam control").out
    assert lab.give("verify").code == 3


def test_an_arm_is_removed_with_its_unfinished_runs(lab: Lab) -> None:
    listed = json.loads(lab.give("list --json").out)["runs"]
    wanted = {each["run_id"] for each in listed if each["label"] == "Adam"}
    assert wanted
    assert lab.give("rm Adam --yes").code == 0
    left = {each["run_id"] for each in json.loads(lab.give("list --json").out)["runs"]}
    assert left == {each["run_id"] for each in listed} - wanted
    again = lab.give("rm Adam --yes")
    assert again.code == 2
    assert "no run of results has this label" in again.err
    assert lab.give("rm grid --yes").code == 2  # a sweep


def test_gc_deletes_leftover_files_only(lab: Lab) -> None:
    (lab.run(RUN) / "checkpoint.bin").write_bytes(b"old" * 100)
    (lab.results / ".report.md.77.tmp").write_text("half")
    os.utime(lab.results / ".report.md.77.tmp", (0, 0))
    (lab.results / "mine.tmp").write_text("mine")
    before = lab.digests()
    dry = lab.give("gc --dry-run")
    assert dry.out.splitlines() == [
        "1 checkpoint of finished runs: 300 bytes",
        "1 temporary file of interrupted writes: 4 bytes",
        "next: cifar-lab gc --yes",
    ]
    assert lab.digests() == before
    assert lab.give("gc").code == 2
    assert lab.give("gc --yes").out.splitlines()[-1] == "deleted: 304 bytes"
    gone = {f"results/runs/{RUN}/checkpoint.bin", "results/.report.md.77.tmp"}
    assert lab.digests() == {name: digest for name, digest in before.items() if name not in gone}
    assert lab.give("gc --yes").out == "nothing to delete\n"


def test_notes_and_tags_are_shown_and_select(lab: Lab) -> None:
    assert lab.give(f"note {RUN[:5]} 'looks odd'").out == f"{RUN}: looks odd\n"
    assert lab.give(f"tag {RUN[:5]} best paper").out == f"{RUN}: best, paper\n"
    assert lab.give(f"note {RUN}").out == f"{RUN}: looks odd\n"
    for expression in ("tag=best", "note=*odd*", "tag=best and not tag=old"):
        listed = json.loads(lab.give(f"list --filter '{expression}' --json").out)["runs"]
        assert [(each["run_id"], each["tags"], each["note"]) for each in listed] == [
            (RUN, ["best", "paper"], "looks odd")
        ]
    assert "tags: best, paper\nyour note: looks odd\n" in lab.give(f"show {RUN}").out
    lab.give("report")
    assert f"Run {RUN} (" in (lab.results / "report.md").read_text()
    assert lab.give("report --check").code == 0
    assert lab.give("verify").code == 0
    assert lab.give(f"tag {RUN} best --remove").out == f"{RUN}: paper\n"
    assert lab.give(f"note {RUN} --remove").out == f"{RUN}: no note\n"
    for line in (f"note {RUN} ' '", f"tag {RUN} 'two words'", f"tag {RUN} --remove", "note 9999 x", "note Adam x"):
        assert lab.give(line).code == 2, line


def test_filters_on_arms_are_on_their_means(lab: Lab) -> None:
    arms = json.loads(lab.give("list --arms --json").out)["arms"]
    bound = sorted(each["mean"] for each in arms if each["mean"] is not None)[-2]
    kept = json.loads(lab.give(f"list --arms --filter 'accuracy>={bound}' --json").out)["arms"]
    assert [each["label"] for each in kept] == [each["label"] for each in arms if (each["mean"] or 0) >= bound]
    runs = {each["label"]: each["runs"] for each in arms}
    assert all(each["runs"] == runs[each["label"]] for each in kept)
    assert lab.give("list --arms --filter 'acuracy>0.5'").err.endswith("did you mean accuracy?\n")


def test_diff_names_settings_and_environment(lab: Lab) -> None:
    runs = json.loads(lab.give("list --json").out)["runs"]
    first = next(each["run_id"] for each in runs if each["label"] == "control")
    said = json.loads(lab.give(f"diff {first} {RUN} --json").out)
    assert (said["a"]["run_id"], said["b"]["run_id"]) == (first, RUN)
    assert {"key", "a", "b"} == set(said["settings"][0])
    assert said["git_diff"] == {"a": None, "b": None}
    path = lab.run(RUN) / "record.json"
    record = json.loads(path.read_text())
    record["environment"] |= {"git_commit": "c0ffee" * 6, "git_dirty": True, "git_diff": "-old\n+new\n", "torch": "9"}
    record["schema"] = 1
    record.pop("sha256", None)
    path.write_text(json.dumps(record))
    text = lab.give(f"diff {first} {RUN}").out
    assert "uncommitted changes of B:\n-old\n+new\n" in text
    assert "c0ffeec0ffee" in text
    assert lab.give(f"diff {RUN} {RUN}").code == 2
