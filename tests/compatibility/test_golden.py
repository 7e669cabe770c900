"""Names and numbers that other files, scripts and readers rely on stay what they were; more may come."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import bits, facts, golden, identities
from .commands import Lab
from .comparing import lost, other_bits


def changed(golden_lines: list[str], lines: list[str]) -> list[str]:
    """Golden lines that are gone, wherever the others stand."""
    return sorted(set(golden_lines) - set(lines))


def test_run_ids_are_the_same() -> None:
    """A change here orphans existing results: what is trained under an id must stay, or `NUMERICS` must rise."""
    assert changed(golden.read("ids.txt"), list(identities.lines())) == []


def test_recipes_in_records_have_the_same_keys_in_the_same_order() -> None:
    assert changed(golden.read("recipes.txt"), list(identities.recipes())) == []


def test_random_streams_have_the_same_names_and_draws() -> None:
    assert list(facts.random_streams()) == golden.read("streams.txt")


@pytest.mark.slow
def test_trained_numbers_are_the_same_bits(
    tmp_path: Path, session_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(golden.CACHE_VARIABLE, str(session_images))
    assert other_bits(golden.read("trained.json"), bits.trained(tmp_path / "results")) == []


def test_keys_of_settings_files_keep_their_bounds_and_defaults(old: Lab) -> None:
    assert changed(golden.read("settings.txt"), list(facts.settings_keys(old))) == []


def test_options_of_commands_keep_their_values_and_defaults() -> None:
    assert changed(golden.read("options.txt"), list(facts.options())) == []


def test_arguments_of_commands_keep_their_order() -> None:
    before, now = (
        [line for line in lines if " --" not in line] for lines in (golden.read("options.txt"), facts.options())
    )
    assert lost(before, now) == []


def test_exit_codes_are_the_same() -> None:
    assert changed(golden.read("exit_codes.txt"), list(facts.exit_codes())) == []


def test_public_names_are_called_as_before() -> None:
    assert changed(golden.read("names.txt"), list(facts.public_names())) == []
