"""Records that are well-formed and odd, and control characters in stored text: one row at most, and no terminal."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from rich.table import Table
from rich.text import Text

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.terminal import SafeConsole
from cifar_lab.report import build

from ..compatibility.commands import Lab
from ..compatibility.golden import CACHE_VARIABLE
from .registry import case
from .test_results_fuzz import ADAM, CONTROL, DIVERGED, FAILED, INTERRUPTED

KEPT = (ADAM, "72f85fd22a2f8563", "82e89229fb5ecc15", CONTROL, "b351bec0707db0b1", "bf8629637f13b70b", DIVERGED, FAILED,
        INTERRUPTED)  # fmt: skip

COMMANDS = (
    "list", "list --arms", f"show {ADAM}", "report --lab lab.yaml --format html,md,csv,json",
    "compare Adam control --lab lab.yaml", f"compare {ADAM} {CONTROL}", "plan --lab lab.yaml --question optimizer",
    "run adam.yaml --dry-run",
)  # fmt: skip

HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31m\rgone\x08\u202eabc"
"""A window title, a cleared screen, a colour in C1, an overwritten line, a backspace and a reversed line."""

ODD: dict[type, tuple[Any, ...]] = {
    str: ("", HOSTILE, "x" * 5000, "[/red]"),
    int: (-1, 0, 10**12, 10**400),
    float: (-0.5, 1e308, 5.0, 0.0),
    bool: (None,),
    list: ([], [1], ["x"] * 300),
    dict: ({}, {"x": 1}),
    type(None): (0, "x", {}),
}
"""Values of the right shape, or nearly, that no run writes."""


class RawLab(Lab):
    """A lab whose commands give their output as it reaches the terminal."""

    def _plain(self, text: str) -> str:
        return text


def unseen(text: str) -> set[str]:
    """Characters of a text that move a cursor, change a terminal or reorder a line, but for line breaks."""
    return {each for each in text if (each != "\n" and not each.isprintable()) or each in "\u202e\u200f"}


@pytest.fixture(scope="module")
def small_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Some runs of the lab of an earlier version. Charts are not drawn and nothing is synced."""
    folder = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(build, "_write_chart", lambda *arguments: None)
        lab = RawLab.copied(folder / "lab")
        assert lab.give("run baseline.yaml").code == 0
        for run in (lab.results / "runs").iterdir():
            if run.name not in KEPT:
                shutil.rmtree(run)
        shutil.rmtree(lab.results / "sweeps")
        yield lab


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each value of a document with its path. Of a list, the first item alone."""
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, (*path, key))


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> bytes:
    """The document with one other value, under a right checksum."""
    made = copy.deepcopy(document)
    made.pop("sha256", None)
    found = made
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    return seal_record(json.dumps(made, indent=1))


def record_of(lab: Lab, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab.run(run) / "record.json").read_bytes())
    return found


def trials(lab: Lab) -> list[tuple[str, tuple[Any, ...], Any]]:
    return [
        (run, path, value)
        for run in (ADAM, DIVERGED)
        for path, old in leaves(record_of(lab, run))
        for value in ODD[type(old)]
    ]


def assert_costs_its_row_only(lab: Lab, chosen: list[tuple[str, tuple[Any, ...], Any]], commands: list[str]) -> None:
    faults = []
    good = {run: (lab.run(run) / "record.json").read_bytes() for run in (ADAM, DIVERGED)}
    for (run, path, value), line in zip(chosen, commands, strict=True):
        (lab.run(run) / "record.json").write_bytes(changed(json.loads(good[run]), path, value))
        said = lab.give(line)
        (lab.run(run) / "record.json").write_bytes(good[run])
        text = said.out + said.err
        is_shown = "report" not in line or "wrote" in said.out
        is_usage = said.code == 2 and "same runs" in text
        is_foreseen = "unforeseen" not in text and "Traceback" not in text and (said.code in (0, 3) or is_usage)
        if unseen(text) or not is_foreseen or not is_shown:
            faults.append(f"{run} {path} = {str(value)[:40]!r}, {line}: {said.code} {text[-500:]}")
    assert not faults, "\n".join(faults)


def test_a_sample_of_odd_records(small_lab: Lab) -> None:
    chance = random.Random(2)
    chosen = chance.sample(trials(small_lab), 60)
    assert_costs_its_row_only(small_lab, chosen, [chance.choice(COMMANDS) for _ in chosen])


@case(
    12,
    "a record that is well-formed and odd: any value of it is another of nearly the right shape",
    remains="the record; it costs its own row at most, and is named where it is left out",
)
@pytest.mark.slow
def test_an_odd_record_costs_its_row_at_most(small_lab: Lab) -> None:
    chance = random.Random(3)
    every = chance.sample(trials(small_lab), 400)
    assert_costs_its_row_only(small_lab, every, [chance.choice(COMMANDS) for _ in every])


def hostile_files(lab: Lab) -> Iterator[tuple[Path, bytes]]:
    """Every text of the small lab with escape codes: each file, with what it holds then."""
    for run in (ADAM, DIVERGED):
        for path, old in leaves(record_of(lab, run)):
            if isinstance(old, str):
                yield lab.run(run) / "record.json", changed(record_of(lab, run), path, HOSTILE)
    failure = lab.run(FAILED) / "failure.json"
    document = json.loads(failure.read_bytes())
    for key in ("label", "reason", "when"):
        yield failure, json.dumps({**document, key: HOSTILE}).encode()
    settings = lab.run(INTERRUPTED) / "settings.yaml"
    label = json.dumps(HOSTILE, ensure_ascii=True)
    yield settings, settings.read_text(encoding="utf-8").replace("label: Net, stopped", f"label: {label}").encode()
    yield settings, HOSTILE.encode() + settings.read_bytes()


@case(
    36,
    "escape codes in any text of a record, in the settings or in the reason of a failure, on a terminal",
    remains="the files as they were; the terminal shows the letters and obeys none of them",
)
@pytest.mark.slow
@pytest.mark.parametrize("line", ["list", "list --arms", "show", "compare Adam control --lab lab.yaml", "verify"])
def test_no_stored_text_reaches_the_terminal_as_a_command(small_lab: Lab, line: str) -> None:
    for path, content in hostile_files(small_lab):
        good = path.read_bytes()
        path.write_bytes(content)
        said = small_lab.give(f"show {path.parent.name}" if line == "show" else line)
        for damaged in path.parent.glob("*.damaged"):
            damaged.rename(damaged.with_suffix(""))
        path.write_bytes(good)
        assert "unforeseen" not in said.text
        assert not unseen(said.out + said.err), (path, content[:300])


def test_a_console_drops_every_control_character_and_keeps_its_own_styles() -> None:
    stream = io.StringIO()
    out = SafeConsole(file=stream, width=200)
    out._force_terminal = True
    out._color_system = ColorSystem.STANDARD
    controls = "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))
    table = Table(f"head{controls}")
    table.add_row(Text(f"cell{controls}", style="red"))
    table.add_row(f"{controls}cell")
    table.add_row("[link=https://example.org]linked[/link]")
    out.print(table)
    out.print(f"line{controls}\nnext", Text(controls))
    out.out(f"raw{controls}")
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b[31m" in stream.getvalue()
    assert not unseen(text)
    assert "[link=https://example.org]linked[/link]" in text
