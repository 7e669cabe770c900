"""Output of `rm` and `gc`: what would be deleted, the question before it, and what was deleted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cifar_lab.analysis.arms import options
from cifar_lab.analysis.comparison_targets import look_up
from cifar_lab.analysis.finished_runs import find_folder
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.cli.output import Output
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.cli.unfinished import label_and_seed
from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import DataError, LabError, SettingsError
from cifar_lab.core.text import count
from cifar_lab.store.documents import read_document
from cifar_lab.store.leftovers import Kind, Leftover, delete_leftovers, find_leftovers
from cifar_lab.store.locks import HeldError
from cifar_lab.store.records import Record
from cifar_lab.store.removal import Removal, counted_runs, remove_runs, require_own, size_of
from cifar_lab.store.results import Found, RunFolder, existing_results, find_records, run_ids, sweep_folders

REMOVAL_COLUMNS = (
    TableColumn("run", "run_id"),
    TableColumn("arm", "label"),
    TableColumn("seed", "seed", worth=6, right=True),
    TableColumn("state", "state", worth=5),
    TableColumn("bytes", "bytes", worth=7, right=True, cell="{:,}".format),
)

LEFTOVER_WORDS: dict[Kind, tuple[str, str]] = {
    "checkpoint": ("checkpoint", "of finished runs"),
    "temporary file": ("temporary file", "of interrupted writes"),
    "removed run": ("folder", "of removed runs"),
}


def remove_named(results: Path, names: Sequence[str], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove the runs and arms with these names.

    Raises:
        SettingsError: a name matches nothing or several runs, a folder has a file of another program, or there is no
            terminal for the question.
        HeldError: another command holds a run.
    """
    removals = list(_removals(existing_results(results), names))
    for each in removals:
        if (holder := each.folder.holder()) is not None:
            raise HeldError(each.folder.path, holder)
        require_own(each.folder)
    out = Output("rm", as_json=as_json)
    if not as_json or dry_run:
        _print_removals(out, results, removals)
    command = ["cifar-lab", "rm", *names, *options(results, ()), "--yes"]
    if not dry_run and _confirmed(f"remove {count(len(removals), 'run')}?", command, yes=yes):
        remove_runs(results, removals)
        out.line(f"{count(len(removals), 'run')} removed")
        out.value("removed", [each.run_id for each in removals])
    elif dry_run:
        out.next(command[1:])
    out.close()


def _print_removals(out: Output, results: Path, removals: Sequence[Removal]) -> None:
    table = TextTable(*REMOVAL_COLUMNS)
    for each in removals:
        state = each.record.status if each.record is not None else each.folder.unfinished_state()
        table.add(each.run_id, each.label, each.seed, state, each.size)
    out.table(table, "runs")
    out.wrapped(f"{count(len(removals), 'run')}, {sum(each.size for each in removals):,} bytes")
    if counted := sum(each.counted for each in removals):
        one = counted == 1
        out.wrapped(
            f"{count(counted, 'run')} of an earlier look: {'it leaves a mark' if one else 'they leave marks'}, and the "
            f"report names {'it' if one else 'them'} as removed",
            "notes",
        )
    for name, runs in _sweeps_of(results, {each.run_id for each in removals}):
        out.wrapped(
            f"{count(runs, 'run')} of the sweep {name}: `report --check` then differs; run the sweep again", "notes"
        )


def _sweeps_of(results: Path, ids: set[str]) -> Iterator[tuple[str, int]]:
    """(name of a sweep, runs of its search among these ids)."""
    for folder in sweep_folders(results):
        try:
            points = read_document(folder.plan).values["points"]
            runs = ids & {run_id for point in points for run_id in point["runs"]}
        except (FileNotFoundError, DataError, KeyError, TypeError):
            continue
        if runs:
            yield folder.path.name, len(runs)


