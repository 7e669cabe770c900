"""Types of lab files and sweep files: frozen, without torch or file access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from cifar_lab.config import Section, Seed
from cifar_lab.config.attack import EpsList
from cifar_lab.config.data import ImageShare

FileName = Annotated[str, Field(min_length=1, max_length=255)]
Axis = Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]


class RobustQuestion(Section):
    """Robustness that a question compares instead of test accuracy, from the records of `cifar-lab attack`."""

    attack: FileName = "pgd"
    """Name of an attack, or a file with its settings, relative to the lab file."""
    measure: Literal["accuracy", "area", "distance"] | None = None
    """`accuracy`: share of the attacked images that are classified correctly within `eps`. `area`: mean of this share
    from distance 0 to the largest. `distance`: median DeepFool distance of the images that are correct when clean.
    Null: `distance` for deepfool, else `accuracy`."""
    eps: EpsList | None = None
    """Distances of `accuracy`, such as 8/255, each in a separate comparison. Null: the largest of the attack, and for
    corruptions the mean over all kinds and severities."""
    equal_clean: float | None = Field(None, gt=0, le=100)
    """Give a verdict only for arms whose test accuracy without an attack is shown to be equivalent to that of the
    control within this difference, in percentage points. Null: a verdict whatever it is."""


class Question(Section):
    """One question of a lab: arms that are compared with the control, or a sweep."""

    title: str = Field(min_length=1, max_length=300)
    """The question, in plain words."""
    arms: Annotated[tuple[FileName, ...], Field(strict=False)] = ()
    """Settings files of the arms, relative to the lab file, without the control."""
    sweep: FileName | None = None
    """A sweep file instead of arms. The chart shows its winners."""
    control: FileName | None = None
    """Settings file of this question's control. Null: the control of the lab file."""
    factor: Annotated[tuple[FileName, ...], Field(strict=False)] = ()
    """Dotted keys, or sections such as `optimizer`, that the question varies. `cifar-lab plan` names every arm that
    differs from the control in other settings. Empty: each arm may differ in one setting, whichever it is."""
    robust: RobustQuestion | None = None
    """Compare robustness. Null: compare test accuracy."""
    chart: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.png$")
    """File name of the chart in the results folder."""
    note: str = Field("", max_length=2000)
    """A sentence printed below the chart."""


class LabSheet(Section):
    """A lab file: questions with a common control."""

    title: str = Field(min_length=1, max_length=300)
    """Heading of the report."""
    control: FileName
    """Settings file of the arm that all others are compared with, relative to the sheet."""
    min_effect: float = Field(0.3, gt=0, le=100)
    """Differences smaller than this do not matter, in percentage points of test accuracy. An arm whose difference is
    shown to be smaller is called equivalent."""
    questions: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")], Question] = Field(min_length=1)
    """Short names (q1, q2, …) and their questions, in the order of the report."""


class Range(Section):
    """Numbers between two bounds, both included. Integers for a setting that takes no other numbers."""

    min: int | float
    """Smallest value."""
    max: int | float
    """Largest value."""
    log: bool = False
    """Draw evenly on a logarithmic scale: as many points between 0.001 and 0.01 as between 0.01 and 0.1."""
    when: dict[str, Any] = Field(default_factory=dict)
    """Condition: dotted keys, each with the value or list of values that it must have. Other points keep that of
    `base`."""


class Values(Section):
    """A list of values that belongs to some of the points only."""

    values: Axis
    """Values of the key."""
    when: dict[str, Any] = Field(default_factory=dict)
    """Condition, as that of a range."""


def axis_parts(stated: tuple[Any, ...] | Range | Values) -> list[Range | Values]:
    """Parts of an axis: the axis itself, or each entry of a list of axes with conditions."""
    if isinstance(stated, Range | Values):
        return [stated]
    if not is_list_of_parts(stated):
        return [Values(values=stated)]
    return [(Values if "values" in part else Range).model_validate(dict(part)) for part in stated]


