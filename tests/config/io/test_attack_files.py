"""Settings of attacks: distances as fractions, every problem with its place, and one id for one meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.config.attack import (
    ATTACKS,
    L2_CURVE,
    LINF_CURVE,
    PGD,
    EpsOptions,
    attack_from,
    attack_id,
    attack_words,
    eps_words,
)
from cifar_lab.config.io.attack_files import load_attack, refuse_attack_settings
from cifar_lab.core.errors import SettingsError


def problems(wanted: str, *overrides: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_attack(wanted, overrides)
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_has_defaults_and_survives_its_record(name: str) -> None:
    attack = load_attack(name)
    assert attack.name == name
    assert attack_from(attack.model_dump(mode="json")) == attack
    assert attack_words(attack)


def test_a_distance_is_a_number_or_a_fraction() -> None:
    attack = load_attack("pgd", ["eps=[8/255, 0.01, 0]"])
    assert isinstance(attack, EpsOptions)
    assert attack.distances == (0, 0.01, 8 / 255)
    assert load_attack("pgd", ["eps=8/255"]).distances == (8 / 255,)  # type: ignore[union-attr]
    assert load_attack("pgd", ["norm=l2"]).distances == L2_CURVE  # type: ignore[union-attr]
    assert load_attack("fgsm").distances == LINF_CURVE  # type: ignore[union-attr]
    assert [eps_words(each) for each in (0, 0.25 / 255, 8 / 255, 0.3, 1.5)] == ["0", "0.25/255", "8/255", "0.3", "1.5"]


def test_a_file_names_the_attack_and_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "strong.yaml"
    path.write_text("name: pgd\nsteps: 100\nrestarts: 5\nloss: both\neps: [1/255]\n")
    attack = load_attack(str(path), ["steps=50"])
    assert isinstance(attack, PGD)
    assert (attack.steps, attack.restarts, attack.loss, attack.distances) == (50, 5, "both", (1 / 255,))


def test_an_id_is_that_of_the_meaning() -> None:
    curve = ",".join(map(str, LINF_CURVE))
    assert attack_id(load_attack("pgd")) == attack_id(load_attack("pgd", [f"eps=[{curve}]", "steps=20"]))
    others = [attack_id(load_attack("pgd", [each])) for each in ("steps=21", "seed=1", "images=500", "eps=[1/255]")]
    assert len({attack_id(load_attack("pgd")), *others}) == 5


@pytest.mark.parametrize(
    ("wanted", "overrides", "words"),
    [
        ("pgdd", (), "did you mean pgd?"),
        ("pgd", ("step=3",), "did you mean steps?"),
        ("fgsm", ("restarts=3",), "fgsm has no restarts, which is a setting of pgd"),
        ("pgd", ("eps=[8]",), "8 is above 1, the range of a pixel; write 8/255"),
        ("pgd", ("eps=[-1]",), "out of range"),
        ("pgd", ("eps=[a/b]",), "'a/b' is text"),
        ("pgd", ("norm=l1",), "not one of: linf, l2"),
        ("pgd", ("steps=0",), "out of range"),
        ("pgd", ("images=0",), "images"),
        ("fgsm", ("steps=3",), "fgsm has no steps, which is a setting of pgd, deepfool"),
        ("pgd", ("data.batch_size=5",), "data.batch_size: a setting of training, and the runs are trained; to attack"),
        ("pgd", ("loss.label_smoothing=0.1",), "loss.label_smoothing: a setting of training"),
        ("pgd", ("batch_size=5",), "batch_size: a setting of training"),
        ("noise", ("epochs=5",), "the settings of noise are images, seed, norm, eps, draws"),
        ("corruption", ("kinds=[fog]",), "kinds[0]"),
        ("nothere.yaml", (), "no file nothere.yaml"),
    ],
)
def test_every_problem_is_named(wanted: str, overrides: tuple[str, ...], words: str) -> None:
    (line,) = problems(wanted, *overrides)
    assert words in line


def test_with_a_lab_file_a_setting_of_attacks_is_refused_and_told_where_it_is_stated() -> None:
    refuse_attack_settings(["data.batch_size=5", "epochs=2", "loss.label_smoothing=0.1"])
    with pytest.raises(SettingsError, match=r"^--set eps=8/255: eps: a setting of attacks, which robust.attack of a "):
        refuse_attack_settings(["eps=8/255"])


def test_all_problems_are_named_at_once() -> None:
    assert len(problems("pgd", "steps=0", "restarts=0", "stepp=1")) == 3
