"""Parts of the trial of a custom model: what training will do, a step at a time. An error names its part."""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifar_lab import models
from cifar_lab.config import CustomModel, Settings
from cifar_lab.config.model_source import ModelSource
from cifar_lab.core.errors import LabError, Problem, SettingsError
from cifar_lab.core.text import count
from cifar_lab.data.random_streams import NO_STREAMS, ModelStreams, seeded_init
from cifar_lab.models.initialisation import plain_covariance
from cifar_lab.models.outputs import main_output, split_outputs
from cifar_lab.models.user_errors import describe_error, lacks_memory
from cifar_lab.training.backends.eager import train_step
from cifar_lab.training.build import build_cohort
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution

EVALUATED = 3
"""Images of the pass in evaluation mode: another number than in training."""

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class ModelTrial:
    """One model that is tried, with the settings of an arm."""

    settings: Settings
    model: CustomModel
    source: ModelSource
    num_classes: int
    train_size: int
    execution: Execution

    @property
    def side(self) -> int:
        """Rows and columns of the images in pixels."""
        return self.settings.data.side()

    def refusal(self, reason: str) -> SettingsError:
        return SettingsError(f"model.name: {self.model.name}: {reason}")

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Name the step that an error of the model ended."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:
            if lacks_memory(error):
                raise self.refusal(
                    f"{doing} needs more memory than is free; choose a smaller batch or model"
                ) from error
            raise self._broken(doing, error) from error

    def _broken(self, doing: str, error: Exception) -> SettingsError:
        return self.refusal(f"{doing} fails: {describe_error(error, self.source)}; correct it")

    def made_twice(self) -> list[str]:
        """Make the model from one seed twice and from another one. Returns notes on seeds that it sets itself."""
        notes: list[str] = []
        (first, states), (second, _), (_, other) = (self._made(seed, notes) for seed in (0, 0, 1))
        one, two = first.state_dict(), second.state_dict()
        if differing := [name for name in one if not _same(one[name], two.get(name))]:
            raise self.refusal(
                f"two models of the same seed differ in {differing[0]}; draw first weights from the global generators "
                "of torch, NumPy or Python"
            )
        for name, before, after in zip(("torch", "NumPy", "Python"), states, other, strict=True):
            if before == after:
                notes.append(
                    f"{self.model.name} sets the seed of {name} itself, so its first weights may be the same for every "
                    "seed; remove the seed from the code"
                )
        return list(dict.fromkeys(notes))

    def _made(self, seed: int, notes: list[str]) -> tuple[nn.Module, tuple[Any, Any, Any]]:
        """A new model, and the states of the generators after it."""
        with seeded_init(seed):
            network = models.build(self.model, self.num_classes, self.side, notes)
            of_numpy: Any = np.random.get_state()
            states = torch.get_rng_state().tolist(), (of_numpy[1].tolist(), of_numpy[2:]), random.getstate()
        return network, states

    def check_outputs(self, size: int) -> tuple[float, str | None]:
        """Check the outputs in training mode. Returns the seconds of the pass, and a note on outputs of a softmax.

        Raises:
            SettingsError: they are no logits, or not as many auxiliary ones as `model.aux_weights` says.
        """
        with seeded_init(0):
            network = models.build(self.model, self.num_classes, self.side).to(self.execution.device)
        begun = time.monotonic()
        with self._told(f"a pass in training mode over {size} images"), self.execution.autocast():
            output = network(torch.zeros(size, 3, self.side, self.side, device=self.execution.device))
        seconds = time.monotonic() - begun
        weights, (main, others) = self.model.aux_weights, split_outputs(output)
        wanted = (size, self.num_classes)
        if weights is None and not isinstance(output, Tensor):
            if not isinstance(main, Tensor):
                raise self.refusal(f"its forward returns a {type(output).__name__} in training mode; return the logits")
            advice = f"[{', '.join(['0.3'] * len(others))}]"
            raise self.refusal(
                f"its forward returns a {type(output).__name__} in training mode; return the logits alone, or set "
                f"model.aux_weights={advice}, the weights of its {count(len(others), 'auxiliary output')} in the loss"
            )
        for each in (main, *others):
            shape = tuple(each.shape) if isinstance(each, Tensor) else f"a {type(each).__name__}"
            if shape != wanted:
                raise self.refusal(f"its forward returns {shape} in training mode instead of {wanted}; return logits")
        if weights is not None and len(weights) != len(others):
            raise SettingsError(
                f"model.aux_weights: {count(len(weights), 'weight')} for {count(len(others), 'auxiliary output')} of "
                f"{self.model.name}; give one per output"
            )
        return seconds, self._note_on_softmax(main)

    def _note_on_softmax(self, logits: Tensor) -> str | None:
        values = logits.detach().float()
        if bool((values < 0).any()) or not torch.allclose(values.sum(dim=1), torch.ones(len(values)).to(values)):
            return None
        return (
            f"{self.model.name} returns probabilities and not logits; the loss applies softmax itself, so remove the "
            "softmax from its forward"
        )

    def cohort(self, seed: int = 0) -> Cohort:
        """A new network with its optimizer."""
        with self._told("preparing its training"):
            cohort, _ = build_cohort(
                [self.settings], [seed], self.num_classes, 1, self.execution, covariance=plain_covariance
            )
        return cohort

    def steps(self, cohort: Cohort, *, epoch: int, sizes: list[int]) -> None:
        """Training steps on random images, with the random numbers of an epoch."""
        cohort.train_mode()
        ModelStreams([0], epoch)
        device = self.execution.device
        lr = torch.full((1, 1), LEARNING_RATE, device=device)
        for number, size in enumerate(sizes):
            generator = torch.Generator().manual_seed(1000 * epoch + number)
            images = torch.randn(1, size, 3, self.side, self.side, generator=generator).to(device)
            labels = torch.randint(self.num_classes, (1, size), generator=generator).to(device)
            try:
                with self._told(f"a training step with {count(size, 'image')}"):
                    smoothing = self.settings.loss.label_smoothing
                    train_step(cohort, images, labels, lr, None, smoothing, self.execution, NO_STREAMS)
            except SettingsError as error:
                if size == 1 and isinstance(error.__cause__, ValueError):
                    raise self._lone_image() from error
                raise

    def _lone_image(self) -> SettingsError:
        size = self.settings.data.batch_size
        message = (
            f"{size} leaves one of {self.train_size} images for the last batch, on which BatchNorm in "
            f"{self.model.name} cannot train; choose another size"
        )
        return SettingsError([Problem(self.settings.label, "data.batch_size", message)])

    def evaluate(self, cohort: Cohort) -> None:
        """Check the outputs in evaluation mode for another number of images than in training."""
        (network,) = cohort.networks
        network.eval()
        with self._told(f"evaluation of {EVALUATED} images"), torch.no_grad(), self.execution.autocast():
            output = main_output(network(torch.zeros(EVALUATED, 3, self.side, self.side, device=self.execution.device)))
        if tuple(output.shape) != (EVALUATED, self.num_classes):
            raise self.refusal(
                f"it gives {tuple(output.shape)} for {EVALUATED} images in evaluation mode instead of "
                f"{(EVALUATED, self.num_classes)}; let its forward work with any number of images"
            )

    def check_trained(self, cohort: Cohort) -> None:
        """Check that no parameter is to be trained that was frozen at the start. The optimizer does not have it.

        Raises:
            SettingsError: the model's code set its `requires_grad`.
        """
        (network,) = cohort.networks
        trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        changed = sorted(trained - {span.name for span in cohort.parameters.spans})
        if changed:
            raise self.refusal(
                f"its forward unfreezes {changed[0]}, which no optimizer has; set its requires_grad in the constructor"
            )

    def resumes(self, cohort: Cohort, size: int) -> bool:
        """Whether a new network with the saved state makes the same next step."""
        with self._told("saving its state"):
            buffer = io.BytesIO()
            torch.save(cohort.state(0), buffer)
        fresh = self.cohort(seed=1)
        with self._told("loading its state"):
            fresh.load_state(0, torch.load(io.BytesIO(buffer.getvalue()), map_location="cpu", weights_only=True))
        for each in (cohort, fresh):
            self.steps(each, epoch=1, sizes=[size] if size > 1 else [])
        return same_networks(cohort, fresh)


def same_networks(one: Cohort, other: Cohort) -> bool:
    """Whether two cohorts of one network have the same parameters and buffers, bit for bit."""
    first, second = one.networks[0].state_dict(), other.networks[0].state_dict()
    return all(_same(first[name], second.get(name)) for name in first)


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other)
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
