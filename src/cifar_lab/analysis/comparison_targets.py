"""What a person means by a name: a run, an arm or a sweep of a results folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cifar_lab.analysis.data_choice import data_sets
from cifar_lab.analysis.selection_bias import sweep_luck
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.analysis.winners import read_winners
from cifar_lab.config.io import load_settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

SHOWN = 5
"""Candidates that an error names."""


@dataclass(frozen=True)
class ComparisonTarget:
    """One of the two things that are compared."""

    kind: Literal["run", "arm", "sweep"]
    label: str
    records: tuple[Record, ...]
    """Its runs that are no part of a search: of a sweep those of its winner with fresh seeds."""
    note: str = ""
    """A sentence beside it: what a sweep's lead is worth."""

    def on(self, fingerprint: str) -> ComparisonTarget:
        """The same with the runs on these images only."""
        kept = tuple(record for record in self.records if record.data.fingerprint == fingerprint)
        return ComparisonTarget(self.kind, self.label, kept, self.note)


def find_side(name: str, results: Path, records: Sequence[Record], overrides: Sequence[str] = ()) -> ComparisonTarget:
    """The run, arm or sweep called `name`: a settings or sweep file, a label, the name of a sweep, the beginning of a
    run's id, looked for in that order.

    Args:
        records: all of the results folder.
        overrides: change a settings file.

    Raises:
        SettingsError: nothing is called so, or several things are.
        DataError: the sweep's winners are damaged.
    """
    finders: tuple[Callable[[], ComparisonTarget | None], ...] = (
        lambda: _file(Path(name), results, records, overrides),
        lambda: _labelled(name, records),
        lambda: _sweep(name, results, records),
        lambda: _run(name, records),
    )
    found = next((side for find in finders if (side := find()) is not None), None)
    if found is None:
        raise SettingsError(
            f"{name!r}: no settings file, arm, sweep or run of {results} is called so; `cifar-lab list --results "
            f"{results}` shows what there is"
        )
    if not found.records:
        command = "sweep" if found.kind == "sweep" else "run"
        raise SettingsError(f"{name!r}: no finished runs in {results}; train them first: cifar-lab {command} {name}")
    return found


def same_images(first: ComparisonTarget, second: ComparisonTarget) -> tuple[ComparisonTarget, ComparisonTarget]:
    """Both with their runs on the images that both have, of several those with most runs.

    Raises:
        SettingsError: they have no images in common.
    """
    ours, theirs = ({record.data.fingerprint for record in side.records} for side in (first, second))
    shared = [each for each in data_sets([*first.records, *second.records]) if each.fingerprint in ours & theirs]
    if not shared:
        raise SettingsError(
            f"{first.label} and {second.label} were trained on different images; numbers of two data sets are never "
            "compared"
        )
    chosen = shared[0].fingerprint
    return first.on(chosen), second.on(chosen)


def _file(path: Path, results: Path, records: Sequence[Record], overrides: Sequence[str]) -> ComparisonTarget | None:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    keys = {line.partition(":")[0] for line in path.read_text("utf-8", "replace").splitlines() if line[:1].isalpha()}
    if "questions" in keys:
        raise SettingsError(f"{path}: a sheet of questions is no arm; cifar-lab report compares its arms")
    if keys & {"space", "base", "paired", "arms"}:
        return _sweep(path.stem, results, records) or ComparisonTarget("sweep", path.stem, ())
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
    if found is None or not found.top:
        return None
    best, luck = found.top[0], sweep_luck(found, records)
    key = recipe_key(best.recipe)
    runs = [record for record in records if found.confirms(record) and recipe_key(record.recipe) == key]
    label = f"{name}: {best.label}"
    return ComparisonTarget("sweep", label, tuple(runs), luck.sentence if luck else "")


def _run(name: str, records: Sequence[Record]) -> ComparisonTarget | None:
    found = [record for record in records if name and record.run_id.startswith(name)]
    if len(found) > 1:
        some = ", ".join(record.run_id for record in found[:SHOWN])
        raise SettingsError(f"{name!r}: {len(found)} runs begin like this: {some}; give more of the id")
    return ComparisonTarget("run", f"{found[0].label}, seed {found[0].seed}", tuple(found)) if found else None
