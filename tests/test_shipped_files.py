"""Every settings file that is shipped loads, and trains two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import resnet18

import cifar_lab
from cifar_lab.analysis.factors import changes
from cifar_lab.config import Settings
from cifar_lab.config.claims import ClaimSheet
from cifar_lab.config.io.load import load_settings, settings_from
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.space.groups import by_group
from cifar_lab.studies.space.methods import rung_epochs, rung_sizes
from cifar_lab.studies.sweep import load_sweep
from cifar_lab.training import run as experiment

ROOT = Path(__file__).parents[1]
CONFIGS, QUICKSTART = ROOT / "configs", Path(cifar_lab.__file__).parent / "cli" / "quickstart"
RECIPES = CONFIGS / "recipes"
FOLDERS = (CONFIGS, RECIPES, RECIPES / "without", QUICKSTART)
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.yaml"))]
SHEETS = [path for path in FILES if path.name == "lab.yaml"]
LABS = [path for path in FILES if path.name.startswith("lab")]
SWEEPS = [path for path in FILES if path.name.startswith("q8_") or path.name == "q3_tuned.yaml"]
CLAIMS = [path for path in FILES if path.name.startswith("claims")]
SETTINGS = [path for path in FILES if path not in [*LABS, *SWEEPS, *CLAIMS]]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_the_nine_questions_and_the_quickstart_are_shipped() -> None:
    assert (len(SHEETS), len(SWEEPS), len(SETTINGS)) == (3, 6, 31)
    assert sorted(RECIPES.rglob("*.yaml")) == sorted(path for path in FILES if path.is_relative_to(RECIPES))
    sheet = load_sheet(CONFIGS / "lab.yaml", LabSheet)
    assert list(sheet.questions) == [f"q{number}" for number in range(1, 10)]


@pytest.mark.parametrize("path", CLAIMS, ids=name_of)
def test_claims_name_arms_that_are_shipped(path: Path) -> None:
    claims = load_sheet(path, ClaimSheet).claims.values()
    assert {sheet_file(path, claim.arm) for claim in claims} <= set(SETTINGS)


@pytest.mark.parametrize("path", SHEETS, ids=name_of)
def test_each_file_beside_a_sheet_is_one_of_its_arms(path: Path) -> None:
    sheet = load_sheet(path, LabSheet)
    named = [sheet.control, *(arm for question in sheet.questions.values() for arm in question.arms)]
    beside = [each for each in SETTINGS if each.parent == path.parent]
    if path.parent == RECIPES:
        beside = [RECIPES / "net.yaml", *(each for each in SETTINGS if each.parent == RECIPES / "without")]
    assert sorted(sheet_file(path, arm) for arm in named) == sorted(beside)
    charts = [question.chart for question in sheet.questions.values()]
    assert len(set(charts)) == len(charts)


@pytest.mark.parametrize("path", SETTINGS, ids=name_of)
def test_each_arm_opens_with_its_question_and_its_command(path: Path) -> None:
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert head[0].startswith("# Asks:    ")
    own = f"cifar-lab run {path.relative_to(ROOT)}" if path.is_relative_to(CONFIGS) else "cifar-lab quickstart"
    assert f"# Command: {own}" in head
    if path.parent == RECIPES:
        assert [line.split()[1] for line in head[1:3]] == ["Expect:", "Time:"]
        assert "two cores" in head[2]
        assert "GPU" in head[2]


def test_each_arm_of_the_recipes_leaves_out_what_its_question_asks() -> None:
    sheet = load_sheet(RECIPES / "lab.yaml", LabSheet)
    control = load_settings(RECIPES / sheet.control)
    for question in sheet.questions.values():
        for arm in question.arms:
            other = load_settings(RECIPES / arm)
            assert other.seeds == control.seeds  # paired
            changed = {change.key for change in changes(control, other)}
            assert changed, arm
            assert all(any(f"{key}.".startswith(f"{each}.") for each in question.factor) for key in changed), arm


def test_the_best_recipes_are_points_of_the_race_for_the_best() -> None:
    """By hand-made arms, so that the winner of the race is no worse."""
    sweep = load_sweep(CONFIGS / "q8_best.yaml")
    assert sweep.search.racing is not None
    recipe = load_settings(RECIPES / "net.yaml").model_dump(exclude={"label", "seeds", "evaluate"})
    (point,) = (point for point in sweep.expansion.points if point.name == "Muon, batch 32")
    assert point.settings.model_dump(exclude={"label", "seeds", "evaluate"}) == recipe
    assert all(point.settings.epochs == 10 for point in sweep.expansion.points)


def test_arms_differ_from_their_control_in_what_their_question_asks() -> None:
    """One factor at a time: everything else is the baseline's."""
    control = load_settings(CONFIGS / "baseline.yaml").model_dump(exclude={"label"})
    factor = {"q1": "data", "q2": "data", "q3": "optimizer", "q4": "scheduler"}
    for path in SETTINGS:
        if path.parent == CONFIGS and path.name != "baseline.yaml":
            arm = load_settings(path).model_dump(exclude={"label"})
            assert [key for key in arm if arm[key] != control[key]] == [factor.get(path.name[:2], "model")], path.name


