"""Names and values that files, scripts and readers rely on, as the code that is imported has them."""

from __future__ import annotations

import inspect
import json
import signal
from collections.abc import Iterator
from enum import Enum
from typing import Any

import torch
import typer

import cifar_lab

from .commands import Lab
from .internals import app, errors, stream, stream_seed

STREAMS = ("init", "order", "flip", "crop", "policy", "noise", "model")
"""Names of the random streams of a run."""


def random_streams() -> Iterator[str]:
    """The seed of each stream, and what it draws first."""
    for name in STREAMS:
        for seed, epoch in ((0, 0), (0, 1), (7, 0), (4_294_967_295, 99)):
            draws = stream(name, seed, epoch)
            order = torch.randperm(8, generator=draws).tolist()
            uniform = [f"{value:.8f}" for value in torch.rand(2, generator=draws).tolist()]
            whole = torch.randint(1000, (2,), generator=draws).tolist()
            normal = [f"{value:.6f}" for value in torch.randn(2, generator=draws).tolist()]
            drawn = " ".join(map(str, (*order, *uniform, *whole, *normal)))
            yield f"{name}/{seed}/{epoch}: {stream_seed(name, seed, epoch)}: {drawn}"


def public_names() -> Iterator[str]:
    """The names of `import cifar_lab` and how they are called."""
    for name in cifar_lab.__all__:
        found = getattr(cifar_lab, name)
        yield f"{name}{_call(found)}"
        if inspect.isclass(found):
            yield from (f"{name}.{method}{_call(value)}" for method, value in vars(found).items() if method[0] != "_")


def _call(function: Any) -> str:
    """Parameters without their types."""
    found = inspect.signature(function)
    bare = [each.replace(annotation=each.empty) for each in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


def exit_codes() -> Iterator[str]:
    """Exceptions and the exit codes of the commands that they end."""
    for name, found in vars(errors).items():
        if inspect.isclass(found) and issubclass(found, errors.LabError) and found is not errors.Interrupted:
            yield f"{name}: {found('').exit_code}"
    for number in (signal.SIGINT, signal.SIGTERM):
        yield f"Interrupted by {number.name}: {errors.Interrupted('', number).exit_code}"


def options() -> Iterator[str]:
    """Every argument and option of every command."""
    for name, parameter in _parameters():
        yield f"{name} {_words(parameter)}: {_value(parameter)}"


def option_helps() -> Iterator[str]:
    """The sentences of `--help`: of the program, its commands and their options."""
    main = typer.main.get_command(app)
    for name, command in (("cifar-lab", main), *main.commands.items()):
        yield f"{name}: {' '.join((command.help or '').split())}"
    for name, parameter in _parameters():
        yield f"{name} {_words(parameter)}: {' '.join((parameter.help or '').split())}"


def _parameters() -> Iterator[tuple[str, Any]]:
    """(command, parameter) of all commands, without those of typer's own."""
    main = typer.main.get_command(app)
    for name, command in (("cifar-lab", main), *main.commands.items()):
        yield from ((name, each) for each in command.params if "completion" not in each.name)


def _words(parameter: Any) -> str:
    """How the parameter is written in a command."""
    words = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(words) if words[0].startswith("-") else str(parameter.metavar)


def _value(parameter: Any) -> str:
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    if getattr(parameter, "is_flag", False):
        return f"flag, default {json.dumps(default)}"
    given = [parameter.metavar or "VALUE"]
    given += ["repeatable"] if getattr(parameter, "multiple", False) or parameter.nargs == -1 else []
    given += [f"{word} {value}" for word in ("min", "max") if (value := getattr(parameter, word, None)) is not None]
    return ", ".join([*given, "required" if parameter.required else f"default {json.dumps(default, default=str)}"])


def settings_keys(lab: Lab) -> Iterator[str]:
    """Every key of settings files, lab sheets and sweep files, with its bounds, its choices and its default."""
    for kind in ("settings", "lab", "sweep"):
        schema = json.loads(lab.give(f"schema {kind}").out)
        yield from (f"{kind}: {line}" for line in _keys(schema, schema.get("$defs", {}), ""))


_BOUNDS = frozenset(
    {
        "const", "default", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum", "minItems",
        "minLength", "minProperties", "minimum", "pattern", "required", "type",
    }
)  # fmt: skip
"""Keys of a JSON schema that say what a value may be, and no sentences."""


def _keys(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Iterator[str]:
    """Lines on a part of a JSON schema, its references followed."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]] | schema
    bounds = {key: schema[key] for key in sorted(schema.keys() & _BOUNDS) if not isinstance(schema[key], dict)}
    if path and bounds not in ({}, {"type": "object"}):
        yield f"{path}: {json.dumps(bounds, ensure_ascii=False)}"
    yield from (f"{path}: choice {json.dumps(choice)}" for choice in schema.get("enum", ()))
    for name, part in schema.get("properties", {}).items():
        yield from _keys(part, definitions, f"{path}.{name}".strip("."))
    for part in (*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")):
        if isinstance(part, dict):
            yield from _keys(part, definitions, f"{path}.*")
    for part in [schema["items"]] if isinstance(schema.get("items"), dict) else schema.get("prefixItems", []):
        yield from _keys(part, definitions, f"{path}[]")
    for part in schema.get("anyOf", []):
        yield from _keys(part, definitions, path)
    choices = [part for part in schema.get("oneOf", []) if "required" in part]  # the last is a part of any other
    words = [_choice(part) for part in choices]
    for word, part in zip(words, choices, strict=True):
        only = word != OWN and len(set(words) - {OWN}) == 1
        yield from _keys(part, definitions, path if only else f"{path}({word})")


OWN = "file.py:Class"
"""Stands for a class or function of the user."""


def _choice(part: dict[str, Any]) -> str:
    """The choice of a section that a part of its schema stands for, such as `adam`."""
    return next((each["const"] for each in part["properties"].values() if "const" in each), OWN)
