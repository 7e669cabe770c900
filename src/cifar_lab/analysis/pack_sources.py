"""Sources of a lab: the files beside its results that a report and its claims are computed from.

These are the lab file, the claims file, the settings and sweep files that they name, all that those extend, the Python
files of models and other components, and files that enter the id of a run by their content. Images are not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.factors import settings_of
from cifar_lab.config import Settings
from cifar_lab.config.claims import ClaimSheet
from cifar_lab.config.io.layers import files_of
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.io.shipped import readable
from cifar_lab.config.io.tree import walk
from cifar_lab.config.io.yaml_files import read_file
from cifar_lab.config.model_source import model_source
from cifar_lab.config.own_code import own_code
from cifar_lab.config.roles import Mark, has_mark, leaves
from cifar_lab.config.sheets import LabSheet, SweepSheet
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.store.pack_names import is_lab_path
from cifar_lab.store.records import Record

MOST_ABOVE = 4
"""Folders above the working folder that sources may be in."""


@dataclass(frozen=True)
class LabSources:
    """Source files of a lab."""

    files: dict[str, Path]
    """File to read by its path from the common folder."""
    folder: str
    """Working folder, from the common folder. `.` where it is the same."""
    notes: tuple[str, ...]
    """Lines on files that another machine will not find."""


def lab_sources(lab: Path | None, claims: Path | None, results: Path, records: Iterable[Record]) -> LabSources:
    """Sources of a lab with these files and records.

    Raises:
        SettingsError: a file is wrong, or lies outside the folder of the lab.
    """
    stated = {_absolute(path): path for path in _stated(lab, claims)}
    code = {_absolute(path): path for path in _of_settings(_settings(lab, claims))}
    here = _absolute(Path.cwd())
    root = Path(os.path.commonpath([here, *(path.parent for path in (*stated, *code))]))
    if len(here.relative_to(root).parts) > MOST_ABOVE or root == Path(root.anchor):
        far = max((*stated, *code), key=lambda path: len(path.relative_to(os.path.commonpath([here, path])).parts))
        raise SettingsError(
            f"{far}: is outside of the folder of the lab; move it there, then run the same command again"
        )
    recorded = {_absolute(path): path for path in _of_settings(_recorded(records))}
    inside = {path: read for path, read in recorded.items() if root in path.parents and path.is_file()}
    files = {
        path.relative_to(root).as_posix(): readable(read)
        for path, read in {**inside, **stated, **code}.items()
        if _absolute(results) not in path.parents
    }
    if wrong := next((name for name in files if not is_lab_path(name)), None):
        raise SettingsError(f"{wrong}: a pack has no hidden files and no names with ':'; rename it")
    return LabSources(files, here.relative_to(root).as_posix(), tuple(_absolute_names(stated.values())))


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(os.path.abspath(path)))  # noqa: PTH100


def _stated(lab: Path | None, claims: Path | None) -> Iterator[Path]:
    """YAML files of a lab."""
    yield from (path for path in (lab, claims) if path is not None)
    for path in dict.fromkeys(_arm_files(lab, claims)):
        yield from files_of(path)
    if lab is None:
        return
    for question in load_sheet(lab, LabSheet).questions.values():
        if question.sweep:
            sweep = sheet_file(lab, question.sweep)
            yield sweep
            yield from files_of(sheet_file(sweep, load_sheet(sweep, SweepSheet).base))


def _arm_files(lab: Path | None, claims: Path | None) -> Iterator[Path]:
    """Settings files that the lab file and the claims file name."""
    if lab is not None:
        sheet = load_sheet(lab, LabSheet)
        yield sheet_file(lab, sheet.control)
        for question in sheet.questions.values():
            yield from (sheet_file(lab, name) for name in (question.control, *question.arms) if name)
    if claims is not None:
        for claim in load_sheet(claims, ClaimSheet).claims.values():
            yield from (sheet_file(claims, name) for name in (claim.arm, claim.other) if name)


def _settings(lab: Path | None, claims: Path | None) -> Iterator[Settings]:
    yield from (load_settings(path) for path in dict.fromkeys(_arm_files(lab, claims)))


def _recorded(records: Iterable[Record]) -> Iterator[Settings]:
    """Settings of the records, each arm once. Without those that this version cannot read."""
    for record in {str(record.settings): record for record in records}.values():
        try:
            yield settings_of(record)
        except LabError:
            continue


def _of_settings(several: Iterable[Settings]) -> Iterator[Path]:
    """Python files, and files that enter the id by their content, of settings. Missing ones are left out."""
    for settings in several:
        for _, name in own_code(settings):
            try:
                source = model_source(name)
                yield from () if source.installed is not None else source.files()
            except LabError:
                continue
        for _, owner, field in leaves(settings):
            value = getattr(owner, field)
            if has_mark(type(owner), field, Mark.BY_CONTENT) and isinstance(value, str) and Path(value).is_file():
                yield Path(value)


def _absolute_names(files: Iterable[Path]) -> Iterator[str]:
    """Notes on files that a YAML file names by an absolute path."""
    for path in files:
        for key, node in walk(read_file(path).root):
            text = node.value.rpartition(":")[0] or node.value if isinstance(node.value, str) else ""
            if text.startswith(("/", "~")) and not key.endswith("root") and Path(text).expanduser().is_file():
                yield f"{node.at}: {key}: names {text} by an absolute path, which another machine does not have"
