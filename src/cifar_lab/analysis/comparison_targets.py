"""Targets of `compare`: a run, an arm or a sweep of a results folder by its name, and the bound of differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from cifar_lab.analysis.arms import Arm, load_arms, options
from cifar_lab.analysis.data_choice import data_sets, source_overrides
from cifar_lab.analysis.finished_runs import SHOWN, only_id
from cifar_lab.analysis.questions import lab_option
from cifar_lab.analysis.selection_bias import WinnersCurse, winners_curse
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.analysis.winners import read_winners
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.io.shipped import file_exists, readable
from cifar_lab.config.io.yaml_files import top_level_keys
from cifar_lab.config.run_id import recipe
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import Record

DEFAULT_MIN_EFFECT = float(LabSheet.model_fields["min_effect"].default)
"""`min_effect` of a lab file that names none, in percentage points."""


@dataclass(frozen=True)
class ComparisonTarget:
    """Run, arm or sweep to compare, with its runs."""

    kind: Literal["run", "arm", "sweep"]
    label: str
    records: tuple[Record, ...]
    """Its runs, those of a search excepted. Of a sweep, those of its winner with fresh seeds."""
    selection_bias: WinnersCurse | None = None
    """Bias of the winner of a sweep."""

    def on(self, fingerprint: str) -> ComparisonTarget:
        """Keep the runs on these images only."""
        kept = tuple(record for record in self.records if record.data.fingerprint == fingerprint)
        return replace(self, records=kept)


def look_up(
    name: str, results: Path, records: Sequence[Record], overrides: Sequence[str] = ()
) -> ComparisonTarget | None:
    """As `find_target`, but None where nothing has the name. The target may have no runs."""
    finders: tuple[Callable[[], ComparisonTarget | None], ...] = (
        lambda: _file(Path(name), results, records, overrides),
        lambda: _labelled(name, records),
        lambda: _sweep(name, results, records),
        lambda: _run(name, records),
    )
    return next((target for find in finders if (target := find()) is not None), None)


def _nearest_label(name: str, records: Sequence[Record]) -> str:
    """Advice with the label that begins with the name, as one that `--set` has extended, or is nearly the same."""
    labels = list(dict.fromkeys(record.label for record in records))
    near = [label for label in labels if label.startswith(name)] or get_close_matches(name, labels, 1)
    return f"did you mean {near[0]!r}? Or " if near else ""


def find_target(name: str, results: Path, records: Sequence[Record], overrides: Sequence[str] = ()) -> ComparisonTarget:
    """Find the run, arm or sweep called `name`.

    The order: a settings or sweep file, a label, the name of a sweep, the beginning of a run's id.

    Args:
        records: all of the results folder.
        overrides: change a settings file.

    Raises:
        SettingsError: the name matches nothing, or several things.
        DataError: the sweep's winners are damaged.
    """
    found = look_up(name, results, records, overrides)
    if found is None:
        raise SettingsError(
            f"no run id starts with {name!r}, and no settings file, label or sweep of {results} has this name; "
            f"{_nearest_label(name, records)}list all runs: cifar-lab list --results {results}"
        )
    if not found.records:
        command = "sweep" if found.kind == "sweep" else "run"
        raise SettingsError(f"{name!r}: no finished runs in {results}; train them first: cifar-lab {command} {name}")
    return found


def same_images(first: ComparisonTarget, second: ComparisonTarget) -> tuple[ComparisonTarget, ComparisonTarget]:
    """Keep the runs on the images that both have. Of several data sets, the one with most runs.

    Raises:
        SettingsError: they have no images in common.
    """
    ours, theirs = ({record.data.fingerprint for record in target.records} for target in (first, second))
    shared = [each for each in data_sets([*first.records, *second.records]) if each.fingerprint in ours & theirs]
    if not shared:
        raise SettingsError(
            f"{first.label} and {second.label} were trained on different images; results on different data sets "
            "cannot be compared"
        )
    chosen = shared[0].fingerprint
    return first.on(chosen), second.on(chosen)


def _file(path: Path, results: Path, records: Sequence[Record], overrides: Sequence[str]) -> ComparisonTarget | None:
    if path.suffix not in (".yaml", ".yml") or not file_exists(path):
        return None
    keys = top_level_keys(readable(path))
    if "questions" in keys:
        raise SettingsError(f"{path}: a lab file is not an arm; cifar-lab report compares its arms")
    if keys & {"space", "base", "paired", "arms"}:
        found = _sweep(path.stem, results, records)
        if found is None and "search" not in keys and ("base" not in keys or not keys & {"space", "paired"}):
            raise SettingsError(f"{path}: has several arms; name one of them by its label: cifar-lab list")
        return found or ComparisonTarget("sweep", path.stem, ())
    settings = load_settings(path, overrides)
    key = recipe_key(recipe(settings))
    kept = [record for record in records if recipe_key(record.recipe) == key and record.test_reason != "search"]
    return ComparisonTarget("arm", settings.label or path.stem, tuple(kept))


def _labelled(name: str, records: Sequence[Record]) -> ComparisonTarget | None:
    named = [record for record in records if record.label == name and record.test_reason != "search"]
    keys = {recipe_key(record.recipe) for record in named}
    if len(keys) > 1:
        runs = ", ".join(record.run_id for record in named[:SHOWN])
        raise SettingsError(f"{name!r}: {len(keys)} arms have this label; give a settings file or a run's id: {runs}")
    if not named:
        return None
    return ComparisonTarget(
        "arm", name, tuple(r for r in records if recipe_key(r.recipe) in keys and r.test_reason != "search")
    )


def _sweep(name: str, results: Path, records: Sequence[Record]) -> ComparisonTarget | None:
    found = read_winners(results, name)
    best = None if found is None else found.best
    if found is None or best is None:
        return None
    key = recipe_key(best.recipe)
    runs = [record for record in records if found.confirms(record) and recipe_key(record.recipe) == key]
    label = f"{name}: {best.label}"
    return ComparisonTarget("sweep", label, tuple(runs), winners_curse(found, records))


def _run(name: str, records: Sequence[Record]) -> ComparisonTarget | None:
    by_id = {record.run_id: record for record in records}
    run_id = only_id(by_id, name)
    if run_id is None:
        return None
    return ComparisonTarget("run", f"{by_id[run_id].label}, seed {by_id[run_id].seed}", (by_id[run_id],))


# --- the smallest difference that matters -----------------------------------------------------------------------------


@dataclass(frozen=True)
class EffectBound:
    """Smallest difference that matters to a comparison."""

    difference_pp: float
    """Percentage points of test accuracy."""
    source: str
    """Source of the bound, in words."""
    question: str = ""
    """Question of arms in the lab file that compares both, one of them its control. Empty without one."""
    options: tuple[str, ...] = ()
    """Options of a command that adds seeds to the question."""


def effect_bound(
    lab_path: Path | None, targets: Sequence[ComparisonTarget], results: Path, overrides: Sequence[str]
) -> EffectBound:
    """`min_effect` of the lab file where one of its questions has both targets, else the default.

    Args:
        lab_path: the lab file. None without one.
        targets: with records each.
        overrides: change the settings files of the lab file.

    Raises:
        SettingsError: the lab file, or a settings file that it names, is wrong.
    """
    if lab_path is not None:
        lab = load_sheet(lab_path, LabSheet)
        wanted = {recipe_key(target.records[0].recipe) for target in targets}
        found = [each for each in _questions(lab_path, lab, results, overrides) if wanted <= each.keys]
        source = f"min_effect of {lab_path.as_posix()}"
        if named := next((each for each in found if each.control.key in wanted and each.has_arms), None):
            data = source_overrides(targets[0].records[0], named.control.settings)
            words = (*lab_option(lab_path), *options(results, [*overrides, *data]))
            return EffectBound(lab.min_effect, source, named.name, words)
        if found:
            return EffectBound(lab.min_effect, source)
    return EffectBound(DEFAULT_MIN_EFFECT, "the default; --min-effect sets another")


@dataclass(frozen=True)
class _QuestionKeys:
    name: str
    control: Arm
    keys: set[str]
    """`recipe_key`s of its control and its arms, or the winners of its sweep."""
    has_arms: bool


def _questions(lab_path: Path, lab: LabSheet, results: Path, overrides: Sequence[str]) -> Iterator[_QuestionKeys]:
    """Every question of the lab file."""
    arms = load_arms(lab_path, lab, overrides)
    for name, question in lab.questions.items():
        keys = {arms[file].key for file in (question.control or lab.control, *question.arms)}
        if question.sweep:
            try:
                winners = read_winners(results, Path(question.sweep).stem)
            except DataError as fault:
                leave_out(fault)
                winners = None
            keys |= {recipe_key(recipe) for recipe in winners.recipes} if winners else set()
        yield _QuestionKeys(name, arms[question.control or lab.control], keys, question.sweep is None)
