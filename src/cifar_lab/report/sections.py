"""Questions of the page, ready for the template: answers, breakdowns, charts and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cifar_lab.analysis.answers import VERDICT_MARKS, Answer
from cifar_lab.analysis.breakdowns import (
    CURVES,
    ArmBreakdown,
    ClassGap,
    ConfusionGap,
    arms_of,
    class_accuracies,
    class_gaps,
    confusion_gaps,
    last_epoch,
    read_curves,
)
from cifar_lab.analysis.chance import chance_sentence, is_at_chance
from cifar_lab.analysis.factors import settings_that_differ
from cifar_lab.analysis.mistakes import Mistake, cached_test_images, confident_mistakes, confusion_rates
from cifar_lab.analysis.robust_curves import ArmRobustness, arm_robustness
from cifar_lab.analysis.search_points import Axis, SearchedPoint, axes_of, best_points, read_points
from cifar_lab.analysis.sentences import comparison_sentences
from cifar_lab.analysis.verdict_line import VerdictLine, verdict_line
from cifar_lab.analysis.winner_sentences import selection_sentences
from cifar_lab.config.attack import eps_words
from cifar_lab.report.charts.chart import Chart
from cifar_lab.report.charts.details import classes_chart, confusion_chart, curves_chart
from cifar_lab.report.charts.drawing import Drawing, drawing_of
from cifar_lab.report.charts.interactive import accuracy_chart, cost_charts, difference_chart
from cifar_lab.report.charts.robustness import robustness_charts
from cifar_lab.report.charts.search import MOST_TICKS, effect_chart, effect_range, parallel_chart
from cifar_lab.store.attack_records import AttackExample
from cifar_lab.store.records import Record

if TYPE_CHECKING:
    from cifar_lab.analysis.lab import Lab

MOST_RECORDS = 100
"""Records per arm that the page lists. answers.json has all."""


@dataclass(frozen=True)
class MistakePicture:
    """Mistake with its image."""

    mistake: Mistake
    source: str
    """The image as a data URI."""


@dataclass(frozen=True)
class AttackedPicture:
    """Attacked image, with the clean one."""

    example: AttackExample
    level: str
    """Distance or kind of the attack, in words."""
    clean: str
    """The image as a data URI."""
    attacked: str


@dataclass(frozen=True)
class PageSection:
    """Question of the page."""

    answer: Answer
    line: VerdictLine
    drawing: Drawing
    at_chance: Sequence[str]
    """Sentences on arms at chance."""
    arms: Sequence[ArmBreakdown]
    charts: Mapping[str, Chart]
    classes: Sequence[str]
    class_gaps: Sequence[ClassGap]
    class_control: Sequence[float]
    """Accuracy of the control in each class, percent."""
    matrices: Sequence[ArmBreakdown]
    """Arms with a confusion matrix."""
    confusion: Sequence[ConfusionGap]
    """Changes of confusion per arm, without the arms that make the control's mistakes, which `same_mistakes` has."""
    same_mistakes: Sequence[ArmBreakdown]
    mistakes: Sequence[tuple[ArmBreakdown, Sequence[MistakePicture]]]
    """Most confident mistakes of each arm. Empty where predictions or images are missing."""
    settings: Sequence[tuple[str, Sequence[str]]]
    """Settings that differ, each with its value in every arm."""
    points: Sequence[SearchedPoint]
    """Points of the search of a sweep."""
    axes: Sequence[Axis]
    curve_names: Mapping[str, str]
    last_epochs: Sequence[tuple[ArmBreakdown, Mapping[str, float]]]
    """Each arm with the mean of each curve at its last epoch."""
    attacked: Sequence[tuple[ArmBreakdown, Sequence[AttackedPicture]]]
    """An attacked image per class of each arm. Empty for a question of test accuracy."""

    @property
    def measures(self) -> list[str]:
        """Measures that have a learning curve."""
        return [word for word in ("accuracy", "loss") if any(name.endswith(word) for name in self.curve_names)]

    @property
    def has_validation(self) -> bool:
        """Whether a learning curve is of a validation split."""
        return any(name.startswith("val_") for name in self.curve_names)

    @property
    def runs(self) -> list[tuple[ArmBreakdown, Record]]:
        """Runs with a record, control first, of each arm at most `MOST_RECORDS`, the diverged before the tested."""
        return [(arm, run) for arm in self.arms for run in (*arm.diverged, *arm.runs)[:MOST_RECORDS]]

    @property
    def run_count(self) -> int:
        """Number of runs with a record."""
        return sum(len(arm.runs) + len(arm.diverged) for arm in self.arms)

    @property
    def finished_points(self) -> list[SearchedPoint]:
        """Points of the search with an accuracy, the best first."""
        return best_points(self.points)

    @property
    def short_axes(self) -> list[Axis]:
        """Axes with few values, whose means are listed."""
        return [axis for axis in self.axes if len(axis.values) <= MOST_TICKS]

    @property
    def sentences(self) -> list[tuple[str, str, str]]:
        """(class, sign, sentence) of the winners of a sweep, then of each comparison."""
        first = [("none", "★", sentence) for sentence in selection_sentences(self.answer)]
        pairs = zip(self.answer.comparisons, comparison_sentences(self.answer), strict=True)
        return first + [
            ("none" if found.verdict == "no verdict" else found.verdict, VERDICT_MARKS[found.verdict], sentence)
            for found, sentence in pairs
        ]


