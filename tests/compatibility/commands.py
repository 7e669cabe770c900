"""The command line in this process, on a copy of the old lab."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OLD_LAB = HERE / "old_lab"

ORIGIN = "/home/somebody/lab"
"""Folder in which the old lab was made: the path of its model, as its records have it."""

LOOKS = ("looks.json", ".looks.json")
"""Memory of the looks, which `report` and `compare` write."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

MACHINE = (
    (r"(?m)^(time|memory|disk): .*$", r"\1: …"),
    (r"(\d+ to train)(: about|; hours not known).*", r"\1 …"),
)
"""Parts of the output that depend on the machine, its free memory and its other work, and what stands for them."""


@dataclass(frozen=True)
class Said:
    """The end of a command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs, standard error marked."""
        return self.out + "".join(f"stderr: {line}\n" for line in self.err.splitlines())


@dataclass(frozen=True)
class Lab:
    """A folder with settings and results."""

    folder: Path

    @classmethod
    def copied(cls, folder: Path) -> Lab:
        """The old lab in `folder`, which is made."""
        shutil.copytree(OLD_LAB, folder)
        return cls(folder)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.results / "runs" / run_id

    def give(self, line: str, **variables: str) -> Said:
        """Run `cifar-lab LINE` in the folder, through the entry point of the package, with environment variables."""
        from cifar_lab.cli import main

        code = 0
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder), _own_process(variables), contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):  # fmt: skip
            sys.argv = ["cifar-lab", *shlex.split(line)]
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Said(code, self._plain(out.getvalue()), self._plain(err.getvalue()))

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file of the results, by path, without the looks that a comparison adds."""
        files = sorted(path for path in self.results.rglob("*") if path.is_file() and path.name not in LOOKS)
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def _plain(self, text: str) -> str:
        """The text without spaces at line ends, and without what depends on the machine."""
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        text = text.replace(str(self.folder), ORIGIN)
        for pattern, words in MACHINE:
            text = re.sub(pattern, words, text)
        return text


@contextlib.contextmanager
def _own_process(variables: Mapping[str, str]) -> Iterator[None]:
    """Arguments, signal handlers, collector and variables as they were, whatever the command does to them."""
    argv, thresholds, environment = sys.argv, gc.get_threshold(), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for name in ("COLUMNS", "FORCE_COLOR"):
        os.environ.pop(name, None)
    os.environ.update({"TERM": "dumb"} | variables)
    try:
        yield
    finally:
        sys.argv = argv
        gc.set_threshold(*thresholds)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(environment)
