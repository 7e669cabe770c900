"""Sweep file, read and expanded into points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.config import MAX_SEED, Settings
from cifar_lab.config.io.layers import override_layer
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.search_rules import FEWEST_RACE_SEEDS, ONE_RACE_SEED
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.io.tree import walk
from cifar_lab.config.sheets import Search, SweepSheet
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.studies.space.axes import axis_keys
from cifar_lab.studies.space.methods import Method, expand, start_method
from cifar_lab.studies.space.points import Expansion
from cifar_lab.studies.space.winners import Ranked, confirm_settings, reference_winner, search_settings, with_val_size


@dataclass(frozen=True)
class Sweep:
    """Base settings, search and points of a sweep file."""

    name: str
    base: Settings
    sheet: SweepSheet
    """Content of the file, with the seeds of the command line."""
    expansion: Expansion
    where: str
    """The file, for messages."""

    @property
    def search(self) -> Search:
        """Method, seeds and halving of the search."""
        return self.sheet.search

    def for_images(self, images: DatasetCatalog) -> Sweep:
        """The sweep with the size of its validation split in images, as far as they are known."""
        search = with_val_size(self.search, self.base.data, images)
        return self if search is self.search else replace(self, sheet=self.sheet.model_copy(update={"search": search}))

    def method(self) -> Method:
        """A new search method that has proposed nothing yet."""
        return start_method(self.sheet, self.base, self.expansion, self.where)

    def search_arms(self) -> list[Settings]:
        """Settings that the search trains for the points known before its start, in order."""
        return [search_settings(point.settings, self.search) for point in self.expansion.points]

    def confirm_arms(self, winners: Sequence[Ranked]) -> list[Settings]:
        """The base and the winners, with fresh seeds. With groups the winners alone, that of the base first."""
        chosen = [winner.point.settings for winner in winners]
        if (reference := reference_winner(winners, self.base, self.search)) is not None:
            others = [winner.point.settings for winner in winners if winner is not reference]
            arms = [reference.point.settings, *others]
        else:
            arms = [self.base, *chosen]
        return [confirm_settings(settings, self.search) for settings in arms]


def load_sweep(
    path: str | Path, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None, *, allow_large: bool = False
) -> Sweep:
    """Read and expand a sweep file.

    Args:
        overrides: `KEY=VALUE` changes of the base.
        seeds: seeds of the search instead of those of the file.
        allow_large: accept more than 10,000 points.

    Raises:
        SettingsError: every problem of the file, its base and its points; an override of an axis or of seeds.
    """
    path = Path(path)
    sheet = load_sheet(path, SweepSheet)
    base = load_settings(sheet_file(path, sheet.base), overrides)
    refuse_idle_overrides(sheet, overrides)
    if seeds is not None:
        sheet = sheet.model_copy(update={"search": _with_seeds(sheet.search, seeds)})
    return Sweep(path.stem, base, sheet, expand(sheet, base, str(path), allow_large=allow_large), str(path))


def refuse_idle_overrides(sheet: SweepSheet, overrides: Sequence[str], *, takes_seeds: bool = False) -> None:
    """Refuse overrides that would change the control alone, because every point sets the key.

    Args:
        takes_seeds: accept an override of seeds.

    Raises:
        SettingsError: an override of an axis, or of seeds.
    """
    axes = {key: section for section, key in axis_keys(sheet)}
    problems = []
    for key, node in walk(override_layer(overrides).root):
        if key == "seeds" and not takes_seeds:
            problems.append(
                Problem(str(node.at), key, "a sweep has seeds and confirm_seeds; use --seeds, or edit search")
            )
        elif key in axes:
            problems.append(Problem(str(node.at), "", f"{key} is an axis of this sweep; edit {axes[key]}"))
    if problems:
        raise SettingsError(problems)


def _with_seeds(search: Search, seeds: Sequence[int]) -> Search:
    """The search with other seeds, held to the rules of the file.

    Raises:
        SettingsError: a seed too large, or one of the fresh ones.
    """
    shared = sorted(set(seeds) & set(search.confirm_seeds))
    if shared:
        raise SettingsError(
            f"--seeds: {shared[0]} is in search.confirm_seeds; winners are confirmed with fresh seeds, choose another"
        )
    if search.racing is not None and len(seeds) < FEWEST_RACE_SEEDS:
        raise SettingsError(f"--seeds: {ONE_RACE_SEED} --seeds 0-9")
    if max(seeds) > MAX_SEED:
        raise SettingsError(f"--seeds: {max(seeds)} is above {MAX_SEED}, the largest seed; choose a smaller one")
    return search.model_copy(update={"seeds": tuple(seeds)})
