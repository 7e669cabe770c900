"""Lab files, sweep files and claims files: read as strictly as settings, every problem in one pass."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from cifar_lab.config import Section, Settings
from cifar_lab.config.claims import ClaimSheet
from cifar_lab.config.io.check import unknown
from cifar_lab.config.io.claim_rules import claim_rules
from cifar_lab.config.io.foreign_words import foreign_top_key
from cifar_lab.config.io.messages import PATTERN_WORDS, found, limits_of, show
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.setting_keys import sections
from cifar_lab.config.io.shipped import beside, file_exists
from cifar_lab.config.io.sweep_rules import sweep_rules
from cifar_lab.config.io.sweep_values import sweep_points
from cifar_lab.config.io.tree import Finding, Node, dotted, one_line, plain, refuse, walk
from cifar_lab.config.io.values import Check, expected_of, value_fits
from cifar_lab.config.io.yaml_files import read_file, unreadable
from cifar_lab.config.sheets import LabSheet, SweepSheet
from cifar_lab.core.errors import Problem, SettingsError

S = TypeVar("S", LabSheet, SweepSheet, ClaimSheet)


def load_sheet(path: Path, sheet: type[S]) -> S:
    """Load a lab file, a sweep file or a claims file.

    The files that it names must exist, but their names stay as written: `sheet_file` gives their paths. Paths among the
    values of a sweep become absolute. The label of a sweep that states none is the file's stem.

    Args:
        sheet: `LabSheet`, `SweepSheet` or `ClaimSheet`.

    Raises:
        SettingsError: with every problem found, in the order of lines.
    """
    path = Path(path)
    if sheet is LabSheet and not os.path.isdir(path.parent) and not file_exists(path):  # noqa: PTH112
        raise SettingsError(f"no file {one_line(str(path))}; name a lab file with --lab FILE")
    layer = read_file(path)
    if isinstance(layer.root.value, dict):
        _right_kind(path, layer.root, sheet)
    check = Check(findings=list(layer.findings))
    check.findings += _missing_files(path, layer.root)
    result = sheet.model_validate(sheet_values(path, check, sheet, layer.root))
    if isinstance(result, SweepSheet) and not result.label:
        stem = os.fsencode(path.stem).decode("utf-8", "replace")[:200]
        return result.model_copy(update={"label": stem})
    return result


def sheet_values(path: Path, check: Check, sheet: type[Section], root: Node) -> dict[str, Any]:
    """Values of a sheet.

    Raises:
        SettingsError: with every problem found, and the findings of `check`.
    """
    if sheet is SweepSheet:
        root = sweep_points(root, check, path.parent)
    values = _fields(check, sheet, root, "")
    {SweepSheet: sweep_rules, ClaimSheet: claim_rules}.get(sheet, lab_rules)(check, root)
    refuse(check.findings, str(path))
    return values


def sheet_file(sheet: Path, name: str) -> Path:
    """Absolute path of a file that a sheet names (base, control, an arm, a sweep).

    Raises:
        SettingsError: the file does not exist. Names the line of the sheet.
    """
    path = _beside(sheet, name)
    if file_exists(path):
        return path
    spot = next((str(node.at) for _, node in walk(read_file(sheet).root) if node.value == name), str(sheet))
    raise SettingsError([unreadable(path, FileNotFoundError(), spot)])


def _beside(sheet: Path, name: str) -> Path:
    folder = os.path.abspath(sheet.parent)  # noqa: PTH100
    return Path(os.path.normpath(os.path.abspath(beside(Path(folder), name))))  # noqa: PTH100


def _right_kind(path: Path, root: Node, sheet: type[Section]) -> None:
    keys = set(root.value)
    if sheet is SweepSheet and "questions" in keys and not keys & {"base", "space"}:
        raise SettingsError([Problem(str(path), "", "this is a lab file, not a sweep file")])
    if sheet is SweepSheet and "arms" in keys and not keys & {"space", "paired", "search"}:
        message = (
            f"each of its arms is trained by cifar-lab run {path}; to choose the best of them by validation accuracy, "
            "add search: {method: grid}"
        )
        raise SettingsError([Problem(str(path), "", message)])
    if (
        sheet is SweepSheet
        and keys & {"space", "paired"}
        and "search" not in keys
        and keys & {*Settings.model_fields, "extends"} - {"label"}
    ):
        message = (
            f"each of its points is trained by cifar-lab run {path}; a sweep, which chooses the best of them, takes "
            "its settings from another file: base: FILE"
        )
        raise SettingsError([Problem(str(path), "", message)])
    if sheet is LabSheet and keys & {"base", "space"} and "questions" not in keys:
        raise SettingsError([Problem(str(path), "", "this is a sweep file, not a lab file")])
    if not keys & set(sheet.model_fields) - {"label"} and keys & set(Settings.model_fields):
        kind = "a sweep file" if sheet is SweepSheet else "a lab file"
        message = f"this is a settings file, not {kind}; train it with cifar-lab run {path}"
        raise SettingsError([Problem(str(path), "", message)])


def _fields(check: Check, cls: type[Section], node: Node, prefix: str) -> dict[str, Any]:
    """The valid values of a class. Reports the others."""
    values: dict[str, Any] = {}
    if not isinstance(node.value, dict):
        if not node.broken:
            first = next(iter(cls.model_fields))
            check.report(node, prefix, f"{found(node)}; expected a section with keys such as {first}")
        return values
    for name, child in node.value.items():
        key = dotted(prefix, name)
        if name not in cls.model_fields:
            words = foreign_top_key(name, child) if cls is SweepSheet else ""
            if cls is SweepSheet and name in Settings.model_fields:
                words = "a sweep starts from the settings of base; move it to that file"
            check.report(child, key, f"no such setting; {words}" if words else unknown(name, cls.model_fields))
        elif not child.broken:
            values[name] = _value(check, cls, name, key, child)
    for name, info in cls.model_fields.items():
        if info.is_required() and name not in node.value:
            check.report(node, dotted(prefix, name), f"missing; {expected_of(info)}")
    return values


def _value(check: Check, cls: type[Section], name: str, key: str, node: Node) -> Any:
    info = cls.model_fields[name]
    section = _optional(info.annotation)
    if _is_section(section) and (section is info.annotation or node.value is not None):
        return _fields(check, section, node, key)
    inner = get_args(info.annotation)[-1] if get_origin(info.annotation) is dict else None
    if not _is_section(inner) or not isinstance(node.value, dict) or not node.value:
        return plain(node) if value_fits(check, cls, name, key, node) else None
    pattern = limits_of(get_args(info.annotation)[0])["pattern"]
    values = {}
    for short, child in node.value.items():
        here = dotted(key, short)
        if not re.fullmatch(pattern, short):
            check.report(child, here, f"this name does not fit; expected {PATTERN_WORDS[pattern]}")
        if not child.broken:
            values[short] = _fields(check, inner, child, here)  # type: ignore[arg-type]
    return values


def _optional(annotation: Any) -> Any:
    """The type of an optional annotation without None. Any other type unchanged."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return parts[0] if len(parts) == 1 and type(None) in get_args(annotation) else annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _named_files(root: Node) -> Iterator[tuple[str, Node]]:
    """Every file that a sheet names, with its key."""
    for key, node in walk(root):
        *_, last = re.sub(r"\[[0-9]+\]$", "", key).split(".")
        named = key in ("base", "control") or (key.startswith("questions.") and last in ("control", "arms", "sweep"))
        named = named or (key.startswith("claims.") and last in ("arm", "better_than", "worse_than", "equal_to"))
        if named and isinstance(node.value, str):
            yield key, node


