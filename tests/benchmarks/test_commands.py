"""`python -m benchmarks` as a person calls it, and what names its benchmarks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.curve_figure import draw_curves, extended
from benchmarks.processes import ROOT
from benchmarks.rows import CPU_ONLY, GPU_BY_DEFAULT, ROWS
from benchmarks.rows.tutorial import counts


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_quick_look_goes_through_both_sides(tmp_path: Path) -> None:
    done = command("images_per_second", "--quick", "--pairs", 1, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| images/s, geometric mean, cpu | " in done.stdout
    document = json.loads((tmp_path / "images_per_second-cpu.json").read_text())
    assert document["quick"] is True
    assert document["machine"]["cores"] >= 1
    part, mean = document["comparisons"]
    assert part["ratios"] == mean["ratios"]
    (pair,) = part["pairs"]
    for side in ("candidate", "peer"):
        assert pair[side]["value"] > 0
        assert pair[side]["warm_up_seconds"] > 0
        assert pair[side]["peak_bytes"] > 2**27
    again = command("images_per_second", "--quick", "--pairs", 1, "--out", tmp_path)
    assert "pair 1 of 1" not in again.stdout
    assert command("table", "--out", tmp_path).stdout.count("\n") == 2


def test_without_images_it_says_what_is_missing(tmp_path: Path) -> None:
    done = command("grid", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("grid: this benchmark trains on real images: name a zip of JPEG files with --zip FILE\n")
    assert "not measured on cpu" in command("cohort", "--out", tmp_path).stdout


def test_benchmarks_are_described_and_the_gpu_script_names_them() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert {name for name in ROWS if f"`{name}`" not in text} == set()
    script = (ROOT / "benchmarks" / "gpu.sh").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^ *measure (.*)$", script, flags=re.M)))) & set(ROWS)
    assert named == set(ROWS) - set(CPU_ONLY)
    assert set(GPU_BY_DEFAULT) <= named


def test_the_gpu_script_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    script = ROOT / "benchmarks" / "gpu.sh"
    done = subprocess.run(["bash", script], env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)}, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"torch finds no GPU here" in done.stderr


def test_curves_go_on_as_their_last_two_points_come_to(tmp_path: Path) -> None:
    curve = [(1, 5.0), (2, 6.0), (5, 9.0)]
    assert extended(curve, (1, 2, 5, 10, 20)) == [(10, 14.0), (20, 24.0)]
    assert extended(curve[:1], (1, 2)) == []
    draw_curves({"ours": curve, "theirs": [(1, 2.0)], "nobody's": []}, (1, 2, 5, 10), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_loader_workers_to_try() -> None:
    assert counts(2) == [0, 1, 2, 4]
    assert counts(3) == [0, 1, 2, 4]
    assert counts(64) == [0, 1, 2, 4, 8, 16]
