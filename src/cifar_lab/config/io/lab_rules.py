"""What must hold inside a sheet of questions beyond the types of its keys."""

from __future__ import annotations

from cifar_lab.config import Settings
from cifar_lab.config.io.catalogue import sections
from cifar_lab.config.io.expected import show
from cifar_lab.config.io.suggest import did_you_mean
from cifar_lab.config.io.tree import Node, dotted
from cifar_lab.config.io.values import Check


def lab_rules(check: Check, root: Node) -> None:
    """Report what contradicts itself in a sheet of questions."""
    questions = root.value.get("questions")
    if questions is None or not isinstance(questions.value, dict):
        return
    charts: dict[str, str] = {}
    for name, question in questions.value.items():
        if not isinstance(question.value, dict):
            continue
        here = dotted("questions", name)
        _arms_rules(check, here, question, root)
        _factor_rules(check, here, question)
        chart = question.value.get("chart")
        if chart is None or not isinstance(chart.value, str):
            continue
        if chart.value.lower() in charts:
            message = f"{show(chart)} is the chart of {charts[chart.value.lower()]} already; name another file"
            check.report(chart, f"{here}.chart", message)
        charts.setdefault(chart.value.lower(), name)


def _factor_rules(check: Check, here: str, question: Node) -> None:
    """What a question varies is a setting, or a section."""
    stated = question.value.get("factor")
    if stated is None or not isinstance(stated.value, list):
        return
    known = _settings_and_sections()
    for index, factor in enumerate(stated.value):
        if isinstance(factor.value, str) and factor.value not in known:
            message = f"{show(factor)} is no setting and no section{did_you_mean(factor.value, known)}"
            check.report(factor, f"{here}.factor[{index}]", message)


def _settings_and_sections() -> list[str]:
    keys = [f"{name}.{key}" for name, classes in sections().items() for cls in classes for key in cls.model_fields]
    return list(dict.fromkeys([*Settings.model_fields, *keys]))


def _arms_rules(check: Check, here: str, question: Node, root: Node) -> None:
    stated = question.value
    arms = stated["arms"].value if "arms" in stated else []
    sweep = "sweep" in stated and stated["sweep"].value is not None
    if not isinstance(arms, list):
        return
    if sweep and arms:
        check.report(stated["sweep"], f"{here}.sweep", "a question has arms or a sweep, not both")
    if not sweep and not arms:
        check.report(stated.get("arms", question), here, "no arms and no sweep; name what the control is compared with")
    control = stated.get("control", root.value.get("control"))
    seen: set[str] = set()
    for index, arm in enumerate(arms):
        key = f"{here}.arms[{index}]"
        if not isinstance(arm.value, str):
            continue
        if control is not None and arm.value == control.value:
            check.report(arm, key, f"{show(arm)} is the control; it is not repeated among the arms")
        elif arm.value in seen:
            check.report(arm, key, f"{show(arm)} is stated twice; keep one of them")
        seen.add(arm.value)
