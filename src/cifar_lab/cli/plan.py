"""`cifar-lab plan`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.named_arms import load_arms
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, Lab, Overrides, Questions, Results, Seeds, Workers
from cifar_lab.core.text import count, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cifar_lab.analysis.power_check import DesignCheck
    from cifar_lab.cli.next_step import NextStep
    from cifar_lab.cli.questions import NamedQuestions
    from cifar_lab.config import Settings


def plan(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Settings files: the control, then its arms.", autocompletion=complete_file
        ),
    ] = [],  # noqa: B006
    question: Questions = [],  # noqa: B006
    lab: Lab = None,
    effect: Annotated[
        float | None,
        typer.Option(
            "--effect",
            metavar="PP",
            help="Difference to detect, in percentage points. Default: min_effect of the lab file.",
        ),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    results: Results = DEFAULT_RESULTS,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Check a comparison before it runs: number of runs, time, detectable difference and confounders.

    Without files and without --question, all questions of the lab file are checked.
    Exits with 2 if an arm differs from its control in more than the varied setting.
    """
    from cifar_lab.analysis.questions import lab_file
    from cifar_lab.cli.next_step import NextStep
    from cifar_lab.cli.output import Output
    from cifar_lab.cli.questions import NamedQuestion, ask
    from cifar_lab.config.sheets import LabSheet
    from cifar_lab.core.errors import SettingsError

    if files and question:
        raise SettingsError("plan: give files, or questions, not both")
    if effect is not None and not 0 < effect <= 100:
        raise SettingsError(f"--effect: {effect:g} is out of range; expected percentage points above 0 and at most 100")
    sweeps: dict[str, Path] = {}
    path = lab_file(lab)
    if files:
        control, *arms = load_arms(files, overrides, seeds)
        asked = {f"{control.label}: the control": NamedQuestion("", "", (), control, tuple(arms))}
        family, min_effect = len(arms), float(LabSheet.model_fields["min_effect"].default)
    else:
        found = ask(path, question, overrides, seeds)
        asked = {f"{each.name}: {each.title}": each for each in found.questions}
        family, min_effect, sweeps = found.family, found.min_effect, found.sweeps
    out, documents = Output("plan", as_json=as_json), []
    is_faulty = False
    for title, each in asked.items():
        check = _check(
            each.control, each.arms, results, stated=each.factor, family=family, effect=effect or min_effect,
            workers=workers,
        )  # fmt: skip
        is_faulty = is_faulty or any(arm.faults for arm in check.arms)
        documents.append({"name": each.name, "title": each.title, **asdict(check)})
        for line in _lines(title, check):
            out.wrapped(line)
    out.value("questions", documents)
    for name, file in sweeps.items():
        out.wrapped(f"{name}: a sweep; see its points and time: cifar-lab sweep {file} --dry-run", "notes")
    if is_faulty:
        out.close()
        raise typer.Exit(SettingsError.exit_code)
    tail = NextStep(files, overrides, seeds, results, lab)
    command = tail.before_run() if files else _next_command(path, question, found, tail)
    out.next(command)
    out.close()


def _next_command(path: Path, names: Sequence[str], found: NamedQuestions, step: NextStep) -> list[str | Path]:
    """The runs of the questions that are named, else of the first that misses some, else the report."""
    from cifar_lab.analysis.arms import options
    from cifar_lab.analysis.questions import lab_option
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.runner import preview_runs

    for each in found.questions:
        planned = preview_runs([each.control, *each.arms], RunContext(step.results))
        if planned is None or any(run.state != "done" for run in planned):
            wanted = [name for question in names or [each.name] for name in ("--question", question)]
            return ["run", *wanted, *lab_option(path), *step.tail]
    if not found.questions and found.sweeps:
        return ["sweep", next(iter(found.sweeps.values())), *step.tail]
    return ["report", *lab_option(path), *options(step.results, step.overrides)]


