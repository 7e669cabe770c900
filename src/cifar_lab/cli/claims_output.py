"""Output of `claims`: a line per claim with its evidence, and the count of each state."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.analysis.claim_words import claim_sentence, evidence, warnings
from cifar_lab.analysis.claims import claims_beside, hold_claims
from cifar_lab.analysis.held_claims import HeldClaim, HeldClaims, State
from cifar_lab.analysis.questions import find_lab_file
from cifar_lab.analysis.remembered_looks import Viewing
from cifar_lab.cli.output import Output
from cifar_lab.core.errors import DataError, ExitCode, SettingsError, exit_code_of
from cifar_lab.core.text import count, plain
from cifar_lab.store.results import existing_results

MARKS: dict[State, str] = {"holds": "✓", "does not hold": "✗", "undecided": "?"}
"""Sign before the word, so that a terminal without colour shows the difference."""


def claims_file(given: Path | None) -> Path:
    """The claims file that is given, else the one beside the lab file.

    Raises:
        SettingsError: there is none.
    """
    path = given or claims_beside(find_lab_file())
    if given is None and not path.is_file():
        raise SettingsError(f"no file {path}; name a claims file, or write one: docs/claims.md shows how")
    return path


def print_claims(
    path: Path, results: Path, overrides: Sequence[str], data: str | None, *, strict: bool, as_json: bool
) -> int:
    """Print every claim of the file, and return the exit code.

    Raises:
        SettingsError: the claims file or a settings file is wrong.
    """
    held = hold_claims(path, existing_results(results), overrides, data, viewing=Viewing())
    out = Output("claims", as_json=as_json)
    if held.options:
        out.wrapped(f"note: the runs were made with {' '.join(f'--set {word}' for word in held.options)}", "notes")
    for each in held.claims:
        _print_claim(out, each)
    states = [each.state for each in held.claims]
    counts = ", ".join(f"{state}: {states.count(state)}" for state in MARKS)
    out.wrapped(f"{count(len(states), 'claim')}; {counts}")
    out.value("claims", [_document(each) for each in held.claims])
    out.value("family", held.family)
    if commands := [each.to_run for each in held.claims if each.to_run]:
        out.next(shlex.split(commands[0])[1:])
    out.close()
    return _exit_code(held, states, strict)


def _exit_code(held: HeldClaims, states: Sequence[State], strict: bool) -> int:
    fails = "does not hold" in states or (strict and "undecided" in states)
    codes = [ExitCode.RUNS_FAILED] if fails else []
    return exit_code_of([*codes, *([DataError.exit_code] if held.faults else [])])


def _print_claim(out: Output, held: HeldClaim) -> None:
    out.wrapped(f"{MARKS[held.state]} {held.name} {_state_words(held)}: {claim_sentence(held)}")
    out.wrapped(f"    {plain(evidence(held))}")
    if warning := warnings(held):
        out.wrapped(f"    {plain(warning)}")
    if held.to_run:
        out.text(f"    to run: {held.to_run}")
    elif held.state == "undecided" and held.p is not None:
        out.wrapped("    More than 1,000 seeds per arm would be needed to decide it.")


def _state_words(held: HeldClaim) -> str:
    return held.state if held.state != "undecided" or held.p is not None else "cannot be decided"


def _document(held: HeldClaim) -> dict[str, Any]:
    found, row = held.comparison, held.row
    return {
        "name": held.name,
        "claim": claim_sentence(held),
        "state": held.state,
        "evidence": evidence(held),
        "warning": warnings(held) or None,
        "arm": row.label,
        "other": held.other.label if held.other is not None else None,
        "mean": row.mean,
        "interval": row.interval,
        "n": row.n,
        "runs": row.run_ids,
        "difference_pp": found and found.difference,
        "low_pp": found and found.low,
        "high_pp": found and found.high,
        "level": found and found.level,
        "p": held.p,
        "p_holm": held.p_holm,
        "to_run": held.to_run or None,
    }