def _charts_of_kind(answer: Answer, robustness: Sequence[ArmRobustness]) -> dict[str, Chart | None]:
    """Charts of robustness of a robust question, else those of cost."""
    return {**({} if answer.is_robust else cost_charts(answer)), **robustness_charts(answer, robustness)}


def page_section(answer: Answer, lab: Lab, results: Path, images: Any = None) -> PageSection:
    """Section of one question.

    Args:
        lab: the answers.
        results: results folder, from which curves, predictions and the points of searches are read.
        images: test images, see `test_images`.
    """
    arms = arms_of(answer, lab.records)
    control, others = arms[0], arms[1:]
    drawing = drawing_of(answer, lab)
    robustness = arm_robustness(answer)
    histories = read_curves(arms, results)
    names = next((run.data.classes for arm in arms for run in arm.runs), ())
    gaps, changes = class_gaps(control, others), confusion_gaps(control, others)
    matrices = [(arm, rates) for arm in arms if (rates := confusion_rates(arm)) is not None]
    points = read_points(results, answer.sweep.sweep, lab.records) if answer.sweep else []
    axes = axes_of(points)
    charts: dict[str, Chart | None] = {
        "accuracy": accuracy_chart(drawing),
        "difference": difference_chart(drawing),
        "curves": curves_chart(arms, histories),
        "classes": classes_chart(gaps, names),
        "confusion": confusion_chart([arm for arm, _ in matrices], [rates for _, rates in matrices], changes),
        **_charts_of_kind(answer, robustness),
        **search_charts(points, axes),
    }
    last = [(arm, values) for arm in arms if (values := last_epoch(arm, histories))]
    return PageSection(
        answer,
        verdict_line(answer),
        drawing,
        chance_sentences(answer, lab),
        arms,
        charts={name: chart for name, chart in charts.items() if chart is not None},
        classes=names,
        class_gaps=gaps,
        class_control=class_accuracies(control) if gaps else (),
        matrices=[arm for arm, _ in matrices],
        confusion=[change for change in changes if not change.is_empty],
        same_mistakes=[change.arm for change in changes if change.is_empty],
        mistakes=mistake_pictures(arms, results, images),
        settings=settings_that_differ([arm.settings for arm in arms]),
        points=points,
        axes=axes,
        curve_names=_curve_names([values for _, values in last]),
        last_epochs=last,
        attacked=attacked_pictures(robustness, arms),
    )


def _curve_names(epochs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names of the curves that one of the arms has."""
    return {name: words for name, words in CURVES.items() if any(name in values for values in epochs)}


def chance_sentences(answer: Answer, lab: Lab) -> list[str]:
    """A sentence per arm that has learnt nothing useful."""
    data = lab.data
    return (
        []
        if data is None or answer.is_robust
        else [chance_sentence(row, data) for row in answer.rows if is_at_chance(row, data)]
    )


def search_charts(points: Sequence[SearchedPoint], axes: Sequence[Axis]) -> dict[str, Chart | None]:
    """Charts of the points of a search."""
    inside = effect_range(axes) if axes else ()
    effects = {f"effect{index}": effect_chart(axis, points, inside) for index, axis in enumerate(axes)}
    return {"parallel": parallel_chart(points, axes), **effects}


# --- pictures ---------------------------------------------------------------------------------------------------------


def mistake_pictures(
    arms: Sequence[ArmBreakdown], results: Path, images: Any
) -> list[tuple[ArmBreakdown, Sequence[MistakePicture]]]:
    """Most confident mistakes of each arm with their images. Empty without images or predictions."""
    if images is None:
        return []
    found = [(arm, mistakes) for arm in arms if (mistakes := confident_mistakes(arm, results))]
    return [
        (arm, [MistakePicture(each, _data_uri(images[each.index])) for each in each_arm]) for arm, each_arm in found
    ]


def attacked_pictures(
    robustness: Sequence[ArmRobustness], arms: Sequence[ArmBreakdown]
) -> list[tuple[ArmBreakdown, Sequence[AttackedPicture]]]:
    """Attacked images of each arm, one per class."""
    return [
        (arms[each.index], [_attacked(example) for example in each.examples]) for each in robustness if each.examples
    ]


def _attacked(example: AttackExample) -> AttackedPicture:
    level = f"{example.kind} {example.level:g}" if example.kind else eps_words(example.level)
    clean, attacked = (f"data:image/png;base64,{content}" for content in (example.clean, example.attacked))
    return AttackedPicture(example, level, clean, attacked)


def test_images(lab: Lab) -> Any:
    """Test images of the page from the prepared cache, (N, 3, 32, 32). None where it does not hold them."""
    tested = next((record for record in lab.records.values() if record.test is not None), None)
    return None if tested is None else cached_test_images(tested)


def _data_uri(image: Any) -> str:
    """PNG of a (3, 32, 32) image."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