def _check(
    control: Settings,
    arms: Sequence[Settings],
    results: Path,
    *,
    stated: Sequence[str],
    family: int,
    effect: float,
    workers: int | None,
) -> DesignCheck:
    """Check a comparison against its settings and the results folder."""
    from cifar_lab.analysis.power_check import check_design
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.cost import MachineSpeeds, measured_records
    from cifar_lab.execution.runner import preview_runs
    from cifar_lab.store.results import find_records

    context = RunContext(results)
    info, planned = context.images.known(control.data), preview_runs([control, *arms], context)
    records = find_records(results).records if info else []
    done = [run.record for run in planned or () if run.record is not None]
    return check_design(
        control,
        arms,
        planned,
        [record for record in records if info and record.data.fingerprint == info.fingerprint],
        images=context.images,
        speeds=MachineSpeeds(measured_records(done, results)),
        stated=stated,
        family=family,
        effect=effect,
        workers=workers,
    )


def _lines(title: str, check: DesignCheck) -> Iterator[str]:
    yield plain(title)
    yield f"  runs: {_runs(check)}"
    if check.arms:
        yield from (f"  {line}" for line in _power(check))
    for arm in check.arms:
        varied = "; ".join(arm.factors) or "nothing"
        proof = "" if arm.faults else f" and in nothing else from {plain(check.control)}"
        yield f"  {plain(arm.label)} differs in {plain(varied)}{proof}"
        yield from (f"    fault: {plain(fault)}" for fault in arm.faults)
        yield from (f"    confounder: {plain(each)}" for each in arm.confounders)


def _runs(check: DesignCheck) -> str:
    """Number of runs, and the hours that the missing ones take."""
    from cifar_lab.execution.wall_time import NOT_PREPARED

    if not check.missing:
        return f"{count(check.runs, 'run')}, all already done"
    line = f"{count(check.runs, 'run')}, {check.runs - check.missing} already done, {check.missing} to train"
    cost = check.cost
    if cost.hours is None and cost.guess == NOT_PREPARED:
        return f"{line}; hours not known: {NOT_PREPARED}"
    if cost.hours is None:
        labels = ", ".join(dict.fromkeys(map(plain, cost.unknown)))
        return f"{line}; hours not known: this machine has no run like those of {labels} yet"
    size = f"{cost.hours:.1f} hours" if cost.hours >= 1 else f"{60 * cost.hours:.0f} minutes"
    source = cost.guess or f"by {count(cost.measured, 'run')} that took their time here"
    return f"{line}: about {size} on this machine, {cost.workers} side by side, {source}"


def _power(check: DesignCheck) -> Iterator[str]:
    """Spread of the differences, the smallest difference that the seeds detect, and the seeds that the effect needs."""
    std = check.std
    if std is None:
        yield (
            "seeds: the spread between seeds is not known yet; train the control and one other arm with three seeds, "
            "then run `plan` again"
        )
        return
    yield f"spread: {std.std_pp:.2f} pp (std of the difference between an arm and the control), from {std.source}"
    after = f", after correcting for the report's {check.family} comparisons" if check.family > 1 else ""
    shared = count(check.seeds, "shared seed")
    if check.smallest_pp is None:
        yield f"seeds: {shared}: too few to detect any difference"
    elif check.smallest_pp > 100:
        yield f"seeds: {shared}: too few to detect any difference with 80 % power{after}"
    else:
        yield f"seeds: with {shared} you would detect {check.smallest_pp:.2f} pp or more with 80 % power{after}"
    needed = "more than 1,000 seeds" if check.seeds_needed is None else count(check.seeds_needed, "seed")
    yield f"to detect {check.effect_pp:g} pp with 80 % power: {needed} per arm{after}"
    yield (
        f"power is averaged over the spreads that {std.dof:.3g} degrees of freedom leave open (assurance)"
        if std.std_pp
        else "the runs do not differ, so both numbers depend only on the number of test images"
    )
