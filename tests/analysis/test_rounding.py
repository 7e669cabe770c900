"""Runs of one arm that were computed in different ways."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.analysis.rounding import mixed_rounding
from cifar_lab.config import Settings
from cifar_lab.store.records import Record

from ..record_fixtures import record

END = ". A difference of this kind is not an effect of the settings."


def run(seed: int, precision: str = "fp32", **environment: Any) -> Record:
    settings = Settings.model_validate({"runtime": {"precision": precision}})
    made = record(0.5, seed, settings)
    return made.model_copy(update={"environment": made.environment.model_copy(update=environment)})


OWN = {"kernels": "own", "reduction": "batch"}


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([run(0, **OWN), run(1, **OWN, threads=2)], None),
        ([run(0, reduction="threads"), run(1)], None),
        ([], None),
        ([run(0, **OWN), run(1), run(2, **OWN)],
         "seeds 0, 2 by the C kernels; seed 1 by torch's kernels on 1 thread"),
        ([run(0), run(1, device="cuda")], "seed 0 by torch's kernels on 1 thread; seed 1 on a GPU"),
        ([run(0, **OWN), run(1, kernels="own")],
         "seed 0 by the C kernels; seed 1 by the C kernels, with an earlier version's order of sums"),
        ([run(0), run(1, threads=2)], "seed 0 by torch's kernels on 1 thread; seed 1 by torch's kernels on 2 threads"),
        ([run(0), run(1, "bf16")],
         "seed 0 by torch's kernels on 1 thread in fp32; seed 1 by torch's kernels on 1 thread in bf16"),
        ([run(0, device="cuda"), run(1, device="cuda", stacked=True)],
         "seed 0 on a GPU; seed 1 on a GPU, stacked with other runs"),
    ],
)  # fmt: skip
def test_one_sentence_for_an_arm_that_mixes_them(runs: list[Record], told: str | None) -> None:
    expected = [] if told is None else [f"The runs of Net round differently: {told}{END}"]
    assert mixed_rounding("Net", runs) == expected
