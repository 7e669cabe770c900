"""A notebook from load to report, executed by a kernel of its own."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

import cifar_lab
from cifar_lab.store.results import read_records

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

MODEL = """\
class MyNet(nn.Module):
    def __init__(self, num_classes, width=WIDTH):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))
"""

CELLS = (
    "import cifar_lab as lab\nimport torch\nfrom torch import nn\nWIDTH = 6",
    "base = lab.load_settings('tiny.yaml')\nlab.make_runs(base)",
    MODEL + "\nmade = lab.run(MyNet, base, options={'width': 8})\nmade",
    "lab.read_records().to_frame()[['label', 'seed', 'test_accuracy', 'model.name']]",
    "lab.summarize(lab.read_records())",
    "made.records[0]",
    "page = lab.report(found=True)\npage",
    "page.answers[0]",
    "page.to_frame()",
    "network = lab.load_model(made.records[0])\ntuple(network(torch.rand(2, 3, 32, 32)).shape)",
    "lab.run(MyNet, base, options={'width': 8}).outcomes",
)

TINY = """\
data: {dataset: synthetic, train_size: 100, test_size: 50, batch_size: 50}
epochs: 2
seeds: [0, 1, 2]
runtime: {device: cpu}
"""


def outputs(cell: Any) -> str:
    """Last output of a cell: HTML where it has some, else text."""
    data = cell.outputs[-1]["data"]
    return str(data.get("text/html", data["text/plain"]))


@pytest.mark.slow
def test_a_notebook_from_load_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    source = str(Path(cifar_lab.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client
        nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    _, first, own, frame, arms, record, page, answer, rows, shape, again = notebook.cells
    assert "all runs · 3/3 runs" in str(first.outputs[0]["data"]["text/html"])
    assert outputs(own).count("<td>MyNet</td>") == 3
    for shown, words in ((frame, "model.name"), (arms, "<td>MyNet</td>"), (record, "test_accuracy"), (rows, "MyNet")):
        assert words in outputs(shown)
    assert outputs(page).startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "MyNet" in outputs(answer)
    assert outputs(shape) == "(2, 10)"
    assert outputs(again) == "[]"
    assert len(read_records(tmp_path / "results")) == 6
    (model,) = (tmp_path / "results" / "models").iterdir()
    assert "class MyNet(nn.Module):" in model.read_text()


@pytest.mark.slow
def test_a_model_of_a_notebook_moves_with_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text("from torch import nn\n" + MODEL.replace("=WIDTH", "=6"))
    (tmp_path / "tiny.yaml").write_text(TINY.replace("[0, 1, 2]", "[0]"))
    quiet = cifar_lab.Silent()
    results = tmp_path / "results"
    (results / "models").mkdir(parents=True)
    (tmp_path / "models.py").rename(results / "models" / "MyNet_0.py")
    made = cifar_lab.run(f"{results}/models/MyNet_0.py:MyNet", "tiny.yaml", ["epochs=1"], display=quiet)
    assert [record.label for record in made.records] == ["MyNet"]
    results.rename(tmp_path / "moved")
    assert cifar_lab.load_model("MyNet", "moved").run_id == made.records[0].run_id
