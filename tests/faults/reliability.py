"""Makes `docs/reliability.md` from the cases of the tests.

python -m tests.faults.reliability          # write it
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from cifar_lab.core.errors import PRECEDENCE, ExitCode

from . import elsewhere
from .registry import ROWS, Case

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "reliability.md"

HEAD = """\
# What happens when something goes wrong

Every line below is shown by a test, which is named; the sentences are those that the program says, with … for what
differs from case to case. This page is made from the tests by `python -m tests.faults.reliability`.

A fault ends in one line on standard error that says what, where and what to do next; `--debug` adds the traceback.
After any fault the same command, given again, resumes: what was reported as done is kept and is not made twice.
`cifar-lab verify` reads a whole results folder against its checksums.

A run is saved at the end of an epoch, at most once every 10 seconds (`runtime.checkpoint_seconds`). A run whose process
is killed loses at most these seconds and the epoch in progress, and it ends with the same bits. A run that is asked to
stop, by Ctrl-C, SIGTERM or a time limit, is saved after its epoch and loses nothing. `runtime.checkpoint_seconds: 0`
saves after each epoch.

Every command that reads results has the same reader. It names on standard error each file that it leaves out, with the
command that mends it, and ends with 3.

A checksum shows damage. It does not show who wrote a file, and anyone who can write a results folder can write a
matching one. A model file is code that runs with all permissions of its user, and so is the model that the settings of
a results folder name. Read both before `run` or `sweep` on settings from others. Commands that only read import no
model. The compiled kernels are loaded only from folders that no other user can write.

A record names paths, the processor and the commit of the checkout in which the command ran. Of uncommitted changes it
has the `git diff` of files that git tracks, up to 16,384 bytes. Files that git does not track, such as `.env`, are not
in it. `CIFAR_LAB_GIT_DIFF=0` keeps all changes out. A pack has the records as they are.

## Exit codes

They are the same in every command. If several hold, the first of {order} counts.

{table}"""


def exit_code_table() -> str:
    """Table of the exit codes in Markdown."""
    rows = [f"| {code:d} | {code.meaning} |" for code in ExitCode]
    return "\n".join(["| exit code | meaning |", "| --- | --- |", *rows])


def head() -> str:
    """Text before the rows."""
    order = ", ".join(f"{code:d}" for code in PRECEDENCE if code != ExitCode.DONE)
    return HEAD.format(order=order, table=exit_code_table())


def cases() -> list[Case]:
    """Every case, in the order of the rows; the tests of this folder first."""
    found: list[Case] = []
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        found += [value.case for value in vars(module).values() if isinstance(getattr(value, "case", None), Case)]
    return sorted([*found, *elsewhere.CASES], key=lambda case: case.row)


def page(found: Sequence[Case]) -> str:
    """The page in Markdown."""
    parts = [head()]
    for row, title in ROWS.items():
        those = [case for case in found if case.row == row]
        if those:
            parts.append(f"## {row}. {title}\n\n" + "\n".join(_lines(those)))
    return "\n\n".join(parts) + "\n"


def _lines(found: Sequence[Case]) -> list[str]:
    lines = [
        "| what happens | what is on the disk afterwards | exit | what a person reads | test |",
        "| --- " * 5 + "|",
    ]
    for case in found:
        says = f"`{case.pattern_words()}`" if case.says else ""
        code = "" if case.code is None else str(case.code)
        file, _, name = case.test.partition("::")
        link = f"[{name}](../{file})"
        cells = (case.fault, case.remains, code, says, link)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(cases()), encoding="utf-8")
