"""A peer that does other work is no peer: networks, arms, loops and the fused cohort against cifar-lab and torch."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.peers import fused_cohort, resident_loop
from benchmarks.peers.images import random_images
from benchmarks.peers.networks import NETWORKS, build
from benchmarks.peers.recipes import ARMS, BASELINE, Recipe, Schedule, make_optimizer
from benchmarks.peers.reference_loop import evaluate, loader, train
from benchmarks.processes import ROOT
from cifar_lab import config, models
from cifar_lab.config.io.load import load_settings, settings_from
from cifar_lab.data.resident_split import Normalizer, ResidentSplit

CPU = torch.device("cpu")

ADAM_TOLERANCE = 2e-5
"""A fiftieth of a step of lr 0.001: where a gradient is rounding alone, Adam makes a whole step of its sign."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_peers_import_nothing_of_cifar_lab() -> None:
    for path in (ROOT / "benchmarks" / "peers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] == "cifar_lab"], path.name


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_ours_do(name: str) -> None:
    network = build(name, 3)
    ours = models.build(settings_from({"model": {"name": name}}).model, 10)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }
    ours.load_state_dict(network.state_dict())
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), ours(images), rtol=1e-5, atol=1e-5)


def test_arms_are_those_of_the_settings_files() -> None:
    files = {path.stem: path for path in (ROOT / "configs").glob("q[1-7]*.yaml") if path.stem != "q3_tuned"}
    files["baseline"] = ROOT / "configs" / "baseline.yaml"
    assert set(ARMS) == set(files)
    for name, path in files.items():
        settings, arm = load_settings(path), ARMS[name]
        said = (settings.model.name, settings.optimizer.name, settings.scheduler.name, settings.data.batch_size)
        assert said == (arm.model, arm.optimizer, arm.scheduler, arm.batch_size), name
        assert (settings.data.flip, settings.optimizer.lr, settings.data.normalize) == (arm.flip, arm.lr, "half"), name


@pytest.mark.parametrize("name", ARMS)
def test_optimizers_and_schedules_are_those_of_the_settings_files(name: str) -> None:
    settings, recipe = load_settings(ROOT / "configs" / f"{name}.yaml"), ARMS[name]
    optimizer = make_optimizer(recipe, [torch.zeros(2, requires_grad=True)])
    (group,) = optimizer.param_groups
    asked = settings.optimizer
    assert group["weight_decay"] == asked.weight_decay
    if isinstance(asked, config.SGD):
        assert (group["momentum"], group["nesterov"]) == (asked.momentum, asked.nesterov)
    else:
        assert (group["betas"], group["eps"]) == (asked.betas, asked.eps)
    from cifar_lab.training.optim.schedules import make_schedule

    epochs, steps = 4, 3
    ours = make_schedule([settings.scheduler], [asked], epochs, steps)
    schedule = Schedule(recipe, optimizer, epochs, steps)
    for epoch in range(epochs):
        table = ours.epoch_table(epoch)[0]
        for step in range(steps):
            assert group["lr"] == pytest.approx(float(table[step, 0]), rel=1e-9)
            optimizer.step()
            schedule.step()
        schedule.epoch(1.0)
        ours.end_epoch([{"train_loss": 1.0, "val_loss": None, "val_accuracy": None}])


def test_the_two_loops_see_the_images_as_cifar_lab_does() -> None:
    pixels, labels = random_images(5)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, CPU)
    split = ResidentSplit(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels, normalizer)
    ours, _ = split.normalized(0, 5)
    ((theirs, targets),) = loader(pixels, labels, Recipe(batch_size=5), 0, CPU, train=False)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)
    torch.testing.assert_close(resident_loop.to_tensor(pixels, CPU), ours, rtol=0, atol=1e-6)
    assert targets.tolist() == labels.tolist()


