"""Files of several arms under `run`: every point is an arm. And the ways from one kind of file to another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.cli.named_arms import load_arms
from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.sweep import load_sweep

BASE = """\
data: {dataset: synthetic, train_size: 100, test_size: 50, batch_size: 20}
epochs: 1
seeds: [0]
"""

ARMS = {
    "space: {optimizer.name: [sgd, adam], data.flip: [true]}": ["SGD · flip", "Adam · flip"],
    "space: {optimizer.name: [sgd, adam], optimizer.momentum: {values: [0.5], when: {optimizer.name: sgd}}}":
        ["SGD · momentum 0.5", "Adam"],
    "arms: {fast: {optimizer.lr: 0.1}, slow: {optimizer.lr: 0.001, epochs: 2}}": ["fast", "slow"],
    "arms: [{optimizer.lr: 0.1}, {optimizer.name: adam}]": ["lr 0.1", "Adam"],
    "paired: [{optimizer.lr: [0.1, 0.2], data.batch_size: [10, 20]}]": ["lr 0.1 · batch 10", "lr 0.2 · batch 20"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def refused(text: str, *overrides: str) -> str:
    Path("arms.yaml").write_text(text)
    with pytest.raises(SettingsError) as error:
        load_arms([Path("arms.yaml")], overrides, [])
    return str(error.value)


@pytest.mark.parametrize("stated", ["base: base.yaml\n", "extends: base.yaml\nseeds: [4, 5]\n", BASE])
@pytest.mark.parametrize("points", ARMS)
def test_every_point_is_an_arm(points: str, stated: str, folder: Path) -> None:
    (folder / "arms.yaml").write_text(stated + points)
    arms = load_arms([Path("arms.yaml")], (), [])
    assert [arm.label for arm in arms] == ARMS[points]
    assert {arm.seeds for arm in arms} == {(4, 5) if "extends" in stated else (0,)}
    again = load_arms([Path("base.yaml"), Path("arms.yaml")], ["runtime.threads=1"], ["0-2"])
    assert [arm.label for arm in again] == ["base", *ARMS[points]]
    assert {arm.seeds for arm in again} == {(0, 1, 2)}


def test_a_file_that_means_something_else_says_what_to_type(folder: Path) -> None:
    arms, space = "arms: {a: {epochs: 2}}\n", "space: {epochs: [1, 2]}\n"
    assert refused("base: base.yaml\nsearch: {top: 1}\n" + space) == (
        "arms.yaml: this is a sweep file; run it with cifar-lab sweep arms.yaml"
    )
    assert refused("base: base.yaml\n" + arms + space) == (
        "arms.yaml:2: arms: arms and space are two lists of arms; keep one of them, or choose the best of all with "
        "cifar-lab sweep arms.yaml"
    )
    assert refused("base: base.yaml\nextends: base.yaml\n" + space) == (
        "arms.yaml:2: extends: base names this file already; keep one"
    )
    assert refused("base: base.yaml\n" + space, "epochs=3") == (
        "--set epochs=3: epochs is an axis of this sweep; edit space"
    )
    assert "a range needs search.method" in refused("base: base.yaml\nspace: {optimizer.lr: {min: 0.1, max: 1}}\n")
    assert refused("base: base.yaml\nepocs: 1\n" + space).endswith("epocs: no such setting — did you mean epochs?")


def test_sweep_says_what_trains_a_file_of_arms(folder: Path, lab: Any) -> None:
    (folder / "arms.yaml").write_text("base: base.yaml\narms: {a: {epochs: 2}}\n")
    with pytest.raises(SettingsError) as of_arms:
        load_sweep("arms.yaml")
    assert str(of_arms.value) == (
        "arms.yaml: each of its arms is trained by cifar-lab run arms.yaml; to choose the best of them by validation "
        "accuracy, add search: {method: grid}"
    )
    (folder / "inline.yaml").write_text(BASE + "space: {optimizer.lr: [0.1, 0.01]}\n")
    with pytest.raises(SettingsError) as of_points:
        load_sweep("inline.yaml")
    assert str(of_points.value) == (
        "inline.yaml: each of its points is trained by cifar-lab run inline.yaml; a sweep, which chooses the best of "
        "them, takes its settings from another file: base: FILE"
    )
    lab.write("inline.yaml", BASE + "space: {optimizer.lr: [0.1, 0.01]}\n")
    checked = lab("check", "inline.yaml")
    assert checked.lines == ["# inline.yaml: 2 arms, all valid", "# next: cifar-lab run inline.yaml"]


def test_a_list_of_values_after_set_is_answered_with_a_command_that_works(folder: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_arms([Path("base.yaml")], ["optimizer.lr=0.1,0.01", "epochs=2", "optimizer.name=sgd,adam"], [])
    (problem,) = error.value.problems
    command = re.search(r"type (printf .*) && cifar-lab run base_arms.yaml --set epochs=2 \(or", str(problem))
    assert command is not None
    assert command[1] == (
        r"printf '%s\n' 'base: base.yaml' 'space: {optimizer.lr: [0.1, 0.01], optimizer.name: [sgd, adam]}'"
        " > base_arms.yaml"
    )
    Path("base_arms.yaml").write_text(
        "base: base.yaml\nspace: {optimizer.lr: [0.1, 0.01], optimizer.name: [sgd, adam]}\n"
    )
    assert len(load_arms([Path("base_arms.yaml")], ["epochs=2"], [])) == 4


WORDS = {
    "optimizer.lr=choice(0.1,0.01)": "'space: {optimizer.lr: [0.1, 0.01]}'",
    "optimizer.lr=interval(0.01, 0.1)": "'space: {optimizer.lr: {min: 0.01, max: 0.1}}'",
    "optimizer.lr=tag(log, interval(0.01, 0.1))": "'space: {optimizer.lr: {min: 0.01, max: 0.1, log: true}}'",
    "epochs=range(1,4)": "'space: {epochs: [1, 2, 3]}'",
}


@pytest.mark.parametrize("override", WORDS)
def test_words_of_hydra_are_answered_with_the_same(override: str, folder: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_arms([Path("base.yaml")], [override], [])
    assert WORDS[override] in str(error.value)


@pytest.mark.slow
def test_the_arms_are_trained_and_found_in_the_folder(lab: Any) -> None:
    lab.write("arms.yaml", BASE + "space: {optimizer.lr: [0.1, 0.01]}\n")
    done = lab("run", "arms.yaml", "--seeds", "3x", "--workers", "1")
    assert (done.code, done.lines[-1]) == (0, "next: cifar-lab report")
    assert [line.split("  ")[0] for line in done.lines[1:3]] == ["lr 0.1", "lr 0.01"]
    assert not (lab.results / "sweeps").exists()
    told = lab("report")
    assert any(line.startswith("optimizer-lr: ") for line in told.lines)
