from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from cifar_lab.analysis.selection_bias import winners_curse
from cifar_lab.analysis.stats.significance import expected_maximum
from cifar_lab.analysis.winner_sentences import winner_sentence
from cifar_lab.analysis.winners import Winners
from cifar_lab.config import SGD, Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.store.records import Record, SplitScore

MakeRecord = Callable[..., Record]

BEST = Settings(optimizer=SGD(lr=0.1))


def winners(control_val: float | None = 0.50, **more: Any) -> Winners:
    content = {
        "sweep": "grid", "plan_sha256": "0" * 64, "fingerprint": hashlib.sha256(b"cifar10 a").hexdigest(),
        "confirm_seeds": [100, 101, 102], "search": {"method": "grid", "seeds": [0], "val_size": 5_000}, "points": 100,
        "runs": {"searched": 100, "failed": 1, "diverged": 2},
        "control": {"label": "baseline", "recipe": recipe(Settings()), "val_accuracy": control_val},
        "winners": [{"rank": 1, "label": "lr 0.1", "recipe": recipe(BEST), "val_accuracy": 0.60, "seeds_searched": 1}],
    }  # fmt: skip
    return Winners.model_validate({**content, **more})


def runs(make_record: MakeRecord) -> list[Record]:
    control = [make_record(value, seed) for seed, value in zip((100, 101, 102), (0.50, 0.51, 0.52), strict=True)]
    best = [make_record(value, seed, BEST) for seed, value in zip((100, 101, 102), (0.57, 0.58, 0.59), strict=True)]
    return [*control, *best, make_record(0.99, 0, BEST)]


def test_the_lead_in_the_search_against_the_lead_of_fresh_seeds(make_record: MakeRecord) -> None:
    found = winners_curse(winners(), runs(make_record))
    assert found is not None
    assert (found.winner, found.points, found.n_fresh, found.fresh_split) == ("lr 0.1", 100, 3, "test")
    assert (found.fresh, found.control_fresh) == (pytest.approx(0.58), pytest.approx(0.51))
    assert (found.lead_searched_pp, found.lead_fresh_pp, found.selection_bias_pp) == tuple(
        map(pytest.approx, (10, 7, 3))
    )
    assert found.run_std_pp == pytest.approx(1.0)
    assert found.expected_bias_pp == pytest.approx(expected_maximum(100))
    assert winner_sentence(found) == (
        "lr 0.1 is the best of 100 points: 60.00 % of the validation images correct in the search, 10.00 pp ahead of "
        "the control; with 3 fresh seeds it has 58.00 % of the test images correct, 7.00 pp ahead of the control: 3.00 "
        "pp of "
        "that lead did not repeat. If all 100 points were equal, the best of them would seem 2.51 pp better than they "
        "are, by chance alone (2.5 times the spread of 1.00 pp between runs)."
    )


def test_several_seeds_a_point_leave_less_to_chance(make_record: MakeRecord) -> None:
    one = winners().winners[0]
    found = winners_curse(winners(winners=[{**one.model_dump(), "seeds_searched": 4}]), runs(make_record))
    assert found is not None
    assert found.expected_bias_pp == pytest.approx(expected_maximum(100) / 2)
    assert "over the root of 4 seeds per point" in winner_sentence(found)


def test_fresh_runs_with_a_validation_split_are_compared_on_it(make_record: MakeRecord) -> None:
    split = SplitScore(accuracy=0.55, loss=1.0, per_class=(0.55,), confusion=((1,),))
    found = winners_curse(winners(), [record.model_copy(update={"val": split}) for record in runs(make_record)])
    assert found is not None
    assert (found.fresh_split, found.fresh, found.lead_fresh_pp) == ("validation", 0.55, 0)


def test_a_control_that_was_no_point_of_the_search_gives_no_lead(make_record: MakeRecord) -> None:
    found = winners_curse(winners(control_val=None), runs(make_record))
    assert found is not None
    assert (found.lead_searched_pp, found.selection_bias_pp, found.lead_fresh_pp) == (None, None, pytest.approx(7))
    assert "did not repeat" not in winner_sentence(found)


def test_before_the_fresh_seeds_have_run() -> None:
    found = winners_curse(winners(), [])
    assert found is not None
    assert (found.fresh, found.run_std_pp, found.expected_bias_pp) == (None, None, None)
    assert winner_sentence(found).endswith("10.00 pp ahead of the control; its fresh seeds have not been run yet.")


def test_a_search_without_winners_says_nothing() -> None:
    assert winners_curse(winners(winners=[]), []) is None
