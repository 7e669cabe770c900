"""Features of frozen layers, computed once per image and kept on the device, in training and in evaluation.

Training images need no augmentation for that. The features of an image may differ by rounding from those in a batch of
other images. docs/fine-tuning.md states the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cifar_lab.config import CustomModel, Settings
from cifar_lab.config.loss import distillation
from cifar_lab.data.batches import CohortBatches, EpochRandomness
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.models.frozen_trunk import Cut, NoCut, cut_graph, cut_modules
from cifar_lab.models.input_size import input_size
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.evaluate import EVALUATION_BATCH_SIZE, images_per_pass

MAX_FEATURE_BYTES = 2 * 2**30
"""Most memory of the features of a cohort. It does not depend on the machine, since rounding depends on the choice."""


class Features:
    """Features of one split, (N, …) per network, computed at first use."""

    def __init__(
        self, trunks: Sequence[Callable[[Tensor], Tensor]], prepare: Callable[[], None], split: ResidentSplit,
        per_pass: int, execution: Execution,
    ) -> None:  # fmt: skip
        """`prepare` sets the mode of the networks. Equal trunks are one object."""
        self._trunks, self._prepare, self._split = trunks, prepare, split
        self.per_pass, self._execution = per_pass, execution
        self._found: list[_Stored] | None = None

    def __len__(self) -> int:
        return len(self._split)

    def stored(self) -> list[_Stored]:
        """Features of each network. Equal trunks share theirs."""
        if self._found is None:
            self._prepare()
            by_trunk = {id(trunk): self._compute(trunk) for trunk in dict.fromkeys(self._trunks)}
            self._found = [by_trunk[id(trunk)] for trunk in self._trunks]
        return self._found

    @torch.no_grad()
    def _compute(self, trunk: Callable[[Tensor], Tensor]) -> _Stored:
        parts = []
        for start in range(0, len(self._split), self.per_pass):
            images, _ = self._split.normalized(start, start + self.per_pass)
            with self._execution.autocast():
                parts.append(trunk(images))
        return _Stored.of(torch.cat(parts))


@dataclass(frozen=True)
class _Stored:
    """Features in memory that `index_select` reads in whole rows."""

    values: Tensor
    channels_last: bool

    @classmethod
    def of(cls, features: Tensor) -> _Stored:
        last = features.dim() == 4 and not features.is_contiguous()
        return cls((features.permute(0, 2, 3, 1) if last else features).contiguous(), last)

    def into(self, index: Tensor, memory: Tensor) -> Tensor:
        """Features at `index` (B,), each a row of numbers, in the first rows of `memory`."""
        return torch.index_select(self.values, 0, index, out=memory[: len(index)])

    def take(self, index: Tensor) -> Tensor:
        """Features at `index` (B,)."""
        return self._in_shape(self.values.index_select(0, index))

    def part(self, start: int, stop: int) -> Tensor:
        """Features of adjacent images."""
        return self._in_shape(self.values[start:stop])

    def _in_shape(self, values: Tensor) -> Tensor:
        return values.permute(0, 3, 1, 2) if self.channels_last else values


class FeatureBatches(CohortBatches):
    """Training batches of features, in the order of the images."""

    gathered = 4_096
    """Features of an image are few numbers, so more of them are gathered at a time."""

    def __init__(self, batches: CohortBatches, features: Features) -> None:
        super().__init__(batches.split, batches.options, batches.seeds, batches.flips, batches.sizes)
        self._features = features

    def randomness(self, epoch: int) -> EpochRandomness:
        """See `CohortBatches`. The features are computed before the first step."""
        self._features.stored()
        return super().randomness(epoch)

    def rows_into(self, index: Tensor, memory: Tensor) -> list[Tensor]:
        """Features at `index` (K, B) of each network, each a row of numbers, in `memory` (K, at least B, numbers)."""
        members = zip(self._features.stored(), index, memory, strict=True)
        return [stored.into(row, own) for stored, row, own in members]

    def gather(self, randomness: EpochRandomness, index: Tensor) -> tuple[Tensor, Tensor]:
        """(features (K, B, …), labels (K, B)) at `index` (K, B)."""
        taken = [stored.take(row) for stored, row in zip(self._features.stored(), index, strict=True)]
        features = taken[0].unsqueeze(0) if len(taken) == 1 else torch.stack(taken)
        return features, self.split.labels[index]


@dataclass(frozen=True)
class CachedTrunk:
    """Cohort and batches of a stage, with its frozen layers computed once where that is possible."""

    cohort: Cohort
    batches: CohortBatches
    tails: tuple[nn.Module, ...] = ()
    """Networks from the features on. Empty without features of the validation split."""
    validation: Features | None = None
    note: str = ""
    """Sentence for the record. Empty where nothing is frozen."""

    @torch.no_grad()
    def predict(self, member: int, execution: Execution) -> Tensor:
        """Logits (N, classes) of one member on the validation split in fp32 on the CPU, as `predict` gives them."""
        assert self.validation is not None
        stored, tail = self.validation.stored()[member], self.tails[member]
        tail.eval()
        logits = []
        for start in range(0, len(self.validation), self.validation.per_pass):
            with execution.autocast():
                logits.append(tail(stored.part(start, start + self.validation.per_pass)).float().cpu())
        tail.train()
        return torch.cat(logits)


def with_cached_trunk(
    cohort: Cohort, batches: CohortBatches, validation: ResidentSplit | None, settings: Settings, execution: Execution
) -> CachedTrunk:
    """Compute the frozen layers of a cohort once per image where nothing below them changes."""
    plain = CachedTrunk(cohort, batches)
    if not cohort.stage.frozen:
        return plain
    augmented = _augmentation(batches, settings)
    splits = [*([] if augmented else [batches.split]), *([] if validation is None else [validation])]
    try:
        if not splits:
            raise NoCut(augmented)
        cuts = _cuts(cohort, settings)
        size = _bytes(cuts, cohort, splits, execution)
        if size > MAX_FEATURE_BYTES:
            raise NoCut(f"their values would take {size / 2**30:.1f} GiB, above {MAX_FEATURE_BYTES / 2**30:.0f} GiB")
    except NoCut as error:
        return replace(plain, note=f"the frozen layers are computed in each step: {error}")
    made = f"the layers below {cuts[0].below} are computed once per image ({size / 2**20:.1f} MiB)"
    found = replace(plain, note=f"{made} of the validation split, and in each step: {augmented}" if augmented else made)
    side, trunks = input_size(cohort.networks[0]) or batches.split.side, [cut.trunk for cut in cuts]
    if validation is not None:
        per_pass = images_per_pass(side, EVALUATION_BATCH_SIZE)
        scored = Features(trunks, cohort.evaluation_mode, validation, per_pass, execution)
        found = replace(found, tails=tuple(cut.tail for cut in cuts), validation=scored)
    if augmented:
        return found
    trained = Features(trunks, cohort.train_mode, batches.split, batches.options.batch_size, execution)
    return replace(found, cohort=_on_features(cohort, cuts, settings), batches=FeatureBatches(batches, trained))


def _augmentation(batches: CohortBatches, settings: Settings) -> str:
    """Setting that makes a training image another one in each epoch. Empty without any."""
    options = batches.options
    if distillation(settings.loss) is not None:
        return "the teacher takes the images"
    names = {
        "data.flip": any(batches.flips), "data.crop_padding": options.crop_padding,
        "data.policy": options.policy != "none", "data.noise_std": options.noise_std, "data.augment": options.augment,
        "data.mixup": options.mixup, "data.cutmix": options.cutmix, "adversarial": settings.adversarial.eps,
    }  # fmt: skip
    return next((f"{name} changes the images" for name, is_on in names.items() if is_on), "")


def _cuts(cohort: Cohort, settings: Settings) -> list[Cut]:
    """Cut of each network. Those whose frozen parts are equal share the trunk of the first.

    Raises:
        NoCut: the networks cannot be cut.
    """
    if settings.runtime.compile:
        raise NoCut("runtime.compile compiles whole networks")
    if distillation(settings.loss) is not None:
        raise NoCut("the teacher computes from the images")
    if cohort.aux_weights:
        raise NoCut("the network has auxiliary outputs")
    still = cohort.stage.still
    if isinstance(settings.model, CustomModel):
        cuts = [cut_modules(each, still, settings.data.side()) for each in cohort.networks]
    else:
        cuts = [cut_graph(each, still) for each in cohort.networks]
    frozen = [_frozen_state(network, cohort) for network in cohort.networks]
    shared = [all(torch.equal(value, each[name]) for name, value in frozen[0].items()) for each in frozen]
    return [replace(cut, trunk=cuts[0].trunk) if same else cut for cut, same in zip(cuts, shared, strict=True)]


def _frozen_state(network: nn.Module, cohort: Cohort) -> dict[str, Tensor]:
    """Tensors of the modules that stand still."""
    return {
        f"{path}.{name}": tensor
        for path in cohort.stage.still
        for name, tensor in network.get_submodule(path).state_dict().items()
    }


@torch.no_grad()
def _bytes(cuts: Sequence[Cut], cohort: Cohort, splits: Sequence[ResidentSplit], execution: Execution) -> int:
    """Memory of the features of these splits."""
    cohort.evaluation_mode()
    images, _ = splits[0].normalized(0, 2)
    with execution.autocast():
        features = cuts[0].trunk(images)
    each = features.numel() // len(images) * features.element_size()
    return each * sum(map(len, splits)) * len({id(cut.trunk) for cut in cuts})


def _on_features(cohort: Cohort, cuts: Sequence[Cut], settings: Settings) -> Cohort:
    """The cohort with steps that begin at the features."""
    stacked = cohort.stacked
    if stacked is not None:
        from cifar_lab.models.stacked import stack

        stacked = stack(
            cohort.networks, cohort.parameters, deterministic=settings.runtime.deterministic,
            still=cohort.stage.still, graph=cuts[0].graph,
        )  # fmt: skip
    return replace(cohort, tails=tuple(cut.tail for cut in cuts), stacked=stacked)
