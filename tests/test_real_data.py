"""An epoch on real images: CIFAR-10 as a zip of JPEG files, by the real command and a shipped file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.slow
def test_an_epoch_of_adam_on_cifar10(lab: Any, jpeg_zip: Path) -> None:
    code, output, said = lab.command(
        "run", ROOT / "configs" / "q3_adam.yaml", "--seeds", "0", "--set", "epochs=1",
        "--set", "data.dataset=imagefolder", "--set", f"data.root={jpeg_zip}",
    )  # fmt: skip
    assert code == 0, said
    assert "Adam (epochs=1) · seed 0: done" in output
    (record,) = lab.records()
    assert (record.label, record.seed, record.status, record.reason) == ("Adam (epochs=1)", 0, "done", None)
    assert (record.data.train_size, record.data.val_size, record.data.test_size) == (50_000, 0, 10_000)
    assert record.data.classes == CLASSES
    assert record.parameters == 62_006
    assert record.test is not None
    assert 0.35 < record.test.accuracy < 0.6
    assert [sum(row) for row in record.test.confusion] == [1_000] * 10
    assert record.test.accuracy == pytest.approx(sum(record.test.per_class) / 10)
    folder = lab.results / "runs" / record.run_id
    assert sorted(path.name for path in folder.iterdir()) == [
        "metrics.jsonl", "predictions.npz", "record.json", "settings.yaml", "weights.safetensors",
    ]  # fmt: skip
