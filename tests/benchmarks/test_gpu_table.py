"""The table of targets on a GPU: what is in it, from which files, and its place in the documentation."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_table import HEAD, MISSING, PAGE, ROWS, filled, table
from benchmarks.processes import ROOT
from benchmarks.table import Documents, read
from benchmarks.whole_grid import main as measure_grid


def comparison(name: str, *values: float) -> dict[str, Any]:
    return {"name": name, "pairs": [{"candidate": {"value": value}} for value in values]}


def block(members: int, batch: int | str, rate: float, optimizer: str = "sgd") -> dict[str, Any]:
    return {"members": members, "batch": batch, "model": "Net", "optimizer": optimizer, "block": rate}


MEASURED: Documents = {
    "block": {
        "rows": [block(320, 64, 5_123_456), block(320, 8, 2e6), block(40, 64, 1, "adam"), block(160, "grid", 4e6)]
    },
    "whole_grid-cuda": {"seconds": 61.7, "sequential_seconds_scaled": 1_234.0},
    "start_up-cuda": {"comparisons": [comparison("start-up, cuda", 4.31, 9.0, 4.5)]},
    "resnet18-cuda": {"comparisons": [comparison("ResNet18, batch 128, bf16, cuda", 98_765.0)]},
}  # fmt: skip


def cells(documents: Documents) -> list[str]:
    return [line.split(" | ")[-1].removesuffix(" |") for line in table(documents).splitlines()[2:]]


def test_what_was_measured_stands_in_the_table() -> None:
    assert cells({}) == [MISSING] * len(ROWS)
    assert cells(MEASURED) == [
        f"5.12 M, 2.00 M, {MISSING}", MISSING, f"{MISSING}, 4.00 M", "62 s", "20 times, scaled",
        f"4.5 s, {MISSING}, {MISSING}", f"98,800, {MISSING}", MISSING,
    ]  # fmt: skip


def test_the_page_has_the_rows_that_are_declared() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert HEAD in page
    filled_page = filled(page, MEASURED)
    assert filled(filled_page, MEASURED) == filled_page
    assert "62 s" in filled_page
    before, after = (re.sub(r"\| [^|]+ \|\n", "|\n", text) for text in (page, filled_page))
    assert before == after, "only the last column changes"


def test_quick_looks_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "whole_grid-cuda.json").write_text(json.dumps({"quick": True, "seconds": 1.0}))
    assert read(tmp_path) == {}


def test_the_gpu_script_names_its_parts_within_its_minutes(tmp_path: Path) -> None:
    script, out = ROOT / "benchmarks" / "gpu.sh", tmp_path / "out"
    environment = {"PATH": "/usr/bin:/bin", "DRY_RUN": "1", "PYTHON": "python3"}
    said = subprocess.run(["bash", script, "", out], env=environment, capture_output=True, text=True, check=True).stdout
    parts = [line.partition(", at most ")[0] for line in said.splitlines()]
    assert parts[:2] == ["block kernel", "grid of 320 points"]
    modules = {module.replace(".", "/") for module in re.findall(r"-m (benchmarks[.\w]*)", said)}
    assert all((ROOT / f"{each}.py").exists() or (ROOT / each).is_dir() for each in modules)


@pytest.mark.slow
def test_the_grid_is_measured_as_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["whole_grid", "--quick", "--out", str(tmp_path)])
    assert measure_grid() == 0
    found = json.loads((tmp_path / "whole_grid-cpu.json").read_text())
    assert found["seconds"] > 0 < found["sequential_seconds_scaled"]
