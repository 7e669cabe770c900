"""What is in a run's id and what is not, over every setting that there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cifar_lab import data
from cifar_lab.config import Cosine, CustomModel, ImageFolder, Loss, NetModel, Runtime, Settings, Synthetic
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.model_source import source_file, source_files
from cifar_lab.config.registry import SECTION_CHOICES
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import MissingExtraError, SettingsError, WeightsError
from cifar_lab.execution.plan import run_ids_of
from tests.config.every_field import needed

FINGERPRINT = "f" * 64


def id_of(settings: Settings) -> str:
    return run_id(recipe(settings), FINGERPRINT, 0)


def test_every_choice_of_a_section_is_another_run() -> None:
    for section, (key, classes) in SECTION_CHOICES.items():
        if section == "data":
            continue
        ids = [id_of(settings_from({section: {key: name, **needed(cls)}})) for name, cls in classes.items()]
        assert len(set(ids)) == len(ids), section


def test_a_custom_models_name_and_options_are_in_the_id(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("class A: ...\nclass B: ...\n")
    ids = [
        id_of(Settings(model=CustomModel(name=f"{path}:{name}", options=options)))
        for name, options in [("A", {}), ("B", {}), ("A", {"width": 1}), ("A", {"width": 2})]
    ]
    assert len(set(ids)) == 4


def test_a_custom_model_is_its_source_and_not_its_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("class A: ...\n")
    assert id_of(Settings(model=CustomModel(name=f"{first}:A"))) == id_of(
        Settings(model=CustomModel(name=f"{second}:A"))
    )
    second.write_text("class A: ... \n")
    assert id_of(Settings(model=CustomModel(name=f"{first}:A"))) != id_of(
        Settings(model=CustomModel(name=f"{second}:A"))
    )


def test_weights_are_their_content_and_not_their_path(tmp_path: Path) -> None:
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    first.write_bytes(b"1")
    second.write_bytes(b"1")
    assert id_of(Settings(model=NetModel(weights=str(first)))) == id_of(Settings(model=NetModel(weights=str(second))))
    second.write_bytes(b"2")
    assert id_of(Settings(model=NetModel(weights=str(first)))) != id_of(Settings(model=NetModel(weights=str(second))))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        recipe(Settings(model=NetModel(weights=str(tmp_path / "none.pt"))))
    assert str(caught.value) == (
        f"{tmp_path}/none.pt: cannot be read (No such file or directory); check the path in the settings"
    )


def test_the_images_are_in_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path))
    base = {"train_size": 30, "test_size": 20, "difficulty": 0.5, "data_seed": 0}
    changes: list[dict[str, Any]] = [
        {}, {"train_size": 40}, {"test_size": 30}, {"difficulty": 0.6}, {"data_seed": 1}, {"batch_size": 8},
    ]  # fmt: skip
    ids = []
    for change in changes:
        arm = Settings(data=Synthetic(dataset="synthetic", **{**base, **change}), seeds=(0,))
        data.prepare(arm.data)
        ids += run_ids_of(arm)
    assert len(set(ids)) == len(changes)


def test_the_place_of_the_images_is_not_in_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for number, name in enumerate(("ant", "bee")):
            folder = tmp_path / "here" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 32), (number, 7, 9)).save(folder / "0.png")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    arms = [Settings(data=ImageFolder(dataset="imagefolder", root=str(tmp_path / name))) for name in ("here", "there")]
    for arm in arms:
        data.prepare(arm.data)
    assert run_ids_of(arms[0]) == run_ids_of(arms[1])
    assert len(set(run_ids_of(arms[0]))) == 3


def test_the_order_of_keys_is_not_in_the_id() -> None:
    parts = recipe(Settings(scheduler=Cosine(name="cosine", min_lr=1e-5), loss=Loss(label_smoothing=0.1)))
    turned = json.loads(json.dumps(parts), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(turned) != list(parts)
    assert run_id(turned, FINGERPRINT, 0) == run_id(parts, FINGERPRINT, 0)


def test_a_default_that_is_stated_is_no_other_run() -> None:
    stated = settings_from({"optimizer": {"name": "sgd", "lr": 0.001, "momentum": 0.9}, "scheduler": {"name": "none"}})
    assert id_of(stated) == id_of(Settings())


def test_seed_and_images_and_recipe_each_name_another_run() -> None:
    parts, longer = recipe(Settings()), recipe(Settings(epochs=11))
    coarser = recipe(Settings(runtime=Runtime(precision="bf16")))
    cases = [
        (parts, FINGERPRINT, 0), (parts, FINGERPRINT, 1), (parts, "0" * 64, 0), (longer, FINGERPRINT, 0),
        (coarser, FINGERPRINT, 0),
    ]  # fmt: skip
    ids = {run_id(*case) for case in cases}
    assert len(ids) == 5


PINNED = {
    "baseline": ({}, 0, "81310abf60f929cd"),
    "tuned": (
        {
            "data": {"batch_size": 128, "flip": True, "val_size": 5000},
            "model": {"name": "Net1"},
            "optimizer": {"name": "adamw", "lr": 0.002, "betas": [0.9, 0.98]},
            "scheduler": {"name": "one_cycle"},
            "loss": {"label_smoothing": 0.1},
            "epochs": 20,
        },
        7,
        "9f8576bd714bbdee",
    ),
    "plateau": (
        {"scheduler": {"name": "plateau", "patience": 2}, "runtime": {"precision": "bf16"}, "label": "any"},
        4_294_967_295,
        "1afcc4ed75a8a7c6",
    ),
}
"""Ids that existing results folders hold. A change here orphans them: raise `NUMERICS` and say so in the notes."""


@pytest.mark.parametrize("name", PINNED)
def test_ids_stay_what_they_were(name: str) -> None:
    values, seed, expected = PINNED[name]
    assert run_id(recipe(settings_from(values)), FINGERPRINT, seed) == expected


def test_source_files_are_found_without_being_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lab_models"
    (package / "deep").mkdir(parents=True)
    for path in (package / "__init__.py", package / "deep" / "__init__.py", package / "deep" / "nets.py"):
        path.write_text("raise RuntimeError('this was run')\n")
    (tmp_path / "lab_single.py").write_text("raise RuntimeError('this was run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert source_file("lab_models:A") == package / "__init__.py"
    assert source_file("lab_models.deep:A") == package / "deep" / "__init__.py"
    assert source_file("lab_models.deep.nets:A") == package / "deep" / "nets.py"
    assert source_file("lab_single:A") == tmp_path / "lab_single.py"
    assert source_file(f"{tmp_path}/lab_single.py:A") == tmp_path / "lab_single.py"


NO_MODULE = "model.name: no module {!r}; install its package or give path/to/file.py:NAME"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py:A", "model.name: no file none.py; give the path relative to the settings file"),
        ("no_such_module:A", NO_MODULE.format("no_such_module")),
        ("json.none:A", NO_MODULE.format("json.none")),
        ("json.decoder.none:A", NO_MODULE.format("json.decoder.none")),
    ],
)
def test_a_source_that_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        source_file(name)
    assert str(caught.value) == message


def test_files_that_a_model_imports_from_beside_it_are_part_of_it(tmp_path: Path) -> None:
    model, helper, deep = tmp_path / "mine.py", tmp_path / "layers.py", tmp_path / "blocks" / "one.py"
    deep.parent.mkdir()
    model.write_text("import torch\nfrom layers import Layer\n")
    helper.write_text("import blocks.one\nimport mine\n")
    deep.write_text("A = 1\n")
    (tmp_path / "unrelated.py").write_text("A = 1\n")
    assert source_files(f"{model}:M") == [model, deep, helper]
    settings = settings_from({"model": {"name": f"{model}:M"}})
    before = recipe(settings)["model"]["source"]
    deep.write_text("A = 2 \n")
    assert recipe(settings)["model"]["source"] != before
    helper.write_text("")
    alone = recipe(settings)["model"]["source"]
    deep.write_text("A = 3  \n")
    assert recipe(settings)["model"]["source"] == alone


MODEL = "from torch import nn\nclass M(nn.Flatten):\n    pass\n"


def write_all(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("model", "files", "belonging"),
    [
        ("late.py", {"late.py": "def f():\n    from parts import a\n", "parts.py": ""}, ["parts.py"]),
        ("net.py", {"net.py": "from .parts import a\n", "parts.py": "from . import more\n", "more.py": ""},
         ["more.py", "parts.py"]),
        ("models/net.py", {"models/net.py": "from ..utils.ops import a\n", "utils/ops.py": ""}, ["utils/ops.py"]),
        ("models/net.py", {"models/net.py": "from utils import a\n", "utils.py": "import more\n", "more.py": ""},
         ["more.py", "utils.py"]),
        ("models/net.py",
         {"models/__init__.py": "from .other import b\n", "models/net.py": "from .base import a\n",
          "models/base.py": "", "models/other.py": "", "models/unused.py": ""},
         ["models/__init__.py", "models/base.py", "models/other.py"]),
        ("models/net.py", {"models/__init__.py": "", "models/net.py": "import models.base\n", "models/base.py": ""},
         ["models/__init__.py", "models/base.py"]),
        ("net.py", {"net.py": "import importlib\nimportlib.import_module('parts')\n", "parts.py": ""}, ["parts.py"]),
        ("net.py", {"net.py": "from .parts import *\n", "parts/__init__.py": "", "parts/deep/one.py": ""},
         ["parts/__init__.py", "parts/deep/one.py"]),
        ("models/__init__.py", {"models/__init__.py": "from .net import *\n", "models/net.py": ""}, ["models/net.py"]),
    ],
)  # fmt: skip
def test_every_file_that_a_model_imports_is_in_its_id(
    model: str, files: dict[str, str], belonging: list[str], tmp_path: Path
) -> None:
    write_all(tmp_path, files)
    found = source_files(f"{tmp_path}/{model}:M")
    assert found[0] == tmp_path / model
    assert [path for path in found[1:] if path != found[0]] == [tmp_path / name for name in belonging]
    settings = settings_from({"model": {"name": f"{tmp_path}/{model}:M"}})
    ids = {recipe(settings)["model"]["source"]}
    for path in found:
        path.write_text(path.read_text() + "#")
        ids.add(recipe(settings)["model"]["source"])
    assert len(ids) == 1 + len(found)


def test_a_package_in_the_working_folder_is_named_with_all_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, {"zoo/__init__.py": "from .net import M\n", "zoo/net.py": MODEL, "zoo/other.py": ""})
    monkeypatch.chdir(tmp_path)
    assert source_files("zoo:M") == [tmp_path / "zoo/__init__.py", tmp_path / "zoo/net.py"]
    assert source_files("zoo.net:M") == [tmp_path / "zoo/net.py", tmp_path / "zoo/__init__.py"]


def test_the_version_of_an_installed_package_stands_for_its_files() -> None:
    import torchvision  # type: ignore[import-untyped]

    source = recipe(settings_from({"model": {"name": "torchvision.models:resnet34"}}))["model"]["source"]
    assert source == f"torchvision {torchvision.__version__.partition('+')[0]}"


def test_a_model_of_timm_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_lab.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"model.name: timm:resnet18: timm is not installed; .*\[timm\]"):
        source_file("timm:resnet18")
