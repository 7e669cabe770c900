"""Questions of a lab sheet as `run` and `plan` name them: their arms, and the runs that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import comb
from pathlib import Path

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.arms import beside, options
from cifar_lab.analysis.questions import answer_lab, lab_option
from cifar_lab.analysis.remembered_looks import Viewing
from cifar_lab.analysis.sentences import comparison_sentences
from cifar_lab.analysis.winners import SHOWN
from cifar_lab.cli.conversion import exit_code, try_models
from cifar_lab.cli.named_arms import load_arms
from cifar_lab.cli.output import Output
from cifar_lab.cli.tables import print_arms, print_plan
from cifar_lab.config import Settings
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.sheets import LabSheet, SweepSheet
from cifar_lab.core.errors import ExitCode, SettingsError, exit_code_of
from cifar_lab.core.text import count
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.runner import RunBatch, make_runs, preview_runs
from cifar_lab.studies.run_sweep import make_sweep
from cifar_lab.studies.sequential_test import InterimAnalysis, run_sequential_test
from cifar_lab.studies.space.groups import group_count
from cifar_lab.studies.sweep import load_sweep


@dataclass(frozen=True)
class NamedQuestion:
    """A question of arms, with their settings."""

    name: str
    title: str
    factor: tuple[str, ...]
    control: Settings
    arms: tuple[Settings, ...]


@dataclass(frozen=True)
class NamedQuestions:
    """Questions that a command names."""

    questions: tuple[NamedQuestion, ...]
    sweeps: dict[str, Path]
    """Sweep file by question."""
    family: int
    """Comparisons of a report on the whole sheet."""
    min_effect: float

    @property
    def arms(self) -> list[Settings]:
        """All settings to train, each file once, controls first."""
        files = [settings for question in self.questions for settings in (question.control, *question.arms)]
        return list({id(settings): settings for settings in files}.values())


def ask(lab: Path, names: Sequence[str], overrides: Sequence[str], seeds: Sequence[str]) -> NamedQuestions:
    """Load the questions called `names`, or all questions without a name.

    Raises:
        SettingsError: the sheet or a file that it names is wrong; no question has such a name.
    """
    sheet = load_sheet(lab, LabSheet)
    unknown = [name for name in names if name not in sheet.questions]
    if unknown:
        raise SettingsError(f"--question {unknown[0]}: {lab} has no such question; it has {', '.join(sheet.questions)}")
    wanted = {name: sheet.questions[name] for name in (names or sheet.questions)}
    of_arms = {name: question for name, question in wanted.items() if question.sweep is None}
    files = dict.fromkeys(
        file for question in of_arms.values() for file in (question.control or sheet.control, *question.arms)
    )
    arms = load_arms([sheet_file(lab, file) for file in files], overrides, seeds)
    found = dict(zip(files, arms, strict=True))
    questions = tuple(
        NamedQuestion(name, question.title, question.factor, found[question.control or sheet.control],
                      tuple(found[file] for file in question.arms))
        for name, question in of_arms.items()
    )  # fmt: skip
    for question in wanted.values():
        if question.sweep:
            sheet_file(lab, question.sweep)
    sweeps: dict[str, Path] = {}
    for name, question in wanted.items():  # several may be asked of one sweep, such as its accuracy and its robustness
        if question.sweep and beside(lab, question.sweep) not in sweeps.values():
            sweeps[name] = beside(lab, question.sweep)
    return NamedQuestions(questions, sweeps, _family(sheet, lab), sheet.min_effect)


def _family(sheet: LabSheet, lab: Path) -> int:
    """Comparisons of the whole sheet: its arms, and the winners that a report shows of each sweep."""
    sweeps = [sheet_file(lab, question.sweep) for question in sheet.questions.values() if question.sweep]
    winners = [_comparisons(load_sheet(path, SweepSheet)) for path in sweeps]
    return sum(len(question.arms) for question in sheet.questions.values()) + sum(winners)


def _comparisons(sheet: SweepSheet) -> int:
    """Comparisons that a report makes of a sweep: its winners with the control, or its groups with each other."""
    return comb(group_count(sheet), 2) if sheet.search.group_keys else min(SHOWN, sheet.search.top)


@dataclass(frozen=True)
class RunRequest:
    """Questions and options of a `run` command."""

    files: Sequence[Path]
    question: Sequence[str]
    whole_lab: bool
    lab: Path
    overrides: Sequence[str]
    seeds: Sequence[str]
    max_seeds: int | None
    """Seeds at the last analysis of `--until-decided`. None trains the seeds of the settings."""
    out: Output = field(default_factory=lambda: Output("run"))

    def ask(self, force: bool) -> NamedQuestions:
        """Load the questions.

        Raises:
            SettingsError: options that exclude each other, no question at all, or an error in the sheet.
        """
        if problem := self._problem(force):
            raise SettingsError(f"run: {problem}")
        return ask(self.lab, self.question, self.overrides, self.seeds)

    def run_command(self, context: RunContext) -> list[str | Path]:
        """The command that makes the runs of this request."""
        named = ["--all"] if self.whole_lab else [word for name in self.question for word in ("--question", name)]
        named += [word for text in self.seeds for word in ("--seeds", text)]
        named += ["--until-decided"] if self.max_seeds is not None else []
        return ["run", *named, *lab_option(self.lab), *options(context.results, self.overrides)]

    def _problem(self, force: bool) -> str:
        if self.files and (self.question or self.whole_lab):
            return "give files, or questions of the lab file (--question, --all), not both"
        if self.question and self.whole_lab:
            return "--all is every question; leave --question out, or --all"
        if self.files:
            return "--until-decided answers questions of the lab file; give --question NAME or --all"
        if not (self.question or self.whole_lab):
            return "nothing to run; name settings files, --question NAME or --all"
        if self.max_seeds is not None and self.seeds:
            return "--until-decided chooses the seeds; leave --seeds out"
        if self.max_seeds is not None and force:
            return "--until-decided continues from existing runs; leave --force out"
        return ""


def preview_questions(request: RunRequest, asked: NamedQuestions, context: RunContext) -> None:
    """Print the runs of the questions without making any."""
    try_models(asked.arms, context)
    print_plan(asked.arms, preview_runs(asked.arms, context), request.out)
    _say_sweeps(request, asked)
    request.out.next(request.run_command(context))


def run_questions(request: RunRequest, asked: NamedQuestions, context: RunContext, *, strict: bool) -> int:
    """Train the arms of the questions, then their sweeps with `--all`, and return the exit code.

    With `strict` a point of a sweep that diverged counts too.
    """
    codes: list[int] = []
    held = 0
    if request.max_seeds is not None:
        codes += [_run_until_decided(each, request, request.max_seeds, context) for each in asked.questions]
    elif asked.arms:
        runs = make_runs(asked.arms, context)
        print_arms(asked.arms, runs, request.out)
        codes.append(exit_code([runs]))
        held = runs.held
    if request.whole_lab and set(codes) <= {ExitCode.DONE, ExitCode.DIVERGED}:
        for path in asked.sweeps.values():
            outcome = make_sweep(load_sweep(path, request.overrides), context)
            codes.append(exit_code([outcome.search_runs, outcome.confirmed], diverged_counts=strict))
    else:
        _say_sweeps(request, asked)
    code = exit_code_of(codes)
    if not code:
        waiting = [*request.run_command(context), "--wait"]
        request.out.next(waiting if held else _next_command(request, asked, context))
    return code


def _next_command(request: RunRequest, asked: NamedQuestions, context: RunContext) -> list[str | Path]:
    """The report, or the sweep where the command names nothing else."""
    if not asked.arms and asked.sweeps and not request.whole_lab:
        return ["sweep", next(iter(asked.sweeps.values())), *options(context.results, request.overrides)]
    return ["report", *lab_option(request.lab), *options(context.results, request.overrides)]


def _say_sweeps(request: RunRequest, asked: NamedQuestions) -> None:
    for name, path in asked.sweeps.items():
        when = "after its arms" if request.whole_lab else "is a sweep"
        request.out.line(f"{name}: {when}: cifar-lab sweep {path}", "notes")


def _run_until_decided(question: NamedQuestion, request: RunRequest, max_seeds: int, context: RunContext) -> int:
    """Run the sequential test of one question and return the exit code."""

    def answer_question(seeds: int) -> Answer:
        viewing = Viewing(question=question.name, analysis=seeds)
        answers = answer_lab(request.lab, context.results, request.overrides, viewing=viewing).answers
        return next(answer for answer in answers if answer.name == question.name)

    def train(arms: Sequence[Settings], plan: str) -> RunBatch:
        # The analysis needs every run, those that other commands hold as well.
        waiting = replace(context, plan=plan, policy=replace(context.policy, wait=True))
        return make_runs(arms, waiting)

    codes: set[int] = set()
    arms = (question.name, question.control, question.arms)
    with context.engine.keeping_workers():
        for analysis in run_sequential_test(*arms, context.results, max_seeds, train, answer_question):
            _say_analysis(question, analysis, request.out)
            codes.add(exit_code([analysis.runs]))
    return exit_code_of(codes)


def _say_analysis(question: NamedQuestion, analysis: InterimAnalysis, out: Output) -> None:
    seeds = count(analysis.seeds, "seed")
    planned = ", ".join(map(str, analysis.planned))
    look = f"{question.name}: look {analysis.number} of {len(analysis.planned)}, {seeds} (planned: {planned})"
    out.line(look, "sentences")
    for sentence in comparison_sentences(analysis.answer):
        out.line(f"  {sentence}", "sentences")
    if not analysis.undecided:
        out.line("  decided", "sentences")
    elif analysis.is_last:
        out.line(f"  not decided with {seeds}: {', '.join(each.arm for each in analysis.undecided)}", "sentences")
