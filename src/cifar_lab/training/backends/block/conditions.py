"""Conditions of the block kernel: settings that it knows, and cohorts that it trains faster than a captured graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel

from cifar_lab.config import SGD, Adam, Loss, Muon, Settings
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.own_code import plain_reason
from cifar_lab.config.roles import leaves, role_of, value_at
from cifar_lab.core.text import setting_words
from cifar_lab.training.backends.block.shapes import NET, NET1, NET3, Shape
from cifar_lab.training.backends.block.teams import parts_for
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

MODELS = {"Net": NET, "Net1": NET1, "Net2": NET, "Net3": NET3}
"""Models and their widths. Net2 has other initial weights than Net."""

KNOWN = frozenset({
    "data.batch_size", "data.flip", "data.crop_padding", "data.crop_padding_mode", "data.normalize", "data.val_size",
    "data.split_seed", "data.val_indices", "model.name", "model.weights", "model.head", "model.input_size",
    "model.init", "model.head_init", "optimizer.name", "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum",
    "optimizer.nesterov", "optimizer.betas", "optimizer.eps", "optimizer.ns_steps", "optimizer.groups",
    "optimizer.clip_norm", "optimizer.others.name", "optimizer.others.lr", "optimizer.others.weight_decay",
    "optimizer.others.momentum", "optimizer.others.nesterov", "optimizer.others.betas", "optimizer.others.eps",
    "fine_tune.layer_decay", "fine_tune.head_lr_factor", "loss.name", "loss.label_smoothing", "evaluate.tta", "epochs",
})  # fmt: skip
"""Settings that the kernel obeys, or that act before a run or between its epochs. Any other that can change numbers
must have its default. So a setting that is newer than the kernel is left to torch."""

KNOWN_SECTIONS = ("scheduler", "metrics")
"""Sections whose every choice reaches the kernel as tables, or not at all."""

OWN = ("data.batch_size", "loss.label_smoothing")
"""Settings that each network of a launch has for itself, although stacked networks share them."""

LEAST_MEMBERS = {8: 2, 64: 10, 512: 14}
"""Fewest networks by batch size with which the kernel is faster than captured steps of torch.

From measurements of the kernel's prototype on one H100, torch 2.11, 2026-11-27. Its networks made 50, 72 and 72
thousand images per second each at these batch sizes, up to 132 networks. Stacked and captured, 40 networks made 491,
917 and 976 thousand in all. Two networks of batch 8 were not measured. A captured one made 32 thousand. The prototype
had no teams of blocks. Until they are measured, the rule is that of one block per network.

A cohort of several batch sizes must have as many networks as the batch size that needs the most. The stacked graphs of
each size, one after the other, then take longer than the kernel, in which all train at once."""

LEAST_MEMBERS_WITH_MUON = 40
"""The same with Muon, at any batch size. It has not been measured: 40 is the cohort of the measurements above. Without
Muon, a step of 40 networks took 0.17, 0.93 and 7.5 ms at these batch sizes, and a captured one 0.65, 2.8 and 21 ms. So
the kernel is slower only if its iterations take 0.48 ms more per step than torch's."""

LEAST_MEMBERS_OF_NET3 = 52
"""The same for Net3, at any batch size. It is twice an estimate, because the kernel has not been measured with Net3. A
step has 2.9 times the multiply-adds of Net, so each network is taken to make 25 thousand images per second instead of
72. Stacked and captured, 40 networks of batch 64 made 606 thousand, 0.66 of Net's. By that factor they make 645
thousand with batch 512, where they are fastest. The kernel makes as many with 26 networks."""

LEAST_MEMBERS_OF_NET1 = 36
"""The same for Net1, at any batch size. It is twice an estimate, because the kernel has not been measured with Net1. An
image is taken to need 40 thousand cycles of a multiprocessor (docs/performance.md), so a network makes 49 thousand
images per second. Stacked and captured, 40 networks of batch 64 made 811 thousand, 0.88 of Net's. By that factor they
make 863 thousand with batch 512, where they are fastest. The kernel makes as many with 18 networks."""

LARGEST_BATCH_OF_NET1 = 1024
"""Largest batch size of Net1. The kernel keeps the activations of a whole batch, 2.7 MB for every 64 images and
block. At this size 132 blocks have 6.0 GB."""


class UnequalMembers(Exception):
    """Runs that only the block kernel trains together, where it is not available. The message is the reason."""


def check_settings(settings: Settings) -> None:
    """Check that the kernel can train such runs.

    Raises:
        KernelsUnavailable: it cannot.
    """
    for reason in _reasons(settings):
        raise KernelsUnavailable(reason)


