"""What is in a run's id and what is not, over every setting that there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from cifar_lab import data
from cifar_lab.config import SECTION_CHOICES, Cosine, CustomModel, ImageFolder, Loss, Net, Runtime, Settings, Synthetic
from cifar_lab.config.io import settings_from
from cifar_lab.config.model_source import source_file, source_files
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import SettingsError, WeightsError
from cifar_lab.execution.plan import run_ids_of

FINGERPRINT = "f" * 64

OUTSIDE = {
    "label",
    "seeds",
    "runtime.device",
    "runtime.compile",
    "runtime.deterministic",
    "runtime.kernels",
    "runtime.cohort",
    "runtime.threads",
}
"""Settings that leave the id alone. A run's own seed is in it, the list of seeds is not."""

IN_FINGERPRINT = {"data.root", "data.train_size", "data.test_size", "data.difficulty", "data.data_seed"}
"""Settings that the data fingerprint stands for."""

NEEDS: dict[str, dict[str, Any]] = {"data.split_seed": {"val_size": 10}}
"""What a setting needs beside it to have an effect."""

OTHER: dict[str, Any] = {
    "betas": (0.8, 0.95), "momentum": 0.5, "max_lr": 0.3, "root": "elsewhere", "options": {"width": 3},
    "seeds": (5, 6), "threads": 2, "cohort": 7, "label": "another", "factor": 0.3, "pct_start": 0.4,
}  # fmt: skip
"""Values of settings whose type alone does not suggest one."""


def choices() -> list[tuple[str, dict[str, Any]]]:
    """Each section with each of its classes, as settings values."""
    cases: list[tuple[str, dict[str, Any]]] = [("", {}), ("loss", {}), ("runtime", {})]
    for section, (key, classes) in SECTION_CHOICES.items():
        for name in classes:
            root = {"root": "somewhere"} if name == "imagefolder" else {}
            cases.append((section, {key: name, **root}))
    return cases


def section_of(settings: Settings, section: str) -> Any:
    return getattr(settings, section) if section else settings


def fields() -> list[tuple[str, dict[str, Any], str]]:
    """(section, its choice, field) of every setting of every class."""
    found = []
    for section, values in choices():
        chosen = section_of(settings_from({section: values} if section else {}), section)
        names = [name for name in type(chosen).model_fields if name not in SECTION_CHOICES]
        found += [(section, values, name) for name in names if name not in ("loss", "runtime", *values)]
        if "root" in values:
            found.append((section, values, "root"))
    return found


def another(cls: Any, name: str, weights: Path) -> Any:
    """A value of the field that is not its default."""
    field = cls.model_fields[name]
    if name == "weights":
        return str(weights)
    if name in OTHER:
        return OTHER[name]
    if get_origin(field.annotation) is Literal:
        return next(value for value in get_args(field.annotation) if value != field.default)
    if isinstance(field.default, bool):
        return not field.default
    return field.default + 1 if isinstance(field.default, int) else field.default * 0.5 + 0.125


def id_of(settings: Settings) -> str:
    return run_id(recipe(settings), FINGERPRINT, 0)


@pytest.mark.parametrize(
    ("section", "values", "name"),
    [
        pytest.param(*case, id=".".join(filter(None, [case[0], *map(str, case[1].values()), case[2]])))
        for case in fields()
        if (case[0], case[2]) != ("loss", "name")
    ],
)
def test_every_setting_is_in_the_id_or_stands_on_a_short_list(
    section: str, values: dict[str, Any], name: str, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    key = f"{section}.{name}" if section else name
    before = settings_from({section: {**values, **NEEDS.get(key, {})}} if section else {})
    chosen = section_of(before, section)
    changed = type(chosen).model_validate({**dict(chosen), name: another(type(chosen), name, weights)})
    assert changed != chosen
    after = before.model_copy(update={section: changed}) if section else changed
    assert (id_of(after) == id_of(before)) is (key in OUTSIDE | IN_FINGERPRINT)


@pytest.mark.parametrize(
    ("section", "values", "idle"),
    [
        ("data", {}, {"split_seed": 3}),
        ("scheduler", {"name": "one_cycle", "cycle_momentum": False}, {"base_momentum": 0.5}),
        ("scheduler", {"name": "one_cycle", "cycle_momentum": False}, {"max_momentum": 0.99}),
    ],
)
def test_a_setting_without_effect_names_no_other_run(
    section: str, values: dict[str, Any], idle: dict[str, Any]
) -> None:
    assert id_of(settings_from({section: {**values, **idle}})) == id_of(settings_from({section: values}))


def test_every_choice_of_a_section_is_another_run() -> None:
    for section, (key, classes) in SECTION_CHOICES.items():
        if section == "data":
            continue
        ids = [id_of(settings_from({section: {key: name}})) for name in classes]
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
    assert id_of(Settings(model=Net(weights=str(first)))) == id_of(Settings(model=Net(weights=str(second))))
    second.write_bytes(b"2")
    assert id_of(Settings(model=Net(weights=str(first)))) != id_of(Settings(model=Net(weights=str(second))))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        recipe(Settings(model=Net(weights=str(tmp_path / "none.pt"))))
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


NO_MODULE = "model.name: no module {!r}; install its package or give path/to/file.py:Class"


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
