"""A disk that loses its power: which names and bytes would be there, after any act of a recorded sweep.

What POSIX promises and no more: bytes are kept once their file was synced, names once their folder was. Of what was not
synced a disk keeps anything from nothing to all; names of one folder it keeps in their order, as journals do. After the
crash tests of SQLite (https://www.sqlite.org/testing.html).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class DiskAct:
    """One act of `durable`, with the bytes that a write came to."""

    kind: str
    path: Path
    new: Path | None = None
    content: bytes = b""


@dataclass
class File:
    content: bytes
    is_synced: bool = False


@dataclass
class Folder:
    """Names as programs see them (`now`), as the disk would keep them (`kept`), and what happened between the two."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    kept: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, str, File | Folder | str | None]] = field(default_factory=list)

    def change(self, kind: str, name: str, value: File | Folder | str | None = None) -> None:
        apply(self.now, kind, name, value)
        self.pending.append((kind, name, value))

    def sync(self) -> None:
        for change in self.pending:
            apply(self.kept, *change)
        self.pending.clear()


def apply(names: dict[str, File | Folder], kind: str, name: str, value: File | Folder | str | None) -> None:
    if kind == "add":
        assert isinstance(value, File | Folder)
        names[name] = value
    elif kind == "rename":
        assert isinstance(value, str)
        names[value] = names.pop(name)
    else:
        names.pop(name, None)


@dataclass
class Disk:
    """A folder on a disk; what was there before the first act is kept."""

    root: Path
    top: Folder = field(default_factory=Folder)

    def folder(self, path: Path) -> Folder:
        found = self.top
        for name in path.relative_to(self.root).parts:
            below = found.now[name]
            assert isinstance(below, Folder)
            found = below
        return found

    def do(self, act: DiskAct) -> None:
        if act.kind == "sync folder":
            if act.path.is_relative_to(self.root):
                self.folder(act.path).sync()
            return
        folder, name = self.folder(act.path.parent), act.path.name
        if act.kind == "make folder":
            folder.change("add", name, Folder())
        elif act.kind == "write":
            folder.change("add", name, File(act.content))
        elif act.kind == "sync file":
            file = folder.now[name]
            assert isinstance(file, File)
            file.is_synced = True
        elif act.kind == "rename":
            assert act.new is not None
            assert act.new.parent == act.path.parent
            folder.change("rename", name, act.new.name)
        else:
            folder.change("remove", name)

    def after_the_cut(self, place: Path, chance: random.Random | None, keep_all: bool = False) -> None:
        """Write to `place` what the disk holds once the power is back.

        Without `chance` nothing that was not synced is kept, or all of it with `keep_all`, with files half empty.
        """
        self._write(self.top, place, chance, keep_all)

    def _write(self, folder: Folder, place: Path, chance: random.Random | None, keep_all: bool) -> None:
        place.mkdir()
        kept = len(folder.pending) if keep_all else 0
        names = dict(folder.kept)
        for change in folder.pending[: chance.randint(0, len(folder.pending)) if chance else kept]:
            apply(names, *change)
        for name, node in names.items():
            if isinstance(node, Folder):
                self._write(node, place / name, chance, keep_all)
            elif node.is_synced:
                (place / name).write_bytes(node.content)
            else:
                size = chance.randint(0, len(node.content)) if chance else len(node.content) // 2 * keep_all
                zeros = bytes(len(node.content) - size) if chance and chance.random() < 0.5 else b""
                (place / name).write_bytes(node.content[:size] + zeros)
