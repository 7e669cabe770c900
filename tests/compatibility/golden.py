"""What no change of the code may change, kept in `golden/`: a text or JSON file per kind.

python -m tests.compatibility.golden NAME…     # write these files anew: only where a change of meaning is wanted

All were written by cifar-lab 0.1.0.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cifar_lab

from . import bits, facts, identities, outline
from .answers import numbers
from .cases import READING, REPORT, Case
from .commands import HERE, Lab, Said

GOLDEN = HERE / "golden"

CACHE_VARIABLE = "CIFAR_LAB_CACHE"


def read(name: str) -> Any:
    """The content of a golden file: lines of a text, or a JSON document."""
    text = (GOLDEN / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else text.splitlines()


def runs(lab: Lab) -> list[str]:
    """A line per finished run of a lab."""
    return [
        f"{run.run_id} {run.seed} {run.status} {run.epochs_trained} epochs, test {_score(run.test)}, "
        f"validation {_score(run.val)}, {run.label}"
        for run in cifar_lab.read_records(lab.results)
    ]


def _score(score: Any) -> str:
    return "none" if score is None else f"{score.accuracy:.4f} {score.loss:.6f}"


def told(case: Case, said: Said) -> str:
    """The runs that a command names, in their order."""
    run_ids = re.findall(r"\b[0-9a-f]{16}\b", said.out)
    return f"{case.name}: {' '.join(run_ids)}".rstrip()


def cache_files(cache: Path) -> list[str]:
    """Names of the folders of prepared images, their files and the keys of meta.json."""
    found = []
    for meta in sorted(cache.glob("*/meta.json")):
        document = json.loads(meta.read_bytes())
        names = " ".join(sorted(path.name for path in meta.parent.iterdir()))
        found.append(f"{meta.parent.name}: {names}")
        found.append(f"{meta.parent.name}/meta.json: {' '.join(outline.keys(document))}")
        found.append(f"{meta.parent.name}: fingerprint {document['meta']['info']['fingerprint']}")
    return found


def answers(lab: Lab) -> Any:
    """answers.json of a lab with a report, without its sentences."""
    return numbers(json.loads((lab.results / "answers.json").read_bytes()))


def summary(lab: Lab) -> list[dict[str, str]]:
    """The rows of summary.csv of a lab with a report."""
    text = (lab.results / "summary.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def number(text: str) -> str | float:
    """A cell of a table as a number, where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def makers(folder: Path) -> dict[str, Callable[[], Any]]:
    """File name → what the imported code makes of it; labs are copied into `folder`."""
    cache = folder / "cache"
    os.environ[CACHE_VARIABLE] = str(cache)
    lab = Lab.copied(folder / "lab")
    lab.give("run baseline.yaml")
    lab.give(REPORT.line)

    def written() -> Lab:
        if not (folder / "written").exists():
            outline.write_files(Lab.copied(folder / "written"))
        return Lab(folder / "written")

    return {
        "ids.txt": identities.lines,
        "recipes.txt": identities.recipes,
        "streams.txt": facts.random_streams,
        "names.txt": facts.public_names,
        "exit_codes.txt": facts.exit_codes,
        "options.txt": facts.options,
        "settings.txt": lambda: facts.settings_keys(lab),
        "runs.txt": lambda: runs(lab),
        "told.txt": lambda: [told(case, lab.give(case.line)) for case in READING],
        "cache.txt": lambda: cache_files(cache),
        "answers.json": lambda: answers(lab),
        "summary.json": lambda: summary(lab),
        "files.txt": lambda: outline.outline(written()),
        "resumed.json": lambda: {"machine": bits.machine(), "runs": bits.resumed(written())},
        "trained.json": lambda: {"machine": bits.machine(), "runs": bits.trained(folder / "trained")},
    }


def write(names: Iterable[str]) -> None:
    """Write golden files, as the code that is imported has them."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        known = makers(Path(folder))
        for name in names or known:
            made = known[name]()
            text = (
                json.dumps(made, indent=1, ensure_ascii=False) + "\n"
                if name.endswith(".json")
                else "".join(f"{line}\n" for line in made)
            )
            (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
