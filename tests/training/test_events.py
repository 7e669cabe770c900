"""Every event survives the codec, and the words on the wire stay as they are."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from cifar_lab.training.events import Event, Message, decode_event, encode_event

EXAMPLES: dict[str, Any] = {
    "str": "a – b", "int": 3, "float": 0.5, "bool": True, "float | None": 0.25, "str | None": "why", "Kind": "oom",
    "dict[str, float | None]": {"top3": 0.5, "odd": None},
    "Kind | None": "killed",
}  # fmt: skip
"""A value for each annotation of a field."""


def example(kind: type[Event]) -> Event:
    return kind(**{
        each.name: "done" if str(each.type).startswith("Literal") else EXAMPLES[str(each.type)] for each in fields(kind)
    })  # fmt: skip


@pytest.mark.parametrize("kind", Event.__subclasses__())
@pytest.mark.parametrize("run_id", ["", "Net-abc"])
def test_every_event_survives_the_codec(kind: type[Event], run_id: str) -> None:
    message = Message(example(kind), run_id)
    line = encode_event(message)
    assert "\n" not in line
    assert decode_event(line) == message


def test_the_words_of_the_events_are_unique() -> None:
    assert len(Event.of_word) == len(Event.__subclasses__())
    assert set(Event.of_word) == {
        "started", "placed", "device", "resumed", "step", "epoch", "finished", "interrupted", "failed", "retry",
        "quiet", "outcome", "preparing", "gpus", "model built", "task done", "warning",
        "awaited", "found", "output", "trying", "held", "attacking",
    }  # fmt: skip


def test_a_truncated_line_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        decode_event('{"event": "epo')
