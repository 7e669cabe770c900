"""`cifar-lab check` and `cifar-lab schema`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.conversion import collect, parse_seeds, seeds_override, trials_of, try_models
from cifar_lab.cli.named_arms import load_arms
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, NoTrial, Overrides, Seeds, TrialTimeout, flag
from cifar_lab.core.text import count

if TYPE_CHECKING:
    from cifar_lab.config import Settings
    from cifar_lab.execution.trials import ModelTrials


def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Settings, lab, sweep and claims files.", autocompletion=complete_file),
    ],
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    no_trial: NoTrial = False,
    trial_timeout: TrialTimeout = None,
    as_json: Json = False,
) -> None:
    """Validate settings files and print the resolved settings. All problems are reported at once."""
    from cifar_lab.cli.output import Output

    checked = collect([partial(_describe, path, overrides, seeds) for path in files])
    if not no_trial:
        _try_models(files, overrides, trials_of(no_trial, trial_timeout))
    out = Output("check", as_json=as_json)
    out.text("\n---\n".join(each.text.rstrip() for each in checked))
    out.value("files", [each.document for each in checked])
    out.next(_next_command(files, overrides, seeds), is_comment=True)
    out.close()


@dataclass(frozen=True)
class _Checked:
    """A good file: as YAML or a comment, and under `--json`."""

    text: str
    document: dict[str, Any]


def _try_models(files: Sequence[Path], overrides: Sequence[str], trials: ModelTrials) -> None:
    """Try the models from files or packages that the files name.

    Raises:
        SettingsError: a model does not build or train.
    """
    from cifar_lab.config.io.load import load_settings
    from cifar_lab.execution.context import RunContext

    named = [name for path in files for name in _settings_files(path)]
    arms = [_without_source_run(load_settings(name, overrides)) for name in named]
    try_models(arms, RunContext(DEFAULT_RESULTS, trials=trials))


def _without_source_run(settings: Settings) -> Settings:
    """The settings without weights of a run, whose results folder this command does not know."""
    from cifar_lab.config.model_options import source_run

    if source_run(settings.model.weights) is None:
        return settings
    return settings.model_copy(update={"model": settings.model.model_copy(update={"weights": None})})


def _settings_files(path: Path) -> list[Path]:
    """Settings files that a file of any kind names. None for a sweep file."""
    from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet

    kind = _kind(path)
    if kind == "lab":
        sheet = load_sheet(path, LabSheet)
        arms = [arm for question in sheet.questions.values() for arm in question.arms]
        return [sheet_file(path, name) for name in dict.fromkeys([sheet.control, *arms])]
    return [path] if kind == "settings" else []


def _next_command(files: Sequence[Path], overrides: Sequence[str], seeds: Sequence[str]) -> list[str | Path]:
    """The plan of a lab file, else the runs of the settings files or arms, else the sweep."""
    from cifar_lab.analysis.arms import DEFAULT_RESULTS, options
    from cifar_lab.analysis.questions import lab_option
    from cifar_lab.cli.next_step import NextStep

    kinds = {path: _kind(path) for path in reversed(files)}
    path, named = {kind: path for path, kind in kinds.items()}, options(DEFAULT_RESULTS, overrides)
    named += [word for text in seeds for word in ("--seeds", text)]
    if "lab" in path:
        return ["plan", *lab_option(path["lab"]), *named]
    if "settings" in path:
        settings = [file for file in files if kinds[file] == "settings"]
        return NextStep(settings, overrides, seeds, DEFAULT_RESULTS).before_run()
    if "arms" in path:
        return ["run", path["arms"], *named]
    if "claims" in path:
        return ["claims", path["claims"], *named]
    return ["sweep", path["sweep"], *named]


def _describe(path: Path, overrides: Sequence[str], seeds: Sequence[str]) -> _Checked:
    """Check a file and return its resolved settings or a summary.

    Raises:
        SettingsError: every problem of the file and of those that it names.
    """
    from cifar_lab.config.io.load import dump_settings, load_settings
    from cifar_lab.config.run_id import recipe

    kind = _kind(path)
    if kind == "lab":
        return _describe_lab(path, overrides)
    if kind == "claims":
        return _describe_claims(path, overrides)
    if kind == "sweep":
        return _describe_sweep(path, overrides, seeds)
    if kind == "arms":
        return _describe_arms(path, overrides, seeds)
    settings = load_settings(path, [*overrides, *seeds_override(seeds)])
    recipe(settings)
    document = {"file": str(path), "kind": kind, "settings": settings.model_dump(mode="json")}
    return _Checked(f"# {path}: valid; resolved settings:\n{dump_settings(settings)}", document)


def _kind(path: Path) -> str:
    """`lab`, `claims`, `sweep`, `arms` or `settings`, by top-level keys that only one kind has."""
    from cifar_lab.config.io.shipped import readable
    from cifar_lab.config.io.yaml_files import top_level_keys

    try:
        keys = top_level_keys(readable(path))
    except OSError:
        return "settings"
    if keys & {"questions", "claims"}:
        return "lab" if "questions" in keys else "claims"
    if not keys & {"space", "base", "paired", "arms"}:
        return "settings"
    is_sweep = "search" in keys or ("base" in keys and keys <= {"base", "label", "space", "paired", "exclude"})
    return "sweep" if is_sweep or not keys & {"space", "paired", "arms"} else "arms"


def _describe_arms(path: Path, overrides: Sequence[str], seeds: Sequence[str]) -> _Checked:
    arms = load_arms([path], overrides, seeds)
    document = {"file": str(path), "kind": "arms", "arms": [arm.label for arm in arms]}
    return _Checked(f"# {path}: {count(len(arms), 'arm')}, all valid", document)


def _describe_lab(path: Path, overrides: Sequence[str]) -> _Checked:
    from cifar_lab.analysis.robust_questions import robust_plan
    from cifar_lab.config.io.load import load_settings
    from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet

    sheet = load_sheet(path, LabSheet)
    questions = sheet.questions.values()
    arms = [arm for question in questions for arm in question.arms]
    controls = [question.control for question in questions if question.control]
    checks: list[Callable[[], object]] = [
        partial(load_settings, sheet_file(path, name), overrides)
        for name in dict.fromkeys([sheet.control, *controls, *arms])
    ]
    checks += [
        partial(_describe_sweep, sheet_file(path, question.sweep), overrides)
        for question in questions
        if question.sweep
    ]
    checks += [partial(robust_plan, name, question, path) for name, question in sheet.questions.items()]
    collect(checks)
    document = {"file": str(path), "kind": "lab", "questions": list(sheet.questions), "arms": list(dict.fromkeys(arms))}
    summary = f"{count(len(questions), 'question')} and {count(len(arms), 'arm')}"
    return _Checked(f"# {path}: lab file with {summary}, all valid", document)


def _describe_claims(path: Path, overrides: Sequence[str]) -> _Checked:
    from cifar_lab.config.claims import ClaimSheet
    from cifar_lab.config.io.load import load_settings
    from cifar_lab.config.io.sheet_files import load_sheet, sheet_file

    claims = load_sheet(path, ClaimSheet).claims
    files = dict.fromkeys(file for claim in claims.values() for file in (claim.arm, claim.other) if file is not None)
    collect([partial(load_settings, sheet_file(path, name), overrides) for name in files])
    document = {"file": str(path), "kind": "claims", "claims": list(claims)}
    return _Checked(f"# {path}: claims file with {count(len(claims), 'claim')}, all valid", document)


def _describe_sweep(path: Path, overrides: Sequence[str], seeds: Sequence[str] = ()) -> _Checked:
    from cifar_lab.studies.sweep import load_sweep

    sweep = load_sweep(path, overrides, parse_seeds(seeds) if seeds else None, allow_large=True)
    expansion = sweep.expansion
    points = count(len(expansion.points), "point")
    if expansion.trials:
        trials = f"{count(expansion.trials, 'proposal')} of {sweep.search.method}"
        points = f"{trials} and {points}" if expansion.points else trials
    document = {
        "file": str(path), "kind": "sweep", "method": sweep.search.method, "points": len(expansion.points),
        "trials": expansion.trials,
    }  # fmt: skip
    return _Checked(f"# {path}: sweep file with {points}, all valid", document)


def schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Kind of file: settings, lab, sweep or claims.")
    ] = "settings",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the schema to this file.")
    ] = None,
    markdown: Annotated[bool, flag("--markdown", help="Write a reference for readers in Markdown instead.")] = False,
) -> None:
    """Write the JSON Schema with which editors complete and check settings files."""
    from cifar_lab.config.claims import ClaimSheet
    from cifar_lab.config.io.schema import json_schema, sheet_schema
    from cifar_lab.config.sheets import LabSheet, SweepSheet
    from cifar_lab.core.atomic_io import write_text
    from cifar_lab.core.errors import SettingsError
    from cifar_lab.core.terminal import say

    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "settings": json_schema,
        "lab": lambda: sheet_schema(LabSheet),
        "sweep": lambda: sheet_schema(SweepSheet),
        "claims": lambda: sheet_schema(ClaimSheet),
    }
    if kind not in makers:
        raise SettingsError(f"schema: {kind!r} is not one of: {', '.join(makers)}")
    if markdown:
        from cifar_lab.config.io.settings_page import settings_reference

        text = settings_reference().rstrip("\n")
    else:
        text = json.dumps(makers[kind](), indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        write_text(output, text + "\n")
        say(f"wrote {output}")
