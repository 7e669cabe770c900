"""Commands for what a question of robustness misses: the sweep or the runs first, then the attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.cli.attack_output import AttackRequest
from cifar_lab.cli.attack_targets import find_victims
from cifar_lab.core.errors import SettingsError

SWEEP = "{title: A, sweep: s.yaml, chart: q1.png, robust: {attack: fgsm}}"
ARMS = "{title: B, arms: [b.yaml], chart: q2.png, robust: {attack: fgsm}}"
CLEAN = "{title: C, arms: [c.yaml], chart: q3.png}"


def answered(folder: Path, *questions: str) -> tuple[Lab, Path]:
    """A lab file of these questions, answered without any run."""
    for name in "abc":
        (folder / f"{name}.yaml").write_text(f"label: {name}\nepochs: {2 + ord(name)}\n")
    (folder / "s.yaml").write_text("base: a.yaml\nspace: {optimizer.lr: [0.1, 0.2]}\n")
    asked = "\n".join(f"  q{index}: {question}" for index, question in enumerate(questions))
    path = folder / "lab.yaml"
    path.write_text(f"title: A lab\ncontrol: a.yaml\nquestions:\n{asked}\n")
    return answer_lab(path, folder / "results"), path


def request(path: Path) -> AttackRequest:
    """`attack --lab` on the lab file."""
    return AttackRequest((), (), (), path.parent / "results", "cpu", None, False, True, True, False, path)


def test_a_sweep_is_the_only_thing_that_a_question_of_it_misses(tmp_path: Path) -> None:
    found, _ = answered(tmp_path, SWEEP)
    assert [command.split(" --")[0] for command in found.to_run] == [f"cifar-lab sweep {tmp_path}/s.yaml"]


@pytest.mark.parametrize(
    ("questions", "first"),
    [
        ((SWEEP,), "sweep {}/s.yaml"),
        ((CLEAN, SWEEP), "sweep {}/s.yaml"),
        ((CLEAN, ARMS), "run {0}/a.yaml {0}/b.yaml"),
        ((SWEEP, ARMS), "run {0}/a.yaml {0}/b.yaml"),
    ],
)
def test_attack_names_the_command_that_its_questions_need(
    tmp_path: Path, questions: tuple[str, ...], first: str
) -> None:
    _, path = answered(tmp_path, *questions)
    with pytest.raises(SettingsError, match="train them first") as refused:
        find_victims(request(path), (), [])
    assert str(refused.value).split("first: ")[1].split(" --")[0] == f"cifar-lab {first.format(tmp_path)}"
