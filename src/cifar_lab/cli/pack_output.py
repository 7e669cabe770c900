"""Output of `pack` and `unpack`: what the archive has, and the commands that check it."""

from __future__ import annotations

import shlex
from pathlib import Path

from cifar_lab.analysis.claims import CLAIMS_FILE, claims_beside
from cifar_lab.analysis.pack_sources import lab_sources
from cifar_lab.analysis.questions import find_lab_file
from cifar_lab.cli.inspect_runs import CODE_RUNS
from cifar_lab.cli.output import Output
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.terminal import say, say_wrapped
from cifar_lab.core.text import count
from cifar_lab.store.pack import Manifest, unpack, write_pack
from cifar_lab.store.pack_contents import result_files
from cifar_lab.store.pack_names import LAB, RESULTS, WEIGHTS
from cifar_lab.store.results import existing_results, find_records


def write_archive(out: Path, results: Path, lab: Path | None, *, weights: bool) -> None:
    """Pack the lab of the working folder.

    Raises:
        SettingsError: there is no finished run, or a file of the lab is wrong.
        DataError: a record or a file that it names is damaged.
    """
    found = find_records(existing_results(results))
    if not found.records:
        raise SettingsError(f"no finished runs in {results}; train some first: cifar-lab run FILE")
    path = find_lab_file(lab)
    claims = claims_beside(path)
    sources = lab_sources(path, claims if claims.is_file() else None, results, found.records)
    files = {f"{LAB}{name}": file for name, file in sources.files.items()}
    files |= result_files(results, found, weights=weights)
    has_weights = any(name.endswith(f"/{WEIGHTS}") for name in files)
    manifest = write_pack(out, files, sources.folder, weights=has_weights)
    for note in sources.notes:
        say_wrapped(f"note: {note}; write it relative to the settings file")
    if f"{RESULTS}answers.json" not in files:
        say_wrapped("note: the results have no report; `cifar-lab report` writes one")
    kept = "with weights" if has_weights else "without weights"
    say_wrapped(f"packed {count(manifest.runs, 'run')} in {count(len(files), 'file')}, {kept}: {manifest.size:,} bytes")
    say(f"wrote {out}")
    say(f"to open: {shlex.join(['cifar-lab', 'unpack', str(out)])}")


def open_archive(file: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, and print the commands that check it.

    Raises:
        SettingsError: the folder has files.
        DataError: the file is no pack, or is damaged.
    """
    manifest = unpack(file, folder)
    kept = "with weights" if manifest.has_weights else "without weights"
    say_wrapped(
        f"unpacked {count(manifest.runs, 'run')} in {count(len(manifest.digests), 'file')}, {kept}, packed by "
        f"cifar-lab {manifest.cifar_lab}"
    )
    say_wrapped(f"note: {CODE_RUNS}")
    for command in _commands(manifest):
        Output("unpack").next(command.split(), folder=str(folder / manifest.folder))


def _commands(manifest: Manifest) -> list[str]:
    """Commands that check what the pack says."""
    names = set(manifest.digests)
    commands = ["report --check" if f"{RESULTS}answers.json" in names else "report"]
    has_claims = any(name.rpartition("/")[2] == CLAIMS_FILE for name in names if name.startswith(LAB))
    return [*commands, *(["claims"] if has_claims else [])]
