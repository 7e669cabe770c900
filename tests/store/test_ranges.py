"""Records from elsewhere: any JSON of the right shape is accepted with all numbers in range, or refused by name."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.ranges import LARGEST
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

from .test_results import RUN, make_record

SCORE = {"accuracy": 0.5, "loss": 0.25, "per_class": [0.5, 0.5], "confusion": [[1, 1], [1, 1]]}
WHOLE: dict[str, Any] = {
    **json.loads(make_record().model_dump_json()), "val": SCORE, "sizes": {"weights.safetensors": 7},
    "files": {"weights.safetensors": "0" * 64},
}  # fmt: skip

SHARES = ("accuracy", "per_class")


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Path of every number of a document."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


NUMBERS = sorted(leaves(WHOLE), key=str)


def replaced(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(WHOLE)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def read(document: dict[str, Any]) -> Record:
    """The record, as a stranger would send it: with a checksum that fits."""
    with tempfile.TemporaryDirectory() as results:
        folder = RunFolder(Path(results), RUN)
        folder.path.mkdir(parents=True)
        folder.record.write_bytes(seal_record(json.dumps(document, indent=1)))
        try:
            record = folder.read_record()
        except DataError as fault:
            told = str(fault)
            if (
                not told.startswith((f"{folder.record}: is ", f"{folder.record}: has schema "))
                or len(told.splitlines()) != 1
            ):
                raise AssertionError(told) from fault
            raise
    assert record is not None
    return record


def assert_in_range(values: Any, key: str = "") -> None:
    if isinstance(values, dict):
        for name, each in values.items():
            assert_in_range(each, name)
    elif isinstance(values, list):
        for each in values:
            assert_in_range(each, key)
    elif isinstance(values, int | float) and not isinstance(values, bool):
        assert math.isfinite(values)
        assert not isinstance(values, int) or abs(values) <= LARGEST
        if key in SHARES:
            assert 0 <= values <= 1
        if key in ("seconds", "train_seconds", "parameters", "seed", "threads", "cohort", "confusion", "sizes"):
            assert values >= 0


def test_the_whole_record_is_read() -> None:
    assert len(NUMBERS) > 40
    assert_in_range(json.loads(read(WHOLE).model_dump_json()))


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_no_number_is_out_of_range_or_of_another_type(path: tuple[str | int, ...]) -> None:
    for value in (math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(DataError):
            read(replaced(path, value))
    if path[0] not in ("settings", "recipe"):  # whose types are those of their version
        for value in (True, "1", [1], {"a": 1}, -1, -(10**30)):
            with pytest.raises(DataError):
                read(replaced(path, value))
    if path[-1] in SHARES or "per_class" in path:
        for value in (5.0, 1.0001, -0.1):
            with pytest.raises(DataError):
                read(replaced(path, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(NUMBERS + [(key,) for key in WHOLE]), value=JSON)
def test_any_value_in_any_place_is_in_range_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    try:
        record = read(replaced(path, value))
    except DataError:
        return
    assert_in_range(json.loads(record.model_dump_json(), parse_constant=lambda name: pytest.fail(name)))


@pytest.mark.parametrize("key", ["files", "sizes"])
@given(name=st.text(max_size=40) | st.sampled_from(["/home/me/thesis.txt", "../../../.ssh/id_rsa", "record.json", ""]))
@settings(max_examples=60, deadline=None)
def test_a_file_name_is_of_a_closed_set(key: str, name: str) -> None:
    if name in ("weights.safetensors", "predictions.npz"):
        return
    with pytest.raises(DataError):
        read({**WHOLE, key: {name: "0" * 64 if key == "files" else 1}})


@pytest.mark.parametrize("key", ["data", "model"])
def test_settings_have_what_commands_read(key: str) -> None:
    for value in (None, {}, [], {"batch_size": 0}, {"name": 1}):
        with pytest.raises(DataError):
            read({**WHOLE, "settings": {**WHOLE["settings"], key: value}})
    with pytest.raises(DataError):
        read({**WHOLE, "settings": {}})


def test_classes_agree() -> None:
    for score in ({**SCORE, "per_class": [0.5]}, {**SCORE, "confusion": [[1, 1]]}, {**SCORE, "confusion": [[1], [1]]}):
        with pytest.raises(DataError, match="different sizes"):
            read({**WHOLE, "test": score})


def test_settings_of_many_levels_are_refused() -> None:
    deep: Any = 1
    for _ in range(30):
        deep = {"a": deep}
    with pytest.raises(DataError, match="levels"):
        read({**WHOLE, "recipe": {"a": deep}})
