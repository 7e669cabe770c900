"""`cifar-lab plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Lab, Overrides, Questions, Results, Seeds, Workers, load_arms


def plan(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Settings files: the control, then its arms.")
    ] = [],  # noqa: B006
    question: Questions = [],  # noqa: B006
    lab: Lab = Path("configs/lab.yaml"),
    effect: Annotated[
        float | None,
        typer.Option("--effect", metavar="PP", help="The difference to be shown, pp. Default: the sheet's min_effect."),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    results: Results = DEFAULT_RESULTS,
    workers: Workers = None,
) -> None:
    """Check a comparison before it costs anything: runs, hours, what its seeds can show, and whether it is fair.

    Without files and --question all questions of the lab sheet are checked. Ends with 2 where an arm differs from its
    control in more than what is varied.
    """
    from cifar_lab.cli.lab_questions import ask
    from cifar_lab.cli.planning import lines, looked_at
    from cifar_lab.config.sheets import LabSheet
    from cifar_lab.core.errors import SettingsError
    from cifar_lab.progress.lines import say

    if files and question:
        raise SettingsError("plan: give files, or questions, not both")
    if effect is not None and not 0 < effect <= 100:
        raise SettingsError(f"--effect: {effect:g} is out of range; expected percentage points above 0 and at most 100")
    faulty = False
    if files:
        control, *arms = load_arms(files, overrides, seeds)
        nothing: tuple[str, ...] = ()
        asked = [(f"{control.label}: the control", control, arms, nothing, len(arms))]
        least = float(LabSheet.model_fields["min_effect"].default)
        sweeps: dict[str, Path] = {}
    else:
        found = ask(lab, question, overrides, seeds)
        asked = [
            (f"{each.name}: {each.title}", each.control, list(each.arms), each.factor, found.family)
            for each in found.questions
        ]
        least, sweeps = found.min_effect, found.sweeps
    for title, control, arms, stated, family in asked:
        check = looked_at(control, arms, results, stated=stated, family=family, effect=effect or least, workers=workers)
        faulty = faulty or any(arm.faults for arm in check.arms)
        for line in lines(title, check):
            say(line)
    for name, path in sweeps.items():
        say(f"{name}: a sweep; what it takes: cifar-lab sweep {path} --dry-run")
    raise typer.Exit(SettingsError.exit_code if faulty else 0)
