"""Charts of robustness in report.html: accuracy over the distance, robust against clean accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.robust_curves import ArmRobustness
from cifar_lab.config.attack import AnyAttack, Corruption, DeepFool, attack_from, attack_words
from cifar_lab.report.charts.chart import Chart, short
from cifar_lab.report.charts.interactive import style_of


def robustness_charts(answer: Answer, arms: Sequence[ArmRobustness]) -> dict[str, Chart]:
    """Charts of a question of robustness. Empty without attacks."""
    if not arms:
        return {}
    attack = attack_from(dict(answer.attacks[0].attack))
    return {"robust": _curves(answer, arms, attack), "scatter": _scatter(answer, arms)}


def axis_words(attack: AnyAttack) -> str:
    """Title of the axis of levels."""
    if isinstance(attack, Corruption):
        return "severity"
    return "L2 distance" if isinstance(attack, DeepFool) or attack.norm == "l2" else "L∞ distance"


def _curves(answer: Answer, arms: Sequence[ArmRobustness], attack: AnyAttack) -> Chart:
    """Robust accuracy of each arm over the levels of the attack, with the band of its mean."""
    drawn = [
        {
            "label": short(arm.label),
            "style": style_of(answer.rows, arm.index),
            "points": [
                [point.level, point.words, *(_percent(each) for each in (point.mean, point.low, point.high))]
                for point in arm.curve
            ],
        }
        for arm in arms
    ]
    ends = "; ".join(
        f"{short(arm.label)} {100 * arm.curve[0].mean:.1f} % clean, {100 * arm.curve[-1].mean:.1f} % at "
        f"{arm.curve[-1].words}"
        for arm in arms
    )
    spec = {"kind": "robust", "arms": drawn, "axis": f"{attack_words(attack)}: {axis_words(attack)}"}
    return Chart(spec, f"Accuracy of each arm over the levels of {attack_words(attack)}. {ends}.", 340)


def _scatter(answer: Answer, arms: Sequence[ArmRobustness]) -> Chart:
    """Robust against clean accuracy, a mark per run."""
    drawn = [
        {
            "label": short(arm.label),
            "style": style_of(answer.rows, arm.index),
            "runs": [[run.seed, _percent(run.clean), _percent(run.robust)] for run in arm.runs],
        }
        for arm in arms
    ]
    means = "; ".join(
        f"{short(arm.label)} {100 * sum(run.clean for run in arm.runs) / len(arm.runs):.1f} % clean and "
        f"{100 * sum(run.robust for run in arm.runs) / len(arm.runs):.1f} % robust"
        for arm in arms
    )
    spec = {"kind": "scatter", "arms": drawn}
    return Chart(spec, f"Robust against clean accuracy of each run. Means: {means}.", 340)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * min(1.0, max(0.0, share)), 3)
