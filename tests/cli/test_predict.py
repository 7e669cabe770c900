"""`predict` and `export`: names of runs, images as people have them, and every way out."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cifar_lab
from cifar_lab import data
from cifar_lab.store.results import RunFolder, read_records

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trained lab")]


@pytest.fixture(scope="module")
def folder(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trained lab with pictures of its test images."""
    lab = trained.lab.copy(tmp_path_factory.mktemp("predict") / "lab")
    settings = cifar_lab.load_settings(lab.folder / "tiny.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_LAB_CACHE", str(lab.cache))
        pixels = data.load_test(settings.data).images
    (lab.folder / "photos" / "deep").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(pixels[number].transpose(1, 2, 0)).save(lab.folder / "photos" / f"{number}.png")
    Image.fromarray(pixels[3].transpose(1, 2, 0)).resize((64, 40)).save(lab.folder / "photos" / "deep" / "wide.png")
    with zipfile.ZipFile(lab.folder / "photos.zip", "w") as archive:
        for number in range(3):
            archive.write(lab.folder / "photos" / f"{number}.png", f"inside/{number}.png")
    return lab


def first_three(lab: Any, seed: int = 0) -> tuple[str, list[str], np.ndarray]:
    """(run id, predicted classes, logits) that the record has of the first three test images."""
    record = next(each for each in read_records(lab.results) if each.seed == seed)
    with np.load(RunFolder(lab.results, record.run_id).predictions) as saved:
        logits = saved["logits"][:3]
    return record.run_id, [record.data.classes[index] for index in logits.argmax(axis=1)], logits


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_a_zip_gives_the_recorded_classes_as_table_csv_and_json(folder: Any) -> None:
    run, classes, logits = first_three(folder)
    done = folder("predict", run[:8], "photos.zip")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].split() == ["file", "class", "probability", "then"]
    assert [line.split()[:2] for line in done.lines[1:]] == [
        [f"photos.zip/inside/{number}.png", name] for number, name in enumerate(classes)
    ]
    rows = list(csv.DictReader(io.StringIO(folder("predict", run[:8], "photos.zip", "--csv").out)))
    assert [row["class"] for row in rows] == classes
    (record, *_) = read_records(folder.results)
    found = np.array([[float(row[f"p {name}"]) for name in record.data.classes] for row in rows])
    np.testing.assert_allclose(found, softmax(logits), atol=1e-6)
    document = json.loads(folder("predict", run[:8], "photos.zip", "--json").out)
    assert document["runs"] == [run]
    assert [each["class"] for each in document["images"]] == classes


def test_several_runs_are_an_ensemble(folder: Any) -> None:
    (one, _, logits), (two, _, others) = first_three(folder), first_three(folder, 1)
    document = json.loads(folder("predict", one, two, "photos/0.png", "photos/1.png", "photos/2.png", "--json").out)
    assert document["runs"] == [one, two]
    found = np.array([list(each["probabilities"].values()) for each in document["images"]])
    np.testing.assert_allclose(found, (softmax(logits) + softmax(others)) / 2, atol=1e-6)


def test_broken_images_are_named_and_others_predicted(folder: Any) -> None:
    run, classes, _ = first_three(folder)
    folder.write("photos/broken.png", "no picture")
    folder.write("photos/notes.txt", "no picture either")
    done = folder("predict", run, "photos", "gone.png", "--out", "seen.png")
    (folder.folder / "photos" / "broken.png").unlink()
    assert done.code == 3
    assert [line.split()[1] for line in done.lines[1:4]] == classes
    assert done.lines[4].startswith("photos/deep/wide.png")
    assert done.err.splitlines() == [
        "note: photos/deep/wide.png has another size than the images of the run; it is resized to 32 × 32 pixels",
        "note: photos/deep/wide.png is not square; resizing changes its proportions",
        "cifar-lab: photos/broken.png is damaged (not an image of a known format); repair or remove it",
        "cifar-lab: gone.png: no such file or folder; give an image, a folder or a zip file",
        "seen.png: 4 images",
    ]
    with Image.open(folder.folder / "seen.png") as figure:
        assert figure.width == 1600


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("RUN",), 2, "stands alone; give a run and then an image, a folder or a zip file"),
        (("tiny", "photos.zip"), 2, "'tiny': 2 runs have this label; give the beginning of a run's id: "),
        (("zzz", "photos.zip"), 2, "no run id starts with 'zzz'"),
        (("RUN", "gone.zip"), 3, "gone.zip: no such file or folder"),
        (("RUN", "results"), 3, "results: has no image file; expected files that end in .bmp"),
        (("RUN", "photos.zip", "--csv", "--json"), 2, "--csv and --json contradict each other; keep one of them"),
        (("RUN", "photos.zip", "--out", "a.txt"), 2, "--out: a.txt ends in none of .png, .svg, .pdf"),
        (("RUN", "photos.zip", "--out", "no/a.png"), 2, "--out: no folder no; create it"),
        (("RUN", "photos.zip", "--results", "elsewhere"), 2, "elsewhere: no such results folder"),
    ],
)
def test_mistakes_change_nothing(folder: Any, words: tuple[str, ...], code: int, said: str) -> None:
    run, *_ = first_three(folder)
    before = folder.listing()
    done = folder("predict", *(run if word == "RUN" else word for word in words))
    assert (done.code, folder.listing()) == (code, before)
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_damaged_weights_end_with_3(trained_copy: Any) -> None:
    run, *_ = first_three(trained_copy)
    weights = RunFolder(trained_copy.results, run).weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    for words in (("predict", run, "tiny.yaml"), ("export", run, "--format", "safetensors")):
        done = trained_copy(*words)
        assert done.code == 3
        assert "weights.safetensors: is damaged (its SHA-256 differs from the record); to retrain the run:" in done.err


def test_a_network_is_exported_and_compared(folder: Any) -> None:
    run, *_ = first_three(folder)
    for kind, name in (("safetensors", f"{run}.safetensors"), ("torch.export", "net.pt2")):
        chosen = () if name.startswith(run) else ("--out", name)
        done = folder("export", run[:6], "--format", kind, *chosen)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{name}: tiny, seed 0; largest difference of a logit on random images: ")
        assert (folder.folder / name).is_file()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("net.onnx", "--out: net.onnx does not end in .safetensors; --format safetensors writes such a file"),
        ("no/net.safetensors", "--out: no folder no; create it"),
        ("results/runs/RUN/weights.safetensors", "is among the runs of results; give a file elsewhere"),
    ],
)
def test_an_export_leaves_other_files_alone(folder: Any, out: str, said: str) -> None:
    run, *_ = first_three(folder)
    before = folder.listing()
    done = folder("export", run, "--format", "safetensors", "--out", out.replace("RUN", run))
    assert (done.code, folder.listing()) == (2, before)
    assert said in done.err


def test_a_missing_extra_is_named(folder: Any, tmp_path: Path) -> None:
    run, *_ = first_three(folder)
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'onnx' else found(name, *rest)\n"
    )
    source = str(Path(cifar_lab.__file__).parents[1])
    done = folder("export", run, "--format", "onnx", PYTHONPATH=f"{tmp_path}:{source}")
    assert done.code == 6
    assert "--format onnx: ONNX is not installed; to install it: " in done.err
