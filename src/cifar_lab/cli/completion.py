"""Shell completion: settings files, questions, settings with their values, labels, run ids and sweeps.

A completion reads what is there, imports no torch, and is silent about faults: a shell has no place for messages.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import typer

from cifar_lab.core.files import open_file

MOST_RUNS = 2_000
"""Runs whose labels are read."""

HEAD = 600
"""Bytes of settings.yaml that hold the label, its first line."""


def _quiet(found: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    """Words that start with what is typed, each once. No words where reading fails."""
    with contextlib.suppress(Exception):
        return [word for word in dict.fromkeys(found()) if word.startswith(incomplete)]
    return []


def complete_file(incomplete: str) -> list[str]:
    """Settings files and folders. In bash also the value of a setting, since `=` ends a word there."""
    if (key := _key_before_equals()) is not None:
        return _quiet(lambda: setting_values(key), incomplete)
    return _quiet(lambda: _yaml_files(incomplete), incomplete)


def complete_setting(incomplete: str) -> list[str]:
    """Settings as `key=`, and `key=value` after the equals sign."""
    key, equals, _ = incomplete.partition("=")
    if equals:
        return _quiet(lambda: (f"{key}={value}" for value in setting_values(key)), incomplete)
    return _quiet(lambda: (f"{each}=" for each in _setting_keys()), incomplete)


def complete_question(ctx: typer.Context, incomplete: str) -> list[str]:
    """Questions of the lab file."""
    return _quiet(lambda: _questions(ctx.params.get("lab")), incomplete)


def complete_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Labels, sweeps, settings files, and run ids once their first character is typed."""
    results = ctx.params.get("results") or Path("results")
    return _quiet(lambda: _names(Path(str(results)), incomplete), incomplete)


def complete_attack(incomplete: str) -> list[str]:
    """Names of attacks."""
    return _quiet(_attack_names, incomplete)


def complete_filter(incomplete: str) -> list[str]:
    """Fields of `list --filter`."""
    plain = ("label", "status", "seed", "run", "data", "accuracy", "validation", "epochs", "seconds", "tag", "note")
    key, equals, _ = incomplete.partition("=")
    if equals:
        return _quiet(lambda: (f"{key}={value}" for value in setting_values(key)), incomplete)
    return _quiet(lambda: (f"{each}=" for each in (*plain, *_setting_keys())), incomplete)


def _key_before_equals() -> str | None:
    """Setting whose value bash completes: its words are `--set`, the key, `=` and the value."""
    words = os.environ.get("COMP_WORDS", "").split()
    position = os.environ.get("COMP_CWORD", "")
    before = words[: int(position)] if position.isdecimal() else []
    return before[-2] if len(before) > 2 and before[-1] == "=" and before[-3] == "--set" else None


def _setting_keys() -> Iterable[str]:
    from cifar_lab.config import Settings
    from cifar_lab.config.io.setting_keys import dotted_keys, sections

    return [*dotted_keys(), *(name for name in Settings.model_fields if name not in sections())]


def _attack_names() -> Iterable[str]:
    from cifar_lab.config.attack import ATTACKS

    return ATTACKS


def setting_values(key: str) -> list[str]:
    """Values that a setting can have, where they are few: choices, words and true or false."""
    from cifar_lab.config.io.setting_keys import choice_key, known_choices, sections

    section, _, name = key.partition(".")
    if section not in sections():
        return []
    if name == choice_key(section):
        return list(known_choices(section))
    fields = [cls.model_fields[name] for cls in sections()[section] if name in cls.model_fields]
    return list(dict.fromkeys(word for field in fields for word in _words(field.annotation)))


def _words(annotation: Any) -> list[str]:
    """Words of a type: those of a Literal, and `true` and `false`."""
    if annotation is bool:
        return ["true", "false"]
    found: list[str] = []
    for part in get_args(annotation):
        found += [part] if isinstance(part, str) else _words(part)
    return found


def _yaml_files(incomplete: str) -> Iterable[str]:
    from cifar_lab.config.io.shipped import FOLDER, shipped_names

    head = incomplete.rpartition("/")[0]
    for path in sorted(Path(head).iterdir()) if Path(head).is_dir() else ():
        shown = f"{head}/{path.name}" if head else path.name
        if path.is_dir() and not path.name.startswith("."):
            yield f"{shown}/"
        elif path.suffix in (".yaml", ".yml"):
            yield shown
    yield from (f"{FOLDER}/{name}" for name in shipped_names()) if head == FOLDER else [f"{FOLDER}/"]


def _questions(lab: Any) -> Iterable[str]:
    from cifar_lab.analysis.questions import lab_file
    from cifar_lab.config.io.yaml_files import read_file

    root = read_file(lab_file(Path(str(lab)) if lab else None)).root.value
    return list(root["questions"].value)


def _names(results: Path, incomplete: str) -> Iterable[str]:
    from cifar_lab.store.results import RunFolder, SweepFolder, run_ids

    ids = run_ids(results) if results.is_dir() else []
    if incomplete and re.fullmatch("[0-9a-f]+", incomplete):
        yield from ids
    yield from filter(None, (_label(RunFolder(results, run_id).settings) for run_id in ids[:MOST_RUNS]))
    yield from (path.name for path in sorted(SweepFolder(results, "any").path.parent.glob("*/")))
    yield from _yaml_files(incomplete)


def _label(settings: Path) -> str:
    """Label in a settings.yaml. Empty where it cannot be read."""
    import yaml

    with contextlib.suppress(OSError, ValueError, yaml.YAMLError), open_file(settings) as file:
        first = file.read(HEAD).decode("utf-8", "replace").splitlines()[:1]
        found = yaml.safe_load(first[0]) if first else None
        return str(found["label"]) if isinstance(found, dict) and "label" in found else ""
    return ""
