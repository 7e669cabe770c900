"""Run id: a hash of the settings that can change the numbers, the data fingerprint and the seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from cifar_lab.config import CustomModel, DataOptions, Section, Settings
from cifar_lab.config.model_options import source_run
from cifar_lab.config.model_source import model_source
from cifar_lab.config.roles import Mark, has_mark, idle_fields, outside_id, role_of
from cifar_lab.core.errors import WeightsError
from cifar_lab.core.files import open_file
from cifar_lab.core.host import located
from cifar_lab.core.identity import NUMERICS as NUMERICS
from cifar_lab.core.identity import run_id as run_id


def recipe(settings: Settings) -> dict[str, Any]:
    """Settings in the identity of a run, by the roles of their fields. Images and seed enter the id separately.

    A value that is the default, or has no effect with the other settings, is left out. Files enter by their content:
    pretrained weights and the source of a custom model as SHA-256.

    Raises:
        WeightsError: a weights file that cannot be read.
        SettingsError: a custom model whose source is not found.
    """
    parts: dict[str, Any] = {}
    for name, always, default in _top(type(settings)):
        value = _value(settings, name, getattr(settings, name))
        if always or value != _value(settings, name, default):
            parts[name] = value
    # The precision has stood here, whatever it is, since the first run.
    runtime = parts.pop("runtime", {})
    parts["precision"] = runtime.pop("precision", settings.runtime.precision)
    return {**parts, **({"runtime": runtime} if runtime else {})}


@cache
def _top(cls: type[Settings]) -> tuple[tuple[str, bool, Any], ...]:
    """(name, whether always in the id, default) of each section, and of each other setting in the id."""
    return tuple(
        (name, has_mark(cls, name, Mark.ALWAYS_IN_ID), default)
        for name, field in cls.model_fields.items()
        if isinstance(default := field.get_default(call_default_factory=True), Section) or role_of(cls, name).in_id
    )


def _value(settings: Settings, name: str, value: Any) -> Any:
    """Part of a section, or of a setting outside the sections, that is in the id."""
    if isinstance(value, DataOptions):
        value = _counted(value)
    if isinstance(value, CustomModel):
        return _custom_model(value, settings)
    if isinstance(value, Section):
        return _stated(value, settings, name)
    if has_mark(type(settings), name, Mark.CODE):
        return [_code(each, name) for each in value]
    return value if isinstance(value, int) else settings.model_copy(update={name: value}).model_dump(mode="json")[name]


def _counted(data: DataOptions) -> DataOptions:
    """The data section with its validation share as a number of images, where the settings tell how many there are."""
    sizes = data.sizes() if isinstance(data.val_size, float) else None
    return data if sizes is None else data.model_copy(update={"val_size": data.val_count(sizes.train)})


def _stated(section: Section, settings: Settings, key: str) -> dict[str, Any]:
    """Choice of a section, then its values in the id that differ from the default, with files as hashes."""
    choice, outside, files, own = _fields(type(section))
    left_out = {*outside, *idle_fields(section, settings)}
    values = _parsed(section.model_dump_json(exclude_defaults=True, exclude=left_out))
    paths = {name: path for name in files if (path := getattr(section, name)) is not None}
    hashes = {name: _content(path) for name, path in paths.items()}
    code: dict[str, Any] = {}
    for name in own:
        if (stated := getattr(section, name)) is not None:
            found = _code(stated, f"{key}.{name}")
            code |= found if name == "name" else {name: found}
    return {**{name: getattr(section, name) for name in choice}, **values, **hashes, **code}


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> dict[str, Any]:
    """Parse the JSON of a section, −0 as 0. Cached, because thousands of runs share few distinct sections."""
    values: dict[str, Any] = json.loads(text, parse_float=lambda digits: float(digits) + 0.0)
    return values


@cache
def _fields(cls: type[Section]) -> tuple[tuple[str, ...], frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """Fields of a section: single-word literals in the id, those whose own value is not in the id, files, code."""
    inside = [name for name in cls.model_fields if role_of(cls, name).in_id]
    words = {name for name in inside if get_origin(kind := cls.model_fields[name].annotation) is Literal
             and len(get_args(kind)) == 1}  # fmt: skip
    files = tuple(name for name in inside if has_mark(cls, name, Mark.BY_CONTENT))
    own = tuple(name for name in inside if has_mark(cls, name, Mark.CODE))
    return tuple(name for name in inside if name in words), outside_id(cls) | {*files, *own}, files, own


def _custom_model(model: CustomModel, settings: Settings) -> dict[str, Any]:
    left_out = {*outside_id(type(model)), *idle_fields(model, settings), "weights"}
    values: dict[str, Any] = json.loads(json.dumps(model.model_dump(exclude_defaults=True, exclude=left_out)))
    if model.weights is not None:
        values["weights"] = _content(model.weights)
    return {**values, **_code(model.name, "model.name")}


def _code(name: str, key: str) -> dict[str, Any]:
    """A class or function of the user by its name, without the folder, and its source."""
    source = model_source(name, key)
    return {"name": name.rpartition("/")[2], "source": source.installed or _sha256_of_all(source.files())}


def _content(path: str) -> str:
    """SHA-256 of a file, or `run:ID`, since the id of a run stands for its network."""
    return path if source_run(path) is not None else _sha256(located(path))


def _sha256_of_all(paths: Sequence[Path]) -> str:
    """Hash of a single file, or one over the names and hashes of several."""
    if len(paths) == 1:
        return _sha256(paths[0])
    lines = "".join(f"{path.name} {_sha256(path)}\n" for path in paths)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        seen = path.stat()
        return _sha256_of(path, seen.st_size, seen.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check the path in the settings") from error


@lru_cache(maxsize=256)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file, cached by size and mtime: every point of a sweep may name the same large file."""
    with open_file(path) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
