"""Clocks that jump: seconds come from the monotonic clock, times are labels and nothing is ordered by them."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from cifar_lab.core import host as machine
from cifar_lab.core.errors import Interrupted

from .registry import case


@case(
    23,
    "the clock jumps a day back or ahead, or to 1970, while a run is under way and between stop and resume",
    remains="the same numbers; seconds are never negative; times are labels in UTC",
)
@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1), timedelta(days=-20_000)])
def test_a_clock_that_jumps_changes_no_number(lab: Any, jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    class Jumping(datetime):
        jumped = timedelta(0)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + cls.jumped

    undisturbed = lab.make(lab.job(lab.settings(), results="undisturbed"))
    monkeypatch.setattr(machine, "datetime", Jumping)
    job = lab.job(lab.settings())

    def leap(event: dict[str, Any]) -> None:
        Jumping.jumped = jump

    with pytest.raises(Interrupted):
        lab.make(job, leap, lambda: True)
    record = lab.make(job)
    assert (record.test, record.parameters) == (undisturbed.test, undisturbed.parameters)
    assert record.train_seconds > 0
    assert all(line.seconds > 0 for line in lab.run_folder(job).read_metrics(record))
    assert record.started.endswith("Z")
    assert record.finished.endswith("Z")


@case(
    23,
    "the time zone changes between stop and resume",
    remains="one run, with times in UTC",
    says="1 run: 1 already done",
    code=0,
)
def test_another_time_zone_is_the_same_run(lab: Any, case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lab.file("arm", "epochs=1")
    lab.make(lab.job(lab.settings("label=arm", "epochs=1")))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    code, told, wrong = lab.command("run", path)
    case.check(told + wrong, code)
