"""`cifar-lab attack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_attack, complete_file, complete_name
from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    EXECUTION_PANEL,
    TRAIN_PANEL,
    Json,
    Quiet,
    Results,
    Workers,
    flag,
)
from cifar_lab.cli.predict import NetworkDevice


def attack(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|ARM…",
            help="Finished runs by the first characters of their ids, or arms by label or settings file.",
            autocompletion=complete_name,
        ),
    ] = [],  # noqa: B006
    attacks: Annotated[
        list[str],
        typer.Option(
            "--attack", metavar="NAME|FILE", rich_help_panel=TRAIN_PANEL, autocompletion=complete_attack,
            help="pgd, fgsm, deepfool, autoattack, noise, corruption, or a YAML file with the settings of one. "
            "Repeatable. Default: pgd, with --lab all attacks of the lab file.",
        ),
    ] = [],  # noqa: B006
    overrides: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", rich_help_panel=TRAIN_PANEL,
            help="Change a setting of the attacks, such as steps=100 or eps=[1/255,8/255]. Repeatable.",
        ),
    ] = [],  # noqa: B006
    lab: Annotated[
        Path | None,
        typer.Option(
            "--lab", metavar="FILE", rich_help_panel=TRAIN_PANEL, autocompletion=complete_file,
            help="Make all attacks that a lab file asks for. --set then changes its arms, as in report.",
        ),
    ] = None,
    seeds: Annotated[
        list[str],
        typer.Option(
            "--seeds", metavar="LIST", rich_help_panel=TRAIN_PANEL,
            help="Attack only the runs with these seeds, such as 100-104 or 0,1,7.",
        ),
    ] = [],  # noqa: B006
    results: Results = DEFAULT_RESULTS,
    force: Annotated[bool, flag("--force", help="Repeat attacks that have a record.", panel=TRAIN_PANEL)] = False,
    device: NetworkDevice = "auto",
    workers: Workers = None,
    dry_run: Annotated[
        bool, flag("--dry-run", help="Print what would be done, without doing it.", panel=EXECUTION_PANEL)
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Attack the trained networks of runs, and print how many test images they still classify correctly.

    Each run has a record per attack. Attacks that have one are not repeated, and interrupted ones continue. An attack
    reads the test split, and reports count it: attack after the choice of settings is made.
    """
    from cifar_lab.cli.attack_output import AttackRequest, run_attacks
    from cifar_lab.cli.attack_targets import find_victims, named_attacks
    from cifar_lab.store.results import existing_results, find_records

    request = AttackRequest(
        tuple(names),
        tuple(attacks),
        tuple(overrides),
        Path(results),
        device,
        workers,
        force,
        dry_run,
        quiet,
        as_json,
        lab,
        tuple(seeds),
    )
    attacks_named = named_attacks(request)
    records = find_records(existing_results(request.results)).records
    if (code := run_attacks(request, find_victims(request, attacks_named, records), records)) != 0:
        raise typer.Exit(code)