def _removals(results: Path, names: Sequence[str]) -> Iterator[Removal]:
    """Runs with these names, each once."""
    found, counted = find_records(results), counted_runs(results)
    records = {record.run_id: record for record in found.records}
    named = dict.fromkeys(run_id for name in names for run_id in _named(results, name, found))
    for run_id in named:
        folder, record = RunFolder(results, run_id), records.get(run_id)
        folder.refuse_link()
        label, seed = (record.label, record.seed) if record else label_and_seed(folder, _settings(folder))
        yield Removal(folder, label, seed, record, size_of(folder.path), counted is None or run_id in counted)


def _named(results: Path, name: str, found: Found) -> list[str]:
    """Ids of the runs that a name means: a run by its id, else all runs of an arm.

    Raises:
        SettingsError: nothing has the name, several runs have it, or it is a sweep.
    """
    if (folder := find_folder(results, name)) is not None:
        return [folder.path.name]
    target = look_up(name, results, found.records)
    if target is not None and target.kind == "sweep":
        raise SettingsError(f"{name!r}: is a sweep; name its runs or its arms: cifar-lab list")
    records = list(target.records) if target is not None else []
    ids = [record.run_id for record in records]
    ids += _unfinished(results, name, records, set(ids) | {record.run_id for record in found.records})
    if not ids:
        raise SettingsError(
            f"{name!r}: no run id starts with it, and no run of {results} has this label or these settings; list all "
            f"runs: cifar-lab list --results {shlex.quote(results.as_posix())}"
        )
    return ids


def _unfinished(results: Path, name: str, records: Iterable[Record], known: set[str]) -> list[str]:
    """Ids of the runs of an arm that have no usable record."""
    keys = {recipe_key(record.recipe) for record in records}
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        keys.add(recipe_key(recipe(load_settings(name))))
    found = []
    for run_id in run_ids(results):
        folder = RunFolder(results, run_id)
        if run_id in known or folder.path.is_symlink():
            continue
        settings = _settings(folder)
        label, _ = label_and_seed(folder, settings)
        if label == name or (settings is not None and _key(settings) in keys):
            found.append(run_id)
    return found


def _settings(folder: RunFolder) -> Settings | None:
    """Settings of a run without a usable record. None where they cannot be read."""
    try:
        return load_settings(folder.settings) if folder.settings.is_file() else None
    except LabError:
        return None


def _key(settings: Settings) -> str:
    try:
        return recipe_key(recipe(settings))
    except LabError:
        return ""


def delete_unused(results: Path, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete what `find_leftovers` names.

    Raises:
        SettingsError: there is no terminal for the question.
    """
    leftovers = find_leftovers(existing_results(results))
    out = Output("gc", as_json=as_json)
    command = ["cifar-lab", "gc", *options(results, ()), "--yes"]
    deleted: list[Leftover] = []
    if not leftovers.found:
        out.line("nothing to delete")
    else:
        _print_leftovers(out, leftovers.found)
        if dry_run:
            deleted = leftovers.found
        elif _confirmed(f"delete {sum(each.size for each in leftovers.found):,} bytes?", command, yes=yes):
            deleted = delete_leftovers(results, leftovers)
            out.line(f"deleted: {sum(each.size for each in deleted):,} bytes")
    if leftovers.held:
        out.wrapped(f"{count(len(leftovers.held), 'run')} held by another command and skipped", "notes")
    out.value("files", [{"kind": each.kind, "path": str(each.path), "bytes": each.size} for each in deleted])
    out.value("bytes", sum(each.size for each in deleted))
    if dry_run and deleted:
        out.next(command[1:])
    out.close()


def _print_leftovers(out: Output, found: Sequence[Leftover]) -> None:
    for kind, (what, origin) in LEFTOVER_WORDS.items():
        if of_kind := [each for each in found if each.kind == kind]:
            out.wrapped(f"{count(len(of_kind), what)} {origin}: {sum(each.size for each in of_kind):,} bytes")


def _confirmed(question: str, command: Sequence[str], *, yes: bool) -> bool:
    """Ask on the terminal before something is deleted.

    Raises:
        SettingsError: there is no terminal to answer.
    """
    if yes:
        return True
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise SettingsError(f"nothing is deleted without an answer; add --yes: {shlex.join(command)}")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("nothing was deleted", file=sys.stderr)
    return False