def is_list_of_parts(stated: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a list holds axes with conditions instead of values."""
    return bool(stated) and all(isinstance(part, Mapping) and "when" in part for part in stated)


class Halving(Section):
    """Synchronous successive halving (arXiv:1502.07943): all points train briefly, and the best of them longer."""

    eta: int = Field(3, ge=2, le=100)
    """Each rung keeps the best 1/`eta` of the points, at least search.top, and trains them `eta` times as long."""
    rungs: int = Field(3, ge=2, le=20)
    """Number of comparisons, including the one at the end of training."""


class Racing(Section):
    """Race over seeds (Maron and Moore 1994; López-Ibáñez et al. 2016, doi:10.1016/j.orp.2016.09.002): all points train
    with the first seed, and those that may still win with the next one.
    """

    error: float = Field(0.05, ge=0.0001, le=0.5)
    """Error rate of each comparison: the probability of dropping a point that is as good as the leader. Smaller values
    drop fewer points and train more runs."""


class Search(Section):
    """Method of a sweep's search, and confirmation of its winners."""

    method: Literal["grid", "random", "tpe"] = "grid"
    """`grid`: every point. `random`: `trials` points drawn from the space. `tpe`: `trials` points, each batch proposed
    from the results of the batches before it (arXiv:2304.11127), by Optuna."""
    trials: int | None = Field(None, ge=1, le=100_000)
    """Number of points that `random` draws or `tpe` proposes. Points with the same meaning are trained once."""
    seed: Seed = 0
    """Seed of the draws of `random` and the proposals of `tpe`."""
    batch: int = Field(8, ge=1, le=1_000)
    """Number of points that `tpe` proposes at a time. They train in parallel, so use at least the number of workers.
    With smaller batches each proposal uses more results."""
    halving: Halving | None = None
    """Prune points before their last epoch, to find a winner faster. Null: all points train to the last epoch. Not for
    `tpe`."""
    racing: Racing | None = None
    """`{error: 0.05}`: drop points that are behind the leader over the same seeds, before their last seed. Null:
    every point trains with all of `seeds`. Not for `tpe`, and not with `halving`."""
    top: int = Field(5, ge=1, le=100)
    """Number of winners, by mean validation accuracy. They are trained again and tested."""
    per: FileName | Annotated[tuple[FileName, ...], Field(strict=False)] = ()
    """Dotted key, or list of keys, that makes groups of points, such as `optimizer.name`. The best point of each group
    is trained again, and the groups are compared with each other instead of the control. `random` and `tpe` try
    `trials` points per group. Replaces `top`."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)] = (0,)
    """Seeds of each point in the search. They repeat a point and are never an axis."""
    confirm_seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)] = (100, 101, 102)
    """Fresh seeds with which the winners and the control (`base`) are trained before they are tested."""
    val_size: Annotated[int, Field(ge=1)] | ImageShare | None = None
    """Images of the validation split during the search, if `base` has none: their number, or their share. Null: a tenth
    of the training images, at most 5,000."""

    @property
    def group_keys(self) -> tuple[str, ...]:
        """Keys of `per`. Empty where the points are one group."""
        return (self.per,) if isinstance(self.per, str) else self.per

    @property
    def kept(self) -> int:
        """Number of winners of each group, and of points that halving and racing keep at least."""
        return 1 if self.group_keys else self.top


class SweepSheet(Section):
    """Many arms from one file: the product of space and paired, without exclude, plus arms."""

    base: FileName
    """Settings file that every point starts from, relative to the sweep file."""
    label: str = Field("", max_length=200)
    """Name of the sweep. Empty: the file's name."""
    search: Search = Search()
    space: dict[str, Axis | Range | Values] = Field(default_factory=dict)
    """Dotted keys and their values. The points are the product. `random` and `tpe` take ranges too. With
    `{values: […], when: {optimizer.name: sgd}}`, or `when` in a range, only those points have the key."""
    paired: Annotated[tuple[dict[str, Axis | dict[str, Any]], ...], Field(strict=False)] = ()
    """Groups of keys that change together, as lists of equal length. Each group is one axis of the product. `when` in a
    group is its condition."""
    exclude: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    """Combinations of values. A point that contains one of them is left out."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Points in addition to the product: name → dotted keys and values. A list of these names each by its values."""

    @property
    def groups(self) -> tuple[tuple[dict[str, tuple[Any, ...]], dict[str, Any]], ...]:
        """(keys with their values, condition) of each entry of `paired`."""
        return tuple(
            ({key: tuple(row) for key, row in group.items() if key != "when"}, dict(group.get("when", {})))
            for group in self.paired
        )