@pytest.mark.parametrize("arm", [arm for arm in ARMS if ARMS[arm].model == "Net" and not ARMS[arm].flip])
def test_the_two_loops_do_the_same_work(arm: str) -> None:
    """A batch of all images has no order, so both loops come to the same weights."""
    pixels, labels = random_images(24)
    recipe, epochs = replace(ARMS[arm], batch_size=24, lr=0.001), 5
    tutorial, resident, begun = (build("Net", 1) for _ in range(3))
    assert list(train(tutorial, loader(pixels, labels, recipe, 0, CPU, train=True), recipe, epochs, CPU)) == [24] * 5
    images, targets = resident_loop.to_tensor(pixels, CPU), torch.from_numpy(labels)
    assert list(resident_loop.train(resident, images, targets, recipe, epochs, 0)) == [24] * 5
    tolerance = 2e-6 if recipe.optimizer == "sgd" else ADAM_TOLERANCE
    for name, weights in resident.state_dict().items():
        torch.testing.assert_close(tutorial.state_dict()[name], weights, rtol=1e-4, atol=tolerance)
        assert (weights - begun.state_dict()[name]).abs().max() > 1e-5, f"{name} has not moved"
    all_right = (resident.eval()(images).argmax(1) == targets).double().mean().item()
    assert evaluate(tutorial, loader(pixels, labels, recipe, 0, CPU, train=False), CPU) == pytest.approx(all_right)


def test_the_resident_loop_takes_each_image_once_an_epoch_and_mirrors_about_half() -> None:
    images = torch.arange(90.0).view(90, 1, 1, 1).expand(90, 3, 32, 32).clone()
    images[..., 16:] += 1000  # mirrored, the large half comes first
    seen: list[torch.Tensor] = []

    class Look(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(batch[:, 0, 0, 0].clone())
            return batch[:, 0, 0, :10] * self.scale

    recipe, labels = replace(BASELINE, batch_size=40, flip=True), torch.zeros(90, dtype=torch.int64)
    assert list(resident_loop.train(Look(), images, labels, recipe, 2, 0)) == [40, 40, 10] * 2
    for epoch in (torch.cat(seen[:3]), torch.cat(seen[3:])):
        assert sorted((epoch % 1000).tolist()) == list(range(90))
        assert 25 <= int((epoch >= 1000).sum()) <= 65
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


@pytest.mark.parametrize("adam", [False, True], ids=["sgd", "adam"])
def test_a_member_of_the_fused_cohort_is_its_solo_run(adam: bool) -> None:
    """Seeds and learning rates of its own, order and a last batch that is smaller: the same weights after 12 steps."""
    pixels, labels = random_images(44)
    images, targets = resident_loop.to_tensor(pixels, CPU), torch.from_numpy(labels)
    seeds, lr = [3, 5], torch.tensor([0.01, 0.02]) / (10 if adam else 1)
    fused = fused_cohort.build_fused(seeds, CPU)
    assert sum(fused_cohort.train(fused, images, targets, 16, 4, seeds, lr, adam=adam)) == 4 * 2 * 44
    for member, seed in enumerate(seeds):
        recipe = Recipe(optimizer="adam" if adam else "sgd", batch_size=16, lr=float(lr[member]))
        solo = build("Net", seed)
        begun = build("Net", seed).state_dict()
        assert sum(resident_loop.train(solo, images, targets, recipe, 4, seed)) == 4 * 44
        for name, weights in solo.state_dict().items():
            layer, kind = name.split(".")
            mine = getattr(fused, f"{layer}_{kind}")[member]
            mine = mine.T if mine.dim() == 2 and kind == "weight" else mine.view(weights.shape)
            torch.testing.assert_close(mine, weights, rtol=1e-4, atol=ADAM_TOLERANCE if adam else 2e-6)
            assert (weights - begun[name]).abs().max() > 1e-5, f"{name} has not moved"


def test_random_images_are_the_same_each_time() -> None:
    (pixels, labels), (again, _) = random_images(3), random_images(3)
    assert pixels.shape == (3, 32, 32, 3)
    assert pixels.dtype == np.uint8
    assert labels.tolist() == random_images(3)[1].tolist()
    assert np.array_equal(pixels, again)


def test_the_zip_is_decoded_once(tmp_path: Path) -> None:
    import io
    import zipfile

    from PIL import Image

    from benchmarks.images import share_of
    from benchmarks.peers.images import decode, load

    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            for shade, label in ((40, "cat"), (200, "dog")):
                for number in range(4):
                    file = io.BytesIO()
                    Image.new("RGB", (32, 32), (shade + number,) * 3).save(file, "JPEG")
                    archive.writestr(f"deep/{split}/{label}/{number}.jpg", file.getvalue())
    half = share_of(path, 0.5, tmp_path / "scratch")
    assert share_of(path, 1.0, tmp_path / "scratch") == path
    decode(half, tmp_path / "cache")
    pixels, labels = load(tmp_path / "cache", "train")
    assert labels.tolist() == [0, 0, 1, 1]
    assert pixels[:, 0, 0, 0].tolist() == [40, 41, 200, 201]
