"""What `run` does with questions of the lab sheet instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.questions import answer_sheet
from cifar_lab.cli.lab_questions import Asked, AskedLab, ask
from cifar_lab.cli.tables import print_arms, print_plan
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import count, plain
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.runner import RunBatch, make_runs, preview_runs
from cifar_lab.progress.lines import say
from cifar_lab.studies.sequential_test import Look, until_decided
from cifar_lab.studies.sweep import load_sweep, make_sweep


@dataclass(frozen=True)
class Chosen:
    """What the command line names."""

    files: Sequence[Path]
    question: Sequence[str]
    whole_lab: bool
    lab: Path
    overrides: Sequence[str]
    seeds: Sequence[str]
    most: int | None
    """Seeds at the last look of `--until-decided`; None trains the seeds that the settings ask for."""

    def ask(self, force: bool) -> AskedLab:
        """The questions.

        Raises:
            SettingsError: files and questions, questions and all of them, nothing at all, or what does not go with
                `--until-decided`; the sheet is wrong.
        """
        if self.files and (self.question or self.whole_lab):
            raise SettingsError("run: give files, or questions of the lab sheet (--question, --all), not both")
        if self.question and self.whole_lab:
            raise SettingsError("run: --all is every question; leave --question out, or --all")
        if self.files:
            raise SettingsError(
                "run: --until-decided answers questions of the lab sheet; give --question NAME or --all"
            )
        if not (self.question or self.whole_lab):
            raise SettingsError("run: nothing to run; name settings files, --question NAME or --all")
        if self.most is not None and self.seeds:
            raise SettingsError("run: --until-decided chooses the seeds; leave --seeds out")
        if self.most is not None and force:
            raise SettingsError("run: --until-decided goes on from what is there; leave --force out")
        return ask(self.lab, self.question, self.overrides, self.seeds)


def preview_questions(chosen: Chosen, asked: AskedLab, context: RunContext) -> None:
    """Say what would be trained; nothing is made and no engine is needed."""
    print_plan(asked.arms, preview_runs(asked.arms, context))
    _say_sweeps(asked, chosen)


def run_questions(chosen: Chosen, asked: AskedLab, context: RunContext, *, strict: bool) -> int:
    """Train the arms of questions, then their sweeps; the exit code."""
    code = 0
    if chosen.most is None:
        made = make_runs(asked.arms, context) if asked.arms else None
        if made is not None:
            print_arms(asked.arms, made)
            code = made.exit_code or _diverged(made, strict)
    else:
        for question in asked.questions:
            code = max(code, _decide(question, chosen, chosen.most, context, strict))
    if chosen.whole_lab and not code:
        for path in asked.sweeps.values():
            outcome = make_sweep(load_sweep(path, chosen.overrides), context)
            code = max(code, outcome.searched.exit_code, outcome.confirmed.exit_code)
    else:
        _say_sweeps(asked, chosen)
    return code


def _say_sweeps(asked: AskedLab, chosen: Chosen) -> None:
    for name, path in asked.sweeps.items():
        when = "after its arms" if chosen.whole_lab else "is a sweep"
        say(f"{name}: {when}: cifar-lab sweep {path}")


def _decide(question: Asked, chosen: Chosen, most: int, context: RunContext, strict: bool) -> int:
    """One question until it is decided; the exit code."""

    def look_at() -> Answer:
        answers = answer_sheet(chosen.lab, context.results, chosen.overrides).answers
        return next(answer for answer in answers if answer.name == question.name)

    code, train = 0, partial(make_runs, context=context)
    looks = until_decided(question.name, question.control, question.arms, context.results, most, train, look_at)
    for look in looks:
        _say_look(question, look)
        code = look.made.exit_code or _diverged(look.made, strict)
    return code


def _say_look(question: Asked, look: Look) -> None:
    where = f"look {look.number} of {len(look.looks)}, {count(look.seeds, 'seed')}"
    say(f"{plain(question.name)}: {where} (planned: {', '.join(map(str, look.looks))})")
    for comparison in look.answer.comparisons:
        say(f"  {plain(comparison.sentence)}")
    if not look.open:
        say("  decided")
    elif look.is_last:
        say(f"  not decided with {count(look.seeds, 'seed')}: {', '.join(plain(each.arm) for each in look.open)}")


def _diverged(made: RunBatch, strict: bool) -> int:
    return int(strict and any(record.status == "diverged" for record in made.records))
