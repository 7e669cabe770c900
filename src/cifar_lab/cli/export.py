"""`cifar-lab export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, Results


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="First characters of a run id, or a label that one run has.",
            autocompletion=complete_name,
        ),
    ],
    kind: Annotated[
        Literal["onnx", "torch.export", "safetensors"],
        typer.Option(
            "--format", metavar="onnx|torch.export|safetensors",
            help="onnx and torch.export are programs, safetensors holds the weights and how to normalise.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file. Default: the run's id in this folder.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:  # fmt: skip
    """Export the trained network of a run to a file, then read the file and compare it with the network.

    The network takes float32 images (N, 3, H, W) with pixels from 0 to 1 and returns logits. Normalisation is inside.
    """
    from cifar_lab.analysis.factors import settings_of
    from cifar_lab.analysis.finished_runs import find_finished
    from cifar_lab.core.terminal import say
    from cifar_lab.core.text import plain

    if kind == "onnx":
        from cifar_lab.core.extras import require_extra

        require_extra("onnx", "--format onnx")
    record = find_finished(run, results)
    path = _file(out, record.run_id, kind, results)

    from cifar_lab.training.trained.export import export as write
    from cifar_lab.training.trained.network import load_trained

    network = load_trained(results, record, settings_of(record))
    difference = write(network, kind, path)
    say(
        plain(
            f"{path}: {record.label}, seed {record.seed}; largest difference of a logit on random images: "
            f"{difference:.1e}"
        )
    )


def _file(out: Path | None, run_id: str, kind: str, results: Path) -> Path:
    """Path of the exported file.

    Raises:
        SettingsError: its ending is not that of the format, its folder does not exist, or it is a file of a run.
    """
    from cifar_lab.core.errors import SettingsError
    from cifar_lab.store.results import runs_folder

    suffix = {"onnx": ".onnx", "torch.export": ".pt2", "safetensors": ".safetensors"}[kind]
    path = out if out is not None else Path(f"{run_id}{suffix}")
    if path.suffix != suffix:
        raise SettingsError(f"--out: {path} does not end in {suffix}; --format {kind} writes such a file")
    if not path.parent.is_dir():
        raise SettingsError(f"--out: no folder {path.parent}; create it, or give another file")
    if path.resolve().is_relative_to(runs_folder(results).resolve()):
        raise SettingsError(f"--out: {path} is among the runs of {results}; give a file elsewhere")
    return path
