"""Damage to one file of a results folder, and the commands that must notice it: the harness of `test_results_fuzz`."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..compatibility.commands import Lab, Said

Damage = Callable[[Path, random.Random], None]


def _flip_bit(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content) * 8)
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def _set_byte(path: Path, chance: random.Random) -> None:
    """A digit becomes another one where the file has digits, so that it stays well-formed."""
    content = bytearray(path.read_bytes())
    digits = [at for at, byte in enumerate(content) if 48 <= byte <= 57] or list(range(len(content)))
    at = chance.choice(digits)
    content[at] = chance.choice([byte for byte in b"0123456789" if byte != content[at]])
    path.write_bytes(content)


def _cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(1, len(content))])


def _append(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.choice([b"\0", b"1", b"}", b"\n\n{}", path.read_bytes()]))


def _replace(path: Path, chance: random.Random) -> None:
    """The file of the same name of another run or sweep, else another file near it."""
    same_name = path.parents[1].glob(f"*/{path.name}")
    candidates = [list(same_name), list(path.parent.iterdir()), list(path.parents[1].rglob("*.json"))]
    others = ([p for p in each if p.is_file() and p.read_bytes() != path.read_bytes()] for each in candidates)
    different = sorted(next(found for found in others if found))
    shutil.copy(chance.choice(different), path)


def _make_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: Mapping[str, Damage] = {
    "bit flip": _flip_bit,
    "byte set": _set_byte,
    "cut": _cut,
    "emptied": lambda path, chance: path.write_bytes(b"") and None,
    "appended": _append,
    "replaced": _replace,
    "a folder": _make_folder,
    "removed": lambda path, chance: path.unlink(),
}

CODES = frozenset({0, 1, 2, 3, 4, 5, 6})


@dataclass
class FuzzedLab:
    """A lab that is damaged, read and restored again and again."""

    lab: Lab
    commands: Sequence[str]
    """Command lines. Each ends with 0, or with a code that has nothing to do with damage."""
    spare: Path
    """Copy of the results to restore from."""
    good: dict[str, Said] = field(default_factory=dict)
    """End of each command without damage."""
    answers: dict[str, object] = field(default_factory=dict)
    """answers.json of each command that writes it."""

    def begin(self) -> None:
        """Learn the end of each command on the undamaged results."""
        shutil.copytree(self.lab.results, self.spare)
        for line in self.commands:
            self.good[line] = self.lab.give(line)
            assert self.good[line].code in (0, 2), self.good[line]
            self.answers[line] = self._answers(line)
            self.restore()

    def restore(self) -> None:
        """Restore all results."""
        shutil.rmtree(self.lab.results)
        shutil.copytree(self.spare, self.lab.results)

    def _restore_after(self, line: str, name: str) -> None:
        """Restore what the command may have changed: all, or the damaged file alone."""
        if line.startswith(("verify", "report", "run ", "sweep ")) and "--check" not in line and "--dry" not in line:
            self.restore()
            return
        path = self.lab.results / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.copy(self.spare / name, path)

    def faults_of(self, name: str, damage: str, line: str, chance: random.Random, *, sealed: bool) -> str:
        """Fault of the command on this damage to a file of the results. Empty where it did what it should.

        Args:
            name: path of the file in the results folder.
            damage: key of `DAMAGES`.
            line: the command.
            chance: of the place of the damage.
            sealed: whether the file has a checksum, so that no number may change in silence.
        """
        DAMAGES[damage](self.lab.results / name, chance)
        try:
            said = self.lab.give(line)
            answers = self._answers(line)
        finally:
            self._restore_after(line, name)
        text = said.out + said.err
        if "Traceback" in text or "unforeseen" in text or said.code not in CODES:
            return f"{damage} of {name}, {line}: {said.code}, {text[-600:]}"
        same = numbers(said.out) == numbers(self.good[line].out) and answers == self.answers[line]
        told = said.code != 0 and f"results/{name}" in said.err
        if sealed and not same and not told:
            return f"{damage} of {name}, {line}: other numbers, exit code {said.code}, {said.err[-400:] or 'no word'}"
        return ""

    def _answers(self, line: str) -> object:
        """Answers of a report, without its commands and its faults."""
        path = self.lab.results / "answers.json"
        if not line.startswith("report") or "--check" in line:
            return None
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return "no answers"
        return {key: value for key, value in document.items() if key not in ("to_run", "faults", "command")}


def numbers(text: str) -> list[str]:
    """Numbers in a text, without those of paths and ids."""
    return re.findall(r"(?<![\w./-])[-+−]?\d+(?:\.\d+)?(?![\w/])", text)