def _missing_files(path: Path, root: Node) -> list[Finding]:
    findings = []
    for key, node in _named_files(root):
        file = _beside(path, node.value)
        if node.value and not file_exists(file):
            findings.append(Finding(node.at, key, unreadable(file, FileNotFoundError()).message))
    return findings


def lab_rules(check: Check, root: Node) -> None:
    """Report contradictions in a lab file."""
    questions = root.value.get("questions")
    if questions is None or not isinstance(questions.value, dict):
        return
    charts: dict[str, str] = {}
    for name, question in questions.value.items():
        if not isinstance(question.value, dict):
            continue
        here = dotted("questions", name)
        _arms_rules(check, here, question, root)
        _factor_rules(check, here, question)
        chart = question.value.get("chart")
        if chart is None or not isinstance(chart.value, str):
            continue
        if chart.value.lower() in charts:
            message = f"{show(chart)} is the chart of {charts[chart.value.lower()]}, too; name another file"
            check.report(chart, f"{here}.chart", message)
        charts.setdefault(chart.value.lower(), name)


def _factor_rules(check: Check, here: str, question: Node) -> None:
    """Report factors that are neither a setting nor a section."""
    stated = question.value.get("factor")
    if stated is None or not isinstance(stated.value, list):
        return
    known = _settings_and_sections()
    for index, factor in enumerate(stated.value):
        if isinstance(factor.value, str) and factor.value not in known:
            message = f"{show(factor)} is neither a setting nor a section{did_you_mean(factor.value, known)}"
            check.report(factor, f"{here}.factor[{index}]", message)


def _settings_and_sections() -> list[str]:
    keys = [f"{name}.{key}" for name, classes in sections().items() for cls in classes for key in cls.model_fields]
    return list(dict.fromkeys([*Settings.model_fields, *keys]))


def _arms_rules(check: Check, here: str, question: Node, root: Node) -> None:
    stated = question.value
    arms = stated["arms"].value if "arms" in stated else []
    sweep = "sweep" in stated and stated["sweep"].value is not None
    if not isinstance(arms, list):
        return
    if sweep and arms:
        check.report(stated["sweep"], f"{here}.sweep", "a question has arms or a sweep, not both")
    if not sweep and not arms:
        check.report(stated.get("arms", question), here, "no arms and no sweep; name what the control is compared with")
    control = stated.get("control", root.value.get("control"))
    seen: set[str] = set()
    for index, arm in enumerate(arms):
        key = f"{here}.arms[{index}]"
        if not isinstance(arm.value, str):
            continue
        if control is not None and arm.value == control.value:
            check.report(arm, key, f"{show(arm)} is the control; it is not repeated among the arms")
        elif arm.value in seen:
            check.report(arm, key, f"{show(arm)} is stated twice; keep one of them")
        seen.add(arm.value)
