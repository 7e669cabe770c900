"""Exact texts of the commands on the old lab, kept in `expected/`.

python -m tests.compatibility.texts          # write them anew, where a sentence was changed on purpose

The first ones were written by cifar-lab 0.1.0. Ids, numbers and keys are in `golden/` and stay when a sentence changes.
"""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import facts
from .answers import sentences
from .cases import LIST_DAMAGE, READING, REPEATED, REPORT, REPORT_CHECK, VERIFY_DAMAGE, Case
from .commands import HERE, Lab, Said

EXPECTED = HERE / "expected"

DAMAGED_RUN = "bf8629637f13b70b"
"""Seed 2 of the control, of which a test cuts the weights."""


def text_of(case: Case, said: Said) -> str:
    """Content of the expected file of a command."""
    return f"$ cifar-lab {case.line}\n{said.text}"


def give_all(cases: Sequence[Case], lab: Lab) -> dict[str, str]:
    """The text of each command, by file name."""
    return {f"{case.name}.txt": text_of(case, lab.give(case.line)) for case in cases}


def report_texts(lab: Lab) -> dict[str, str]:
    """The texts of a report, of its files and of its check."""
    texts = give_all([REPORT], lab)
    for name in ("report.md", "report.tex"):
        texts[name] = (lab.results / name).read_text(encoding="utf-8")
    page = (lab.results / "report.html").read_text(encoding="utf-8")
    texts |= {"report_page.txt": page_text(page), "report_charts.json": chart_data(page)}
    document = json.loads((lab.results / "answers.json").read_bytes())
    texts["answers_sentences.txt"] = "".join(f"{where}: {text}\n" for where, text in sentences(document))
    return texts | give_all([REPORT_CHECK], lab)


def damage_texts(lab: Lab) -> dict[str, str]:
    """The texts of `verify` and `list` after the weights of a run were cut."""
    weights = lab.run(DAMAGED_RUN) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    return give_all([VERIFY_DAMAGE, LIST_DAMAGE], lab)


def help_text() -> str:
    """The sentences of `--help`, a line per command and option."""
    return "".join(f"{line}\n" for line in facts.option_helps())


def page_text(page: str) -> str:
    """The words of an HTML page, a line per element; its scripts, styles and pictures left out."""
    page = re.sub(r"<style>.*?</style>|<script.*?</script>|<meta[^>]*>", "", page, flags=re.S)
    lines = (html.unescape(line).strip() for line in re.split(r"<[^>]*>|\n", page))
    return "".join(f"{line}\n" for line in lines if line)


def chart_data(page: str) -> str:
    """The numbers that the charts of an HTML page are drawn from, a line per chart."""
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page, flags=re.S)
    charts: Mapping[str, object] = json.loads(data)
    lines = (f"{json.dumps(name)}: {json.dumps(chart, ensure_ascii=False)}" for name, chart in charts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_all() -> None:
    """Write every expected text, as the code that is imported has it."""
    EXPECTED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CIFAR_LAB_CACHE"] = str(folder / "cache")
        lab = Lab.copied(folder / "lab")
        lab.give("run baseline.yaml")
        texts = give_all(READING, lab) | give_all(REPEATED, lab) | report_texts(lab)
        texts |= damage_texts(Lab.copied(folder / "damaged")) | {"help.txt": help_text()}
    for name, text in texts.items():
        (EXPECTED / name).write_text(text, encoding="utf-8")
    for path in EXPECTED.iterdir():
        if path.name not in texts:
            path.unlink()


if __name__ == "__main__":
    write_all()
