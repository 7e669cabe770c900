from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.analysis.winners import plan_changed, read_winners, winner_rows, winners_path
from cifar_lab.config import SGD, Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import DataError
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]

IMAGES = hashlib.sha256(b"cifar10 a").hexdigest()
"""The fingerprint that `make_record` gives."""


def write_winners(results: Path, name: str, settings: list[Settings], control: Settings) -> None:
    """The file a sweep leaves, with `settings` in the order of their ranks but written last first."""
    content: dict[str, Any] = {
        "sweep": name,
        "plan_sha256": "0" * 64,
        "fingerprint": IMAGES,
        "confirm_seeds": [100, 101, 102],
        "search": {"method": "grid", "seeds": [0], "val_size": 5_000},
        "points": 320,
        "runs": {"searched": 320, "failed": 1, "diverged": 12},
        "control": {"label": "baseline", "recipe": recipe(control), "val_accuracy": 0.48},
        "winners": [
            {
                "rank": rank,
                "label": f"point {rank}",
                "recipe": recipe(each),
                "values": {"optimizer.lr": each.optimizer.lr, "data.flip": rank == 1},
                "val_accuracy": 0.7 - rank / 100,
                "seeds_searched": 1,
            }
            for rank, each in reversed(list(enumerate(settings, 1)))
        ],
    }
    path = winners_path(results, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_rows_are_the_control_and_the_top_five_by_rank(tmp_path: Path, make_record: MakeRecord) -> None:
    points = [Settings(optimizer=SGD(lr=lr)) for lr in (0.05, 0.02, 0.01, 0.005, 0.002, 0.0005)]
    write_winners(tmp_path, "grid", points, Settings())
    records = [
        make_record(0.50, 100),
        make_record(0.65, 100, points[0]),
        make_record(0.63, 101, points[0]),
        make_record(0.99, 100, points[1], test=None, test_reason="search"),
        make_record(0.99, 0),
        make_record(0.99, 0, points[0]),
        make_record(0.99, 101, images="others"),
        make_record(0.99, 100, points[5]),
    ]
    found = read_winners(tmp_path, "grid")
    assert found is not None
    rows = winner_rows(found, records, "cifar-lab sweep grid.yaml")
    assert [row.label for row in rows] == [
        "baseline", "point 1", "point 2", "point 3", "point 4", "point 5",
    ]  # fmt: skip
    assert rows[0].is_control
    assert rows[0].values == ((100, 0.50),)
    assert rows[0].val_mean == 0.48
    assert rows[1].mean == pytest.approx(0.64)
    assert rows[1].val_mean == pytest.approx(0.69)
    assert [row.missing_seeds for row in rows[:3]] == [(101, 102), (102,), (100, 101, 102)]
    assert {row.command for row in rows} == {"cifar-lab sweep grid.yaml"}
    assert all(row.is_missing for row in rows[2:])


def test_winners_of_an_older_plan_are_told(tmp_path: Path) -> None:
    write_winners(tmp_path, "grid", [Settings()], Settings())
    found = read_winners(tmp_path, "grid")
    assert found is not None
    assert not plan_changed(tmp_path, found)
    plan = winners_path(tmp_path, "grid").with_name("plan.json")
    plan.write_text("{}")
    assert plan_changed(tmp_path, found)
    same = found.model_copy(update={"plan_sha256": hashlib.sha256(b"{}").hexdigest()})
    assert not plan_changed(tmp_path, same)


def test_no_file_is_no_winners(tmp_path: Path) -> None:
    assert read_winners(tmp_path, "grid") is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = winners_path(tmp_path, "grid")
    path.parent.mkdir(parents=True)
    path.write_text('{"sweep": "grid"')
    with pytest.raises(DataError) as refused:
        read_winners(tmp_path, "grid")
    message = str(refused.value)
    assert message.startswith(f"{path}: is damaged (not JSON)")
    assert message.endswith("run the sweep again to rebuild it")
    assert "\n" not in message
