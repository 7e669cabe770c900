"""The rule by itself: training and the report are stood in for by functions that leave real folders behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.interim_looks import read_plan
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdicts import judge
from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values
from cifar_lab.config.sheets import Question
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.execution.runner import RunBatch
from cifar_lab.studies.sequential_test import InterimAnalysis, run_sequential_test, seed_list

CONTROL = with_values(
    Settings(),
    {"label": "baseline", "data.dataset": "synthetic", "data.train_size": 100, "data.test_size": 20,
     "data.batch_size": 20, "epochs": 1, "seeds": [4, 0, 1]},
    where="test",
)  # fmt: skip
CLEAR = with_values(CONTROL, {"label": "clear", "optimizer.lr": 0.1}, where="test")
CLOSE = with_values(CONTROL, {"label": "close", "optimizer.lr": 0.2}, where="test")


class Bench:
    """Arms whose accuracies are known beforehand; counts what is trained."""

    def __init__(self) -> None:
        self.trained: list[dict[str, tuple[int, ...]]] = []
        self.seeds: dict[str, set[int]] = {}

    def train(self, arms: Sequence[Settings], plan: str) -> RunBatch:
        self.trained.append({arm.label: arm.seeds for arm in arms})
        for arm in arms:
            self.seeds.setdefault(arm.label, set()).update(arm.seeds)
        return RunBatch((), (), ())

    def look_at(self, seeds: int) -> Answer:
        gaps = {"baseline": 0.0, "clear": 0.2, "close": 0.0}
        rows = []
        for label, seeds in self.seeds.items():
            values = tuple((s, 0.5 + gaps[label] + (s * 7 % 5) * 0.004 * (label != "baseline")) for s in sorted(seeds))
            rows.append(Row(label, values, sum(v for _, v in values) / len(values), is_control=label == "baseline"))
        question = Question(title="?", arms=("a.yaml",), chart="q.png")
        (answer,), _ = judge([Answer("q1", question, tuple(rows))], 0.3)
        return answer


def looks(bench: Bench, results: Path, most: int = 12) -> Iterator[InterimAnalysis]:
    return iter(run_sequential_test("q1", CONTROL, (CLEAR, CLOSE), results, most, bench.train, bench.look_at))


def test_seeds_are_those_of_the_settings_then_the_smallest_others() -> None:
    assert seed_list(CONTROL, [CLEAR], 6) == (4, 0, 1, 2, 3, 5)
    assert seed_list(CONTROL, [], 2) == (4, 0)


def test_arms_that_are_decided_get_no_more_seeds(tmp_path: Path) -> None:
    bench = Bench()
    found = list(looks(bench, tmp_path))
    assert [(look.number, look.seeds) for look in found] == [(1, 3), (2, 5), (3, 8), (4, 12)][: len(found)]
    assert bench.trained[0] == dict.fromkeys(("baseline", "clear", "close"), (4, 0, 1))
    assert all(set(each) == {"baseline", "close"} for each in bench.trained[2:])
    assert len(bench.trained[-1]["baseline"]) == found[-1].seeds
    assert found[-1].is_last


def test_the_plan_is_written_before_the_first_look_and_kept(tmp_path: Path) -> None:
    first = looks(Bench(), tmp_path)
    next(first)
    (path,) = (tmp_path / "stopping").iterdir()
    plan = read_plan(path)
    assert plan.looks == (3, 5, 8, 12)
    assert len(plan.arms) == 2
    before = path.read_bytes()
    list(looks(Bench(), tmp_path))
    assert path.read_bytes() == before
    with pytest.raises(SettingsError, match="looks at 3, 5, 8 and 12 seeds; changing a plan after a look"):
        next(looks(Bench(), tmp_path, most=20))


def test_a_plan_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    next(looks(Bench(), tmp_path))
    (path,) = (tmp_path / "stopping").iterdir()
    good = path.read_bytes()
    path.unlink()
    with pytest.raises(DataError, match="is missing, but looks were planned there; restore it from a copy"):
        next(looks(Bench(), tmp_path))
    path.write_bytes(good)
    next(looks(Bench(), tmp_path))


def test_an_arm_that_joins_later_is_bound_to_the_same_looks(tmp_path: Path) -> None:
    bench = Bench()
    next(iter(run_sequential_test("q1", CONTROL, (CLEAR,), tmp_path, 12, bench.train, bench.look_at)))
    next(looks(Bench(), tmp_path))
    (path,) = (tmp_path / "stopping").iterdir()
    assert len(read_plan(path).arms) == 2


def test_fewer_than_three_seeds_cannot_decide(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 seeds at most"):
        next(looks(Bench(), tmp_path, most=2))
    assert not (tmp_path / "stopping").exists()
