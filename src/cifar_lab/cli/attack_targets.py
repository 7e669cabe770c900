"""Networks to attack, each with its attacks: those that the command names, or those that a lab file asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.analysis.comparison_targets import find_target
from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.lab import Lab
from cifar_lab.cli.attack_output import AttackRequest, require_autoattack
from cifar_lab.cli.conversion import parse_seeds
from cifar_lab.config.attack import AnyAttack, attack_id
from cifar_lab.config.io.attack_files import DEFAULT_ATTACK, load_attack, refuse_attack_settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.attack_runs import Victim
from cifar_lab.store.records import Record

MOST_SEEDS_NAMED = 20
"""More seeds are named by their first and last."""


def named_attacks(request: AttackRequest) -> tuple[AnyAttack, ...]:
    """Attacks that the command names. With a lab file, those of its attacks to make, or none for all.

    Raises:
        SettingsError: an attack or a setting is wrong, or the command names runs beside a lab file.
        MissingExtraError: AutoAttack is not installed.
    """
    if request.lab is not None:
        if request.names:
            raise SettingsError(f"attack: {request.names[0]}: the lab file names the runs; give them or --lab")
        refuse_attack_settings(request.overrides)
        return tuple(load_attack(each) for each in request.attacks)
    if not request.names:
        raise SettingsError("attack: nothing to attack; name runs or arms, or a lab file: --lab FILE")
    attacks = tuple(load_attack(each, request.overrides) for each in request.attacks or (DEFAULT_ATTACK,))
    require_autoattack(attacks)
    return attacks


def find_victims(request: AttackRequest, attacks: Sequence[AnyAttack], records: Sequence[Record]) -> list[Victim]:
    """Finished runs to attack, each once, in the order of the request, of the seeds that it names.

    Args:
        attacks: see `named_attacks`.
        records: all of the results folder.

    Raises:
        SettingsError: a target is wrong, or there is nothing to attack.
    """
    if request.lab is not None:
        lab = answer_folder(request.lab, request.results, request.overrides)
        victims = _asked(request.lab, lab, {record.run_id: record for record in records})
        if attacks:
            victims = _of_these(victims, attacks, request)
    else:
        victims = _named(request, attacks, records)
    return _with_seeds(victims, request.seeds)


def _with_seeds(victims: list[Victim], given: Sequence[str]) -> list[Victim]:
    if not given:
        return victims
    seeds = parse_seeds(given)
    found = sorted({victim.record.seed for victim in victims})
    if missing := [seed for seed in seeds if seed not in found]:
        known = ", ".join(map(str, found)) if len(found) <= MOST_SEEDS_NAMED else f"from {found[0]} to {found[-1]}"
        raise SettingsError(f"--seeds: no finished run to attack has seed {missing[0]}; their seeds are {known}")
    return [victim for victim in victims if victim.record.seed in seeds]


def _of_these(victims: Sequence[Victim], attacks: Sequence[AnyAttack], request: AttackRequest) -> list[Victim]:
    """Runs of a lab file with these of its attacks alone."""
    kept = {attack_id(attack) for attack in attacks}
    asked = {attack_id(attack) for victim in victims for attack in victim.attacks}
    for name, attack in zip(request.attacks, attacks, strict=True):
        if attack_id(attack) not in asked:
            raise SettingsError(f"--attack {name}: no question of {request.lab} that has runs asks for this attack")
    chosen = [replace(each, attacks=tuple(a for a in each.attacks if attack_id(a) in kept)) for each in victims]
    return [victim for victim in chosen if victim.attacks]


def _named(request: AttackRequest, attacks: Sequence[AnyAttack], records: Sequence[Record]) -> list[Victim]:
    named: dict[str, Record] = {}
    for name in request.names:
        target = find_target(name, request.results, records)
        kept = [record for record in target.records if record.status == "done"]
        if not kept:
            raise SettingsError(f"{name!r}: its runs diverged, so they have no network; give other runs")
        named |= {record.run_id: record for record in kept}
    return [Victim(record, settings_of(record), tuple(attacks)) for record in named.values()]


def _asked(path: Path, lab: Lab, records: dict[str, Record]) -> list[Victim]:
    """Runs of the questions of robustness, with the attacks that they ask for.

    Raises:
        SettingsError: no question asks for an attack, or none of its runs is finished.
    """
    wanted: dict[str, dict[str, AnyAttack]] = {}
    for answer in lab.answers:
        for run_id in answer.to_attack:
            assert answer.attack is not None
            wanted.setdefault(run_id, {}).setdefault(attack_id(answer.attack), answer.attack)
    if not any(answer.is_robust for answer in lab.answers) and not lab.is_found:
        raise SettingsError(f"{path}: no question has robust, so it asks for no attack; name runs or arms instead")
    if not wanted:
        first = f"; train them first: {lab.to_attack_first[0]}" if lab.to_attack_first else ""
        raise SettingsError(f"{path}: no question of robustness has finished runs in this results folder{first}")
    return [
        Victim(records[run_id], settings_of(records[run_id]), tuple(attacks.values()))
        for run_id, attacks in wanted.items()
    ]
