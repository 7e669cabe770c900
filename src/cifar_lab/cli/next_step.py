"""The command that leads on from the end of a command to the answer of its question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.analysis.arms import Arm, load_arms, options, settings_key
from cifar_lab.analysis.claim_seeds import more_seeds
from cifar_lab.analysis.data_choice import SHORT
from cifar_lab.analysis.folder_report import answer_folder, found_option
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.questions import DEFAULT_LAB_FILE, find_lab_file, lab_option
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS
from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.io.shipped import beside, shipped_file
from cifar_lab.config.io.yaml_files import read_file
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import LabError
from cifar_lab.execution.runner import RunBatch
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class NextStep:
    """Settings files of a command with its options, from which the next command follows."""

    files: Sequence[Path]
    overrides: Sequence[str]
    seeds: Sequence[str]
    results: Path
    lab: Path | None = None
    """Lab file of the option `--lab`."""

    @property
    def tail(self) -> list[str]:
        """Options of the next `run`."""
        kept = [word for word in self.overrides if not (self.seeds and word.partition("=")[0].strip() == "seeds")]
        return [*options(self.results, kept), *(word for text in self.seeds for word in ("--seeds", text))]

    def before_run(self) -> list[str | Path]:
        """The `run` that trains the files and what they are compared with."""
        try:
            return ["run", *self._with_control(), *self.tail]
        except LabError:
            return ["run", *self.files, *self.tail]

    def after_run(self, arms: Sequence[Settings], runs: RunBatch) -> list[str | Path]:
        """The command that answers the question after the runs of the files.

        The command that waits where others hold some of the runs, else the report where it compares one of the arms,
        else a comparison of two of them, else the runs that are missing for one.
        """
        if runs.held:
            return ["run", *self.files, *self.tail, "--wait"]
        if seeds := _more_seeds(arms):
            return ["run", *self.files, *replace(self, seeds=[seeds]).tail]
        try:
            return self._report(arms, runs) or self._comparison(arms) or self._missing(arms[0])
        except LabError:
            return ["report", *options(self.results, ())]

    # --- parts ------------------------------------------------------------------------------------------------------

    def _report(self, arms: Sequence[Settings], runs: RunBatch) -> list[str | Path] | None:
        """The report that compares one of the arms. None where there is none."""
        keys = {settings_key(arm) for arm in arms}
        return report_of(keys, runs.records, self.results, self.overrides, self.lab)

    def _comparison(self, arms: Sequence[Settings]) -> list[str | Path] | None:
        """The comparison of the last file with the first, or with its base, where both have runs."""
        files = self.files if len(self.files) > 1 else self._with_control()
        keys = [settings_key(load_settings(file, self.overrides)) for file in files]
        if len(files) < 2 or keys[0] == keys[-1]:
            return None
        done = {row.key for answer in answer_folder(None, self.results).answers for row in answer.rows if row.n}
        if keys[0] not in done or keys[-1] not in done:
            return None
        return ["compare", files[-1], files[0], *options(self.results, self.overrides)]

    def _missing(self, arm: Settings) -> list[str | Path]:
        """The runs that a single arm needs beside it."""
        files = self._with_control()
        if len(files) > 1:
            return ["run", *files, *self.tail]
        if question := self._first_question(files[0]):
            return question
        other = "sgd" if arm.optimizer.name != "sgd" else "adam"
        kept = [word for word in self.overrides if not word.strip().startswith("optimizer.") or "lr=" in word]
        return ["run", files[0], "--set", f"optimizer.name={other}", *replace(self, overrides=kept).tail]

    def _with_control(self) -> list[Path]:
        """The files. Where it is one, what it is compared with comes first: its control in the lab file, else the
        file that it extends."""
        if len(self.files) != 1:
            return list(self.files)
        (file,) = self.files
        key = settings_key(load_settings(file))
        for control, arm in self._pairs():
            if arm.key == key != control.key:
                return [control.path, file]
        base = _base(file)
        return [file] if base is None else [base, file]

    def _lab_path(self) -> Path | None:
        """The lab file, else the shipped one where a file is a shipped one."""
        path = find_lab_file(self.lab)
        return path or (DEFAULT_LAB_FILE if any(shipped_file(file) for file in self.files) else None)

    def _pairs(self) -> list[tuple[Arm, Arm]]:
        """Control and arm of every comparison of the lab file."""
        path = self._lab_path()
        if path is None:
            return []
        sheet = load_sheet(path, LabSheet)
        arms = load_arms(path, sheet, ())
        return [
            (arms[question.control or sheet.control], arms[file])
            for question in sheet.questions.values()
            for file in question.arms
        ]

    def _first_question(self, control: Path) -> list[str | Path] | None:
        """The runs of the first question of the lab file whose control the file is."""
        path, key = self._lab_path(), settings_key(load_settings(control))
        if path is None or not any(each.key == key for each, _ in self._pairs()):
            return None
        sheet = load_sheet(path, LabSheet)
        arms = load_arms(path, sheet, ())
        name = next(n for n, q in sheet.questions.items() if q.arms and arms[q.control or sheet.control].key == key)
        return ["run", "--question", name, *lab_option(path), *self.tail]


def report_of(
    keys: set[str],
    records: Sequence[Record],
    results: Path,
    overrides: Sequence[str] = (),
    lab_path: Path | None = None,
) -> list[str | Path] | None:
    """The report that compares one of the arms: of the lab file, else of the folder. None where there is none.

    Args:
        keys: `recipe_key` of each arm.
        records: runs of the arms.
        lab_path: lab file of the option `--lab`.
    """
    path = find_lab_file(lab_path)
    if path is not None:
        lab = answer_folder(path, results, overrides)
        if not lab.is_found and _compares(lab, keys):
            return ["report", *lab_option(path), *options(results, overrides)]
    return found_report(results, {record.data.fingerprint for record in records}, keys)


def found_report(results: Path, fingerprints: set[str], keys: set[str]) -> list[str | Path] | None:
    """The report of the folder without a lab file, where it compares one of these arms on these images.

    Args:
        keys: `recipe_key` of each arm.
    """
    for fingerprint in sorted(fingerprints):
        usual = answer_folder(None, results)
        of_images = usual.data is not None and usual.data.fingerprint == fingerprint
        lab = usual if of_images else answer_folder(None, results, (), fingerprint)
        if _compares(lab, keys):
            data = [] if of_images else ["--data", fingerprint[:SHORT]]
            return ["report", *found_option(), *data, *options(results, ())]
    return None


def _compares(lab: Lab, keys: set[str]) -> bool:
    """Whether the report compares one of these arms with another."""
    return any(
        row.key in keys or answer.control.key in keys
        for answer in lab.answers
        if answer.comparisons and answer.is_answered
        for row in answer.rows[1:]
        if not row.is_missing
    )


def _base(file: Path) -> Path | None:
    """The file that a settings file extends. None without one."""
    root = read_file(file).root.value
    stated = root.get("extends") if isinstance(root, dict) else None
    value = stated.value if stated is not None else None
    if isinstance(value, list):
        value = value[0].value if value else None
    return beside(file.parent, value) if isinstance(value, str) and value.strip() else None


def _more_seeds(arms: Sequence[Settings]) -> str:
    """Seeds with which the arms have enough for a verdict. Empty where one has enough."""
    if max(len(arm.seeds) for arm in arms) >= FEWEST_SEEDS:
        return ""
    return ",".join(map(str, more_seeds({seed for arm in arms for seed in arm.seeds}, FEWEST_SEEDS)))
