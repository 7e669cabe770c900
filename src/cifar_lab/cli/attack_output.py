"""Work and output of `cifar-lab attack`: targets, progress, and a table of robust accuracies per arm."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cifar_lab.analysis.arms import options
from cifar_lab.analysis.robust_scores import clean_accuracy, distances, masking_signs, robust_levels
from cifar_lab.analysis.summary import by_recipe
from cifar_lab.cli.output import Output
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.config.attack import AnyAttack, Corruption, attack_words, eps_words
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.core.extras import require_extra
from cifar_lab.core.host import has_gpu, print_status
from cifar_lab.core.terminal import say
from cifar_lab.core.text import count, in_words, plain
from cifar_lab.execution.attack_cost import AttackForecast, forecast_attacks
from cifar_lab.execution.attack_runs import AttackPlan, Victim, found_attack, make_attacks, plan_attacks
from cifar_lab.store.attack_records import AttackRecord
from cifar_lab.store.records import Record
from cifar_lab.training.attacks.job import AttackJob
from cifar_lab.training.attacks.passes import passes

PROGRESS_SECONDS = 5.0
"""Time between two lines of progress."""


@dataclass(frozen=True)
class AttackRequest:
    """Parsed arguments of the command."""

    names: Sequence[str]
    attacks: Sequence[str]
    overrides: Sequence[str]
    """Of the attacks. With a lab file, of its arms."""
    results: Path
    device: str
    workers: int | None
    force: bool
    dry_run: bool
    quiet: bool
    as_json: bool
    lab: Path | None = None
    seeds: Sequence[str] = ()
    """Seeds of the runs to attack, as the option has them. All runs without it."""

    @property
    def command(self) -> list[str | Path]:
        """The command that makes the attacks of this request."""
        words: list[str | Path] = ["attack", *self.names]
        words += [] if self.lab is None else ["--lab", self.lab]
        for option, values in (
            ("--attack", self.attacks), ("--set", self.overrides), ("--seeds", self.seeds),
        ):  # fmt: skip
            words += [word for value in values for word in (option, value)]
        words += [] if self.device == "auto" else ["--device", self.device]
        words += [] if self.workers is None else ["--workers", str(self.workers)]
        return [*words, *(["--force"] if self.force else []), *options(self.results, ())]


def run_attacks(request: AttackRequest, victims: Sequence[Victim], records: Sequence[Record]) -> int:
    """Make the attacks that are missing and print the table of all. Returns the exit code.

    Args:
        victims: networks with their attacks.
        records: all of the results folder.

    Raises:
        SettingsError: the device is not there.
        MissingExtraError: AutoAttack is not installed.
        Interrupted: a signal stopped it.
    """
    _check_device(request.device)
    plan = plan_attacks(victims, request.results, device=request.device, workers=request.workers, force=request.force)
    require_autoattack((attack for job in plan.jobs for attack in job.attacks), request.lab or "name")
    forecast = forecast_attacks(plan, records, request.results)
    out = Output("attack", as_json=request.as_json)
    if request.dry_run:
        attacks = {attack for each in victims for attack in each.attacks}
        _print_plan(out, plan, len(victims), len(attacks), forecast)
        out.next(request.command if plan.jobs else _next_command(request, [each.record for each in victims]))
        out.close()
        return 0
    is_quiet = request.quiet or request.as_json
    if plan.jobs and not is_quiet:
        print_status(f"{_counted(plan)} to make; {forecast.line}")
    began = time.monotonic()
    outcomes = make_attacks(plan, _Progress(plan, quiet=is_quiet))
    _print_table(out, victims, request.results)
    for line in outcomes.failures:
        say(f"cifar-lab: {line}", sys.stderr)
    if plan.jobs and not is_quiet:
        print_status(f"{_counted(plan)} in {in_words(time.monotonic() - began)}; records are beside those of the runs")
    out.value("seconds", time.monotonic() - began)
    out.value("failures", outcomes.failures)
    if not outcomes.exit_code:
        out.next(_next_command(request, [each.record for each in victims]))
    out.close()
    return outcomes.exit_code


def require_autoattack(attacks: Iterable[AnyAttack], where: Path | str = "name") -> None:
    """Check that the extra of AutoAttack is installed, where it is among the attacks.

    Args:
        where: key or file that asks for the attack.

    Raises:
        MissingExtraError: it is not.
    """
    if any(attack.name == "autoattack" for attack in attacks):
        require_extra("attacks", f"{where}: autoattack")


def _next_command(request: AttackRequest, attacked: Sequence[Record]) -> list[str | Path]:
    """The report that has the attacked arms."""
    from cifar_lab.cli.next_step import report_of

    if request.lab is not None:
        return ["report", "--lab", request.lab, *options(request.results, request.overrides)]
    try:
        found = report_of(set(by_recipe(attacked)), attacked, request.results)
    except LabError:  # a file of the lab is wrong, which the report tells
        found = None
    return found or ["report", *options(request.results, ())]


def _check_device(device: str) -> None:
    """Refuse a GPU that is required and not there.

    Raises:
        SettingsError: it is.
    """
    if device == "cuda" and not has_gpu():
        raise SettingsError("--device: cuda is not available here (no GPU is found); use --device auto")


def _counted(plan: AttackPlan) -> str:
    return count(plan.to_make, "attack")


def _print_plan(out: Output, plan: AttackPlan, runs: int, attacks: int, forecast: AttackForecast) -> None:
    out.line(f"{count(runs, 'run')}, {count(attacks, 'attack')}: {plan.to_make} to make, {plan.made} already made")
    out.value("to_make", plan.to_make)
    out.value("made", plan.made)
    if plan.jobs:
        out.line(forecast.line)
        out.value("forecast_seconds", forecast.seconds)


class _Progress:
    """Lines on the images that are done, every few seconds."""

    def __init__(self, plan: AttackPlan, *, quiet: bool) -> None:
        self._quiet = quiet
        self._shares = dict.fromkeys(range(len(plan.jobs)), 0.0)
        self._number = {id(job): index for index, job in enumerate(plan.jobs)}
        self._weight = [len(job.run_ids) * sum(map(passes, job.attacks)) for job in plan.jobs]
        self._began = self._last = time.monotonic()

    def __call__(self, job: AttackJob, done: int, total: int) -> None:
        self._shares[self._number[id(job)]] = done / total
        now = time.monotonic()
        if self._quiet or now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        share = sum(self._shares[index] * weight for index, weight in enumerate(self._weight)) / sum(self._weight)
        left = (now - self._began) * (1 - share) / share if share > 0 else 0.0
        after = f", about {in_words(max(1.0, left))} left" if 0 < share < 1 else ""
        print_status(f"attacked {100 * share:.0f} %{after}")


@dataclass(frozen=True)
class ArmAttack:
    """Attacks of one kind on the runs of one arm."""

    label: str
    attack: AnyAttack
    records: tuple[AttackRecord, ...]


def arm_attacks(victims: Sequence[Victim], results: Path) -> Iterator[ArmAttack]:
    """Complete attacks per arm and attack, in the order of the runs."""
    wanted = {each.record.run_id: each.attacks for each in victims}
    for group in by_recipe([each.record for each in victims]).values():
        for attack in dict.fromkeys(attack for record in group for attack in wanted[record.run_id]):
            found = [found_attack(results, record, attack) for record in group]
            if made := tuple(each for each in found if each is not None):
                yield ArmAttack(group[0].label, attack, made)


def _share(value: float) -> str:
    return f"{value:.4f}"


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print_table(out: Output, victims: Sequence[Victim], results: Path) -> None:
    table = TextTable(
        TableColumn("arm", "arm"),
        TableColumn("attack", "attack"),
        TableColumn("level", "level"),
        TableColumn("n", "n", right=True),
        TableColumn("accuracy", "accuracy", right=True, cell=_share),
        TableColumn("std", "std", right=True, cell=_optional, worth=2),
        TableColumn("each run", "each", worth=1, cell=lambda values: " ".join(map(_share, values))),
    )
    made = list(arm_attacks(victims, results))
    for each in made:
        _add_rows(table, each)
    out.table(table, "levels")
    found = [_distance_line(each) for each in made]
    out.value("deepfool", [values for _, values in filter(None, found)])
    for each, told in zip(made, found, strict=True):
        if told is not None:
            out.wrapped(told[0])
        for sign in masking_signs(each.records):
            out.wrapped(f"note: {plain(each.label)}, {attack_words(each.attack)}: masked gradients: {sign}, so that "
                        "the accuracy is overstated", "masked")  # fmt: skip


def _add_rows(table: TextTable, each: ArmAttack) -> None:
    name = attack_words(each.attack)
    _add(table, each, name, "clean", [clean_accuracy(record) for record in each.records])
    by_run = [robust_levels(record) for record in each.records]
    for at_level in zip(*by_run, strict=True):
        first = at_level[0]
        if first.level == 0:
            continue
        words = f"{first.kind} {first.level:g}" if isinstance(each.attack, Corruption) else eps_words(first.level)
        _add(table, each, name, words, [level.accuracy for level in at_level])


def _add(table: TextTable, each: ArmAttack, name: str, level: str, values: Sequence[float]) -> None:
    std = stdev(values) if len(values) > 1 else None
    table.add(each.label, name, level, len(values), fmean(values), std, list(values))


def _distance_line(each: ArmAttack) -> tuple[str, dict[str, Any]] | None:
    """(sentence on the DeepFool distances, the same as a document). None for other attacks."""
    found = [(record.run_id, distances(record)) for record in each.records]
    known = [(run_id, one) for run_id, one in found if one is not None]
    if not known:
        return None
    medians = [one.median for _, one in known]
    means = [one.mean for _, one in known if one.mean is not None]
    left = sum(one.not_flipped for _, one in known)
    total = sum(one.images for _, one in known)
    line = (
        f"{plain(each.label)}, {attack_words(each.attack)}: median distance {fmean(medians):.4f}, mean "
        f"{fmean(means) if means else float('nan'):.4f}, over {count(len(known), 'run')}; {left:,} of {total:,} images "
        "were not flipped"
    )
    return line, {
        "arm": each.label,
        "medians": {run_id: one.median for run_id, one in known},
        "means": {run_id: one.mean for run_id, one in known},
        "images": total,
        "not_flipped": left,
    }
