"""Types of lab files and sweep files: frozen, without torch or file access."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cifar_lab.config import Section, Seed

FileName = Annotated[str, Field(min_length=1, max_length=255)]
Axis = Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]


class Question(Section):
    """One question of a lab: arms that are compared with the control, or a sweep."""

    title: str = Field(min_length=1, max_length=300)
    """The question, in plain words."""
    arms: Annotated[tuple[FileName, ...], Field(strict=False)] = ()
    """Settings files, relative to the sheet. The control is not repeated here."""
    sweep: FileName | None = None
    """A sweep file instead of arms. The chart shows its winners."""
    control: FileName | None = None
    """Settings file of this question's control. Null is the sheet's."""
    factor: Annotated[tuple[FileName, ...], Field(strict=False)] = ()
    """Dotted keys, or sections such as `optimizer`, that the question varies. `cifar-lab plan` names every arm that
    differs from the control in anything else. Empty: an arm may differ in one thing, whichever it is."""
    chart: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.png$")
    """File name of the chart in the results folder."""
    note: str = Field("", max_length=2000)
    """A sentence printed below the chart."""


class LabSheet(Section):
    """A sheet of questions that share a control."""

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
    """The smallest."""
    max: int | float
    """The largest."""
    log: bool = False
    """Draw evenly on a logarithmic scale: as many points between 0.001 and 0.01 as between 0.01 and 0.1."""


class Halving(Section):
    """Synchronous successive halving (arXiv:1502.07943): all points train briefly, and the best of them longer."""

    eta: int = Field(3, ge=2, le=100)
    """Each rung keeps one point in `eta`, never fewer than search.top, and trains it `eta` times as long."""
    rungs: int = Field(3, ge=2, le=20)
    """Number of comparisons, including the one at the end of training."""


class Search(Section):
    """Method of a sweep's search, and confirmation of its winners."""

    method: Literal["grid", "random", "tpe"] = "grid"
    """`grid`: every point. `random`: `trials` points drawn from the space. `tpe`: `trials` points, each batch proposed
    from the results of the batches before it (arXiv:2304.11127), by Optuna."""
    trials: int | None = Field(None, ge=1, le=100_000)
    """Points that `random` draws or `tpe` proposes. Those that mean the same are one and cost nothing again."""
    seed: Seed = 0
    """Seed of what `random` draws and `tpe` proposes."""
    batch: int = Field(8, ge=1, le=1_000)
    """Points that `tpe` proposes at a time. They train in parallel, so it should not be below the number of workers.
    The smaller it is, the more each proposal knows."""
    halving: Halving | None = None
    """Prune points before their last epoch, where the goal is the winner and not the table. Null trains all of them to
    their end. Not for `tpe`."""
    top: int = Field(5, ge=1, le=100)
    """Winners by mean validation accuracy that are trained again and tested."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)] = (0,)
    """Seeds of each point in the search. They repeat a point and are never an axis."""
    confirm_seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)] = (100, 101, 102)
    """Fresh seeds with which the winners and the base are trained before they are tested."""
    val_size: int = Field(5_000, ge=1)
    """Images of the validation split during the search, where the base has none."""


class SweepSheet(Section):
    """Many arms from one file: space × paired, less exclude, and arms."""

    base: FileName
    """Settings file that every point starts from, relative to the sweep file."""
    label: str = Field("", max_length=200)
    """Name of the sweep. Empty is the file's name."""
    search: Search = Search()
    space: dict[str, Axis | Range] = Field(default_factory=dict)
    """Dotted keys and their values. The points are the product. `random` and `tpe` take ranges too."""
    paired: Annotated[tuple[dict[str, Axis], ...], Field(strict=False)] = ()
    """Groups of keys that change together, as lists of equal length. Each group is one axis of the product."""
    exclude: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    """Partial points. A point that agrees with one of them is left out."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named points beside the product: name → dotted keys and values."""