def test_the_grid_has_320_points() -> None:
    sweep = load_sweep(CONFIGS / "q8_grid.yaml")
    assert len(sweep.expansion.points) == 320
    assert len({point.settings.model_dump_json(exclude={"label"}) for point in sweep.expansion.points}) == 320
    assert all(point.settings.model == sweep.base.model for point in sweep.expansion.points)
    assert set(sweep.search.seeds).isdisjoint(sweep.search.confirm_seeds)


def test_the_shorter_grid_has_the_points_of_the_grid_from_64_images_on() -> None:
    """So that its runs count for the whole grid, should somebody go on with it."""
    whole, shorter = (load_sweep(CONFIGS / f"q8_{name}.yaml") for name in ("grid", "grid_64_up"))
    points = [point.settings for point in whole.expansion.points if point.settings.data.batch_size >= 64]
    assert [point.settings for point in shorter.expansion.points] == points
    assert len(points) == 200


def test_the_other_ways_to_search_have_the_space_of_the_grid() -> None:
    """So that what they find, and what they take, can be held against the table."""
    grid, halved, proposed = (load_sweep(CONFIGS / f"q8_{name}.yaml") for name in ("grid", "halving", "tpe"))
    assert halved.expansion == grid.expansion
    assert proposed.sheet.space.keys() == grid.sheet.space.keys()
    halving = halved.search.halving
    assert halving is not None
    rungs, sizes = rung_epochs(10, halving), rung_sizes(320, halving, halved.search.top)
    assert list(zip(sizes, rungs, strict=True)) == [(320, 1), (107, 3), (36, 10)]
    assert 320 * 1 + 107 * 2 + 36 * 7 == 786  # epochs, as the file says; the grid has 3,200


def test_both_optimizers_of_q3_tuned_have_eight_rates() -> None:
    sweep = load_sweep(CONFIGS / "q3_tuned.yaml")
    groups = by_group(sweep.expansion.points, sweep.search)
    assert {name: len(points) for name, points in groups.items()} == {"SGD": 8, "Adam": 8}
    assert len({point.settings.optimizer.lr for point in groups["SGD"]}) == 8
    assert load_sheet(CONFIGS / "lab_tuned.yaml", LabSheet).questions["q3_tuned"].sweep == "q3_tuned.yaml"


def test_a_sweep_and_a_sheet_are_not_run_as_settings() -> None:
    with pytest.raises(SettingsError, match="cifar-lab sweep"):
        load_settings(SWEEPS[0])
    with pytest.raises(SettingsError, match=r"cifar-lab run --lab .* --all"):
        load_settings(SHEETS[0])


@pytest.fixture(scope="session")
def imagenet_shaped_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of the keys and shapes of torchvision's ImageNet weights."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pt"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.save(resnet18(num_classes=1000).state_dict(), path)
    return path


def on_made_up_images(settings: Settings, weights: Path) -> Settings:
    """The same arm with two steps of synthetic images, and weights from a file instead of a download."""
    values: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True)
    size = min(settings.data.batch_size, 64)
    kept = {key: value for key, value in values["data"].items() if key not in {"dataset", "root"}}
    values["data"] = kept | {
        "dataset": "synthetic", "train_size": 2 * size, "test_size": 20, "batch_size": size
    }  # fmt: skip
    if values["model"].pop("pretrained", False):
        values["model"]["weights"] = str(weights)
    return settings_from(values | {"epochs": 1, "runtime": {"device": "cpu"}})


@pytest.mark.parametrize("path", SETTINGS, ids=name_of)
def test_each_arm_trains_two_steps(
    path: Path, lab: Any, imagenet_shaped_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_settings(path)
    settings = on_made_up_images(shipped, imagenet_shaped_weights)
    started: list[torch.Tensor] = []
    build = experiment.build_cohort

    def remember(*given: Any, **named: Any) -> Any:
        cohort, reason = build(*given, **named)
        started.append(cohort.parameters.values.clone())
        started.append(cohort.parameters.values)
        return cohort, reason

    monkeypatch.setattr(experiment, "build_cohort", remember)
    record = lab.make(lab.job(settings))
    assert (record.status, record.label, record.epochs_trained) == ("done", shipped.label, 1)
    assert not torch.equal(started[0], started[1])
    (line,) = lab.run_folder(lab.job(settings)).read_metrics()
    assert line.train_loss is not None
    assert record.data.train_size == 2 * settings.data.batch_size