def check_members(batch_size: int, members: int, shape: Shape = NET, *, muon: bool = False) -> None:
    """Check that the kernel trains so many networks faster than a captured graph, as far as that is known.

    Raises:
        KernelsUnavailable: it does not, or that is not known.
    """
    if muon and members < LEAST_MEMBERS_WITH_MUON:
        raise KernelsUnavailable(f"torch's are used below {LEAST_MEMBERS_WITH_MUON} networks with muon")
    least = LEAST_MEMBERS[min(LEAST_MEMBERS, key=lambda size: abs(math.log(size / batch_size)))]
    least = {NET1: LEAST_MEMBERS_OF_NET1, NET3: LEAST_MEMBERS_OF_NET3}.get(shape, least)
    if members < least:
        raise KernelsUnavailable(f"torch's are faster below {least} networks of this batch size")


def check_cohort(arms: Sequence[Settings], members: int) -> None:
    """Check that the kernel trains `members` networks of such settings faster than captured graphs.

    Raises:
        KernelsUnavailable: as `check_members`, for the settings that need the most networks.
    """
    needs = {(arm.data.batch_size, MODELS[arm.model.name], isinstance(arm.optimizer, Muon)) for arm in arms}
    for batch_size, shape, muon in needs:
        check_members(batch_size, members, shape, muon=muon)


def has_enough(arms: Sequence[Settings], members: int) -> bool:
    """Whether the kernel trains `members` networks of such settings faster than captured graphs."""
    try:
        check_cohort(arms, members)
    except KernelsUnavailable:
        return False
    return True


def may_train(settings: Settings) -> bool:
    """Whether the kernel is chosen for a cohort of such runs, if it has enough of them and the GPU can run it."""
    return settings.runtime.kernels != "torch" and next(_reasons(settings), None) is None


def parts_of(arms: Sequence[Settings]) -> set[int]:
    """Sizes of parts that the batches of such runs have, trained by one block each or by teams."""
    divided = not MODELS[arms[0].model.name].batch_norm
    return parts_for([settings.data.batch_size for settings in arms], divided=divided)


def are_mixed(arms: Iterable[Settings]) -> bool:
    """Whether runs differ in settings that only this kernel trains together."""
    return len({tuple(value_at(settings, key) for key in OWN) for settings in arms}) > 1


def _reasons(settings: Settings) -> Iterator[str]:
    """Reasons against the kernel."""
    if (reason := plain_reason(settings)) is not None:
        yield f"there are none for the {reason}"
    if settings.model.name not in MODELS:
        yield f"there are none on a GPU for {settings.model.name.rpartition('/')[2]}"
    if not isinstance(settings.optimizer, SGD | Adam | Muon):
        yield f"there are none for the optimizer {settings.optimizer.name}"
    # The Gram matrices of wider networks do not lie in the shared memory of a block: SQUARES_FIT in newton_schulz.cuh.
    elif isinstance(settings.optimizer, Muon) and MODELS.get(settings.model.name) == NET3:
        yield f"there are none for muon on a GPU with {settings.model.name}"
    if not isinstance(settings.loss, Loss):
        yield f"there are none for the loss {settings.loss.name}"
    if settings.model.name == "Net1" and settings.data.batch_size > LARGEST_BATCH_OF_NET1:
        yield f"there are none on a GPU for Net1 with batches above {LARGEST_BATCH_OF_NET1} images"
    if settings.runtime.precision != "fp32":
        yield f"there are none for {settings.runtime.precision}"
    if settings.runtime.compile:
        yield "runtime.compile generates others"
    sizes = (settings.data.side(), settings.model.input_size or IMAGE_SIDE)
    yield from (f"there are none for {side} × {side} pixels" for side in sizes if side != IMAGE_SIDE)
    yield from (
        f"there are none for {key}: {setting_words(getattr(owner, name))}"
        for key, owner, name in unknown_settings(settings)
    )


def unknown_settings(settings: Settings) -> Iterator[tuple[str, BaseModel, str]]:
    """(dotted key, owner, field) of each setting without its default that can change numbers and is not `KNOWN`."""
    for key, owner, name in leaves(settings):
        role = role_of(type(owner), name)
        if not role.in_id or key in KNOWN or key.partition(".")[0] in KNOWN_SECTIONS:
            continue
        if getattr(owner, name) != type(owner).model_fields[name].get_default(call_default_factory=True):
            yield key, owner, name
