"""Claims of a claims file, held against the records with the statistics of the report.

A claim against another arm is a test of the report: paired by seed or Welch's, at the level of its look, with the limit
of the claim instead of no difference. A claim against a number is the t test of the mean that gives the report's
interval. Holm adjusts over all claims of the file. A claim holds where its test shows it, and does not hold where the
same test shows the opposite. Anything else is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.arms import Arm, compare_arms, load_arms, options, tested_runs
from cifar_lab.analysis.claim_seeds import command_to_decide
from cifar_lab.analysis.data_choice import choose_data, data_sets, named_data
from cifar_lab.analysis.differences import row_difference
from cifar_lab.analysis.error_budget import Look
from cifar_lab.analysis.held_claims import HeldClaim, HeldClaims
from cifar_lab.analysis.remembered_looks import Viewing, judge_results
from cifar_lab.analysis.setting_choice import choose_settings
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS, holm, mean_p
from cifar_lab.analysis.summary import Row, arm_row, by_recipe
from cifar_lab.config.claims import Claim, ClaimSheet
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.sheets import LabSheet, Question
from cifar_lab.store.records import Record
from cifar_lab.store.results import Found, find_records

CLAIMS_FILE = "claims.yaml"
"""Name of the claims file beside a lab file."""


def claims_beside(lab: Path | None) -> Path:
    """Path of the claims file beside a lab file, or in the working folder where there is none."""
    return (lab.parent if lab is not None else Path()) / CLAIMS_FILE


def hold_claims(
    path: Path, results: Path, overrides: Sequence[str] = (), data_name: str | None = None, *, viewing: Viewing
) -> HeldClaims:
    """Hold every claim of a claims file against the records. The comparisons count as looks.

    Args:
        path: the claims file.
        overrides: change the settings files. Without any, the `--set` options of the runs are found from the runs.
        data_name: as in `answer_lab`.

    Raises:
        SettingsError: the claims file or a settings file is wrong, or `data_name` has no runs.
    """
    sheet, there = load_sheet(path, ClaimSheet), find_records(results)
    lab = _as_lab(sheet)
    chosen = tuple(overrides) or choose_settings(lab, load_arms(path, lab, ()), there.records)
    tail = options(results, chosen)
    arms = load_arms(path, lab, chosen)
    pairs, singles = {}, {}
    for name, claim in sheet.claims.items():
        records = _records(claim, arms, there, chosen, data_name)
        if claim.other is not None:
            question = Question(title=name, chart="claim.png")
            pairs[name] = compare_arms(name, question, arms[claim.other], [arms[claim.arm]], records)
        else:
            arm = arms[claim.arm]
            runs = tested_runs(arm, by_recipe(records))
            singles[name] = arm_row(arm.label, runs, seeds=arm.settings.seeds)
    judged = judge_results(list(pairs.values()), lab.min_effect, results, viewing, there=there.records)
    compared = {answer.name: answer for answer in judged.answers}
    held = [
        _of_pair(name, claim, compared[name]) if name in compared else _of_row(name, claim, singles[name])
        for name, claim in sheet.claims.items()
    ]
    adjusted = holm([each.p for each in held])
    family = sum(p is not None for p in adjusted)
    told = []
    for each, p in zip(held, adjusted, strict=True):
        known = replace(each, p_holm=p.p if p else None)
        named = [arms[file] for file in (each.claim.other, each.claim.arm) if file is not None]
        told.append(replace(known, to_run=command_to_decide(known, named, tail, family)))
    return HeldClaims(tuple(told), family, judged.faults, chosen)


def _as_lab(sheet: ClaimSheet) -> LabSheet:
    """The claims as questions, for the settings files that they name."""
    questions = {
        name: Question(title=name, chart=f"{name}.png", control=claim.other, arms=(claim.arm,))
        for name, claim in sheet.claims.items()
    }
    first = next(iter(sheet.claims.values()))
    return LabSheet(title="claims", control=first.other or first.arm, questions=questions)


def _records(
    claim: Claim, arms: Mapping[str, Arm], there: Found, overrides: Sequence[str], data_name: str | None
) -> list[Record]:
    """Records of the arms of a claim, on the images that they share."""
    named = [arms[file] for file in (claim.arm, claim.other) if file is not None]
    groups = by_recipe(there.records)
    runs = [tested_runs(arm, groups) for arm in named]
    images = set.intersection(*({record.data.fingerprint for record in each} for each in runs))
    of_arms = {record.run_id: record for each in runs for record in each}  # two files may have the same settings
    ours = [record for record in of_arms.values() if not images or record.data.fingerprint in images]
    meant = named_data(named[-1].settings, there.records, overrides)
    data = choose_data(data_sets(ours), data_name, replace(meant, asked="")).data
    return [record for record in ours if data is not None and record.data.fingerprint == data.fingerprint]


def _of_pair(name: str, claim: Claim, answer: Answer) -> HeldClaim:
    """Claim on two arms. Not adjusted by Holm yet."""
    other, row = answer.rows
    (comparison,) = answer.comparisons
    held = HeldClaim(name, claim, row, other, comparison)
    gap = row_difference(row, other)
    if gap is None or gap.runs < FEWEST_SEEDS or comparison.alpha is None:
        return held
    if claim.equal_to is None:
        sign = 1 if claim.better_than is not None else -1
        limit = sign * claim.by_at_least / 100
        p, is_toward = gap.margin_p(limit), sign * (gap.mean - limit) > 0
    else:
        limit = claim.within / 100
        is_toward = abs(gap.mean) < limit
        p = gap.equivalence_p(limit) if is_toward else gap.margin_p(limit if gap.mean > 0 else -limit)
    return replace(held, p=Look(alpha=comparison.alpha).adjust(p), is_toward=is_toward)


def _of_row(name: str, claim: Claim, row: Row) -> HeldClaim:
    """Claim on one arm. Not adjusted by Holm yet."""
    held = HeldClaim(name, claim, row)
    bound = claim.accuracy_at_least if claim.accuracy_at_least is not None else claim.accuracy_at_most
    if row.n < FEWEST_SEEDS or row.mean is None or bound is None:
        return held
    p = mean_p([accuracy for _, accuracy in row.values], bound, step=1 / row.test_size if row.test_size else 0.0)
    is_above = row.mean > bound
    return replace(held, p=p, is_toward=is_above == (claim.accuracy_at_least is not None))
