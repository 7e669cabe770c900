"""The files that a lab writes and what is in each: names, keys in their order, shapes of arrays."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.numpy import load as load_safetensors

from .commands import Lab, Said

RESUMED = ("ae49e40ad2b52e80", "b70eb33a1daea04d")
"""Interrupted runs of the old lab: Net by the C kernels, and a small network by torch's."""
FAILED = "8eee8ce96f1477ff"
DIVERGED = "cca69e10224442a5"
"""Seed 2 of the arm that diverges, which the old lab has not."""

CHECKPOINT_HEAD = b"cifar-lab checkpoint 1\n"
DIGEST_BYTES = 32

STATED = frozenset({"recipe", "values"})
"""Keys of documents with the settings that a run states."""


def write_files(lab: Lab) -> list[Said]:
    """Let the code that is imported write a file of each kind into a copy of the old lab.

    The interrupted runs and the one that failed are resumed, a run diverges, and what sweeps and looks leave is made
    anew from the runs that are there.
    """
    for name in ("sweeps", "stopping"):
        shutil.rmtree(lab.results / name)
    (lab.folder / "wild_again.yaml").write_text("extends: wild.yaml\nlabel: wild\nseeds: [2]\n", encoding="utf-8")
    files = "interrupted_net.yaml interrupted_small.yaml broken.yaml wild_again.yaml"
    lines = (
        f"run {files} --workers 1 --set runtime.checkpoint_seconds=0", "sweep grid.yaml", "sweep halving.yaml",
        "run --lab lab.yaml --question smooth --until-decided --max-seeds 4",
    )  # fmt: skip
    return [lab.give(line) for line in lines]


def outline(lab: Lab) -> Iterator[str]:
    """A line per kind of folder with its files, and a line per kind of file with its keys."""
    for kind, run_id in (("done", RESUMED[0]), ("failed", FAILED), ("diverged", DIVERGED)):
        yield f"folder of a run that is {kind}: {' '.join(sorted(path.name for path in lab.run(run_id).iterdir()))}"
    for name in ("sweeps", "stopping"):
        found = sorted(path for path in (lab.results / name).rglob("*") if path.is_file())
        yield f"{name}: {' '.join(str(path.relative_to(lab.results / name)) for path in found)}"
    for title, path in _examples(lab):
        yield f"{title}: {' '.join(_content(path))}"


def _examples(lab: Lab) -> Iterator[tuple[str, Path]]:
    """(title, path) of a file of each kind."""
    for kind, run_id in zip(("Net", "small"), RESUMED, strict=True):
        for path in sorted(lab.run(run_id).iterdir()):
            yield f"{path.name} of {kind}", path
    yield "record.json of a run that diverged", lab.run(DIVERGED) / "record.json"
    for name in ("failure.json", "checkpoint.bin"):
        yield name, lab.run(FAILED) / name
    yield from ((str(path.relative_to(lab.results)), path) for path in sorted(lab.results.glob("sweeps/*/*.json")))
    yield from (("a plan of looks", path) for path in sorted(lab.results.glob("stopping/*.json")))


def _content(path: Path) -> Iterator[str]:
    """The keys of a file."""
    content = path.read_bytes()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            yield from keys(dict(arrays))
    elif path.suffix == ".safetensors":
        yield from keys(dict(sorted(load_safetensors(content).items())))
    elif path.suffix == ".yaml":
        yield from keys(yaml.safe_load(content))
    elif path.suffix == ".bin":
        yield from keys(checkpoint(content))
    else:
        yield from keys(json.loads(content.splitlines()[0] if path.suffix == ".jsonl" else content))


def checkpoint(content: bytes) -> Any:
    """The state in a checkpoint, behind its head and its digest."""
    assert content.startswith(CHECKPOINT_HEAD)
    return torch.load(io.BytesIO(content[len(CHECKPOINT_HEAD) + DIGEST_BYTES :]), weights_only=True)


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The keys of a document in their order, dotted; of a list the first item stands for all."""
    if isinstance(value, dict) and value and path.rpartition(".")[2] not in STATED:
        for key, each in value.items():
            yield from keys(each, f"{path}.{key}".strip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from keys(value[0], f"{path}[]")
    elif isinstance(value, torch.Tensor | np.ndarray):
        kind, shape = str(value.dtype).removeprefix("torch."), "x".join(map(str, value.shape))
        yield f"{path}:{kind}:{shape}"
    else:
        yield path
