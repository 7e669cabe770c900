"""Contradictions in a claims file: a claim says exactly one thing, about two different arms."""

from __future__ import annotations

from cifar_lab.config.claims import IDLE_UNLESS, KINDS
from cifar_lab.config.io.messages import show
from cifar_lab.config.io.tree import Node, dotted
from cifar_lab.config.io.values import Check


def claim_rules(check: Check, root: Node) -> None:
    """Report contradictions in a claims file."""
    claims = root.value.get("claims")
    if claims is None or not isinstance(claims.value, dict):
        return
    for name, claim in claims.value.items():
        if isinstance(claim.value, dict):
            _claim_rules(check, dotted("claims", name), claim)


def _claim_rules(check: Check, here: str, claim: Node) -> None:
    stated = {key: node for key, node in claim.value.items() if node.value is not None}
    kinds = [key for key in KINDS if key in stated]
    if not kinds:
        check.report(claim, here, f"it claims nothing; add one of {', '.join(KINDS)}")
    for key in kinds[1:]:
        check.report(stated[key], dotted(here, key), f"a claim has {kinds[0]} or {key}, not both; make two claims")
    for key, partners in IDLE_UNLESS.items():
        if key in stated and kinds and not set(partners) & set(kinds):
            check.report(stated[key], dotted(here, key), f"has no effect without {' or '.join(partners)}")
    for key in kinds:
        if "arm" in stated and stated[key].value == stated["arm"].value and isinstance(stated[key].value, str):
            check.report(stated[key], dotted(here, key), f"{show(stated[key])} is the arm itself; name another file")
