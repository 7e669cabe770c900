"""A results folder with every kind of file, made without training."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifar_lab.analysis.interim_looks import StoppingPlan, plan_suffix, save_plan
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_text
from cifar_lab.core.atomic_io import make_folder, write_bytes, write_text
from cifar_lab.core.checksums import seal_checkpoint
from cifar_lab.store.documents import seal_document
from cifar_lab.store.failures import note_failure
from cifar_lab.store.notes import Notes, notes_file, write_notes
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.removal import mark_file
from cifar_lab.store.results import RunFolder, metrics_digest
from cifar_lab.store.run_texts import text_digest

from ..record_fixtures import record, score
from ..report.made_lab import make_lab

GONE = "f" * 16
"""Id of a run that was removed."""


@dataclass(frozen=True)
class Folder:
    """The results folder and its parts."""

    sheet: Path
    run: RunFolder
    """A finished run with all files."""
    failed: RunFolder
    """A run that failed after a checkpoint."""
    plan: Path
    """Plan of looks of question q1."""

    @property
    def results(self) -> Path:
        return self.run.path.parents[1]

    def files(self) -> dict[str, Path]:
        """Every file with a checksum, by a name of its kind."""
        run, index = self.run, sorted((self.results / "index").iterdir())
        return {
            "record": run.record, "weights": run.weights, "predictions": run.predictions, "metrics": run.metrics,
            "settings": run.settings, "checkpoint": self.failed.checkpoint, "failure": self.failed.failure,
            **self.documents(), "index": index[0], "notes": notes_file(run), "mark": mark_file(self.results, GONE),
        }  # fmt: skip

    def documents(self) -> dict[str, Path]:
        """Documents beside the runs."""
        sweep = self.results / "sweeps" / "grid"
        return {"plan": sweep / "plan.json", "winners": sweep / "winners.json", "looks": self.plan}


def make_folder_of_all_files(folder: Path, seed: int = 0) -> Folder:
    """Fill `folder`. Another `seed` gives other content in every file."""
    sheet = make_lab(folder, record)
    results = folder / "results"
    run = _finished(results, seed)
    failed = RunFolder(results, f"{seed:016x}")
    failed.path.mkdir()
    failed.checkpoint.write_bytes(seal_checkpoint(failed.path.name, b"state"))
    note_failure(failed, "arm", seed, kind="oom", reason="out of memory", exit_code=1, attempts=2)
    control = recipe_key(run.recipe)
    name = f"q1-{plan_suffix(run.data.fingerprint, control)}"
    write_notes(RunFolder(results, run.run_id), Notes(f"note {seed}", ("best",)))
    make_folder(results / "removed")
    write_bytes(mark_file(results, GONE), seal_document({"run_id": GONE}))
    plan = StoppingPlan(question=name, fingerprint=run.data.fingerprint, control=control, arms=(), looks=(3, 5 + seed))
    return Folder(sheet, RunFolder(results, run.run_id), failed, save_plan(results, plan))


def _finished(results: Path, seed: int) -> Record:
    settings = Settings(label="all files", epochs=9)
    epochs = [EpochMetrics(epoch=k, lr=0.1, train_loss=1 / k, train_accuracy=0.5, seconds=1 + seed) for k in (1, 2, 3)]
    made = record(0.5, seed + 7, settings)
    folder = RunFolder(results, made.run_id)
    folder.path.mkdir(parents=True)
    predictions = io.BytesIO()
    np.savez(predictions, labels=np.arange(4) % 2, logits=np.ones((4, 2)) * (1 + seed))
    contents = {"weights.safetensors": b"weights %d" % seed, "predictions.npz": predictions.getvalue()}
    for name, content in contents.items():
        folder.write_file(name, content)
    folder.write_metrics(epochs)
    text = settings_text(settings, made.seed)
    write_text(folder.settings, text)
    made = made.model_copy(
        update={
            "test": score(0.5), "train_seconds": sum(each.seconds for each in epochs),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            "sizes": folder.sizes(contents), "metrics_sha256": metrics_digest(epochs),
            "settings_sha256": text_digest(text),
        }
    )  # fmt: skip
    folder.write_record(made)
    return made
