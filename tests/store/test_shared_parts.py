from __future__ import annotations

from cifar_lab.store.records import Record
from cifar_lab.store.shared_parts import SharedParts

from .test_results import make_record


def again(record: Record) -> Record:
    """The same record, read anew."""
    return Record.model_validate_json(record.model_dump_json())


def test_records_stay_as_they_are_and_equal_parts_are_one_object() -> None:
    shared = SharedParts()
    first, second = again(make_record()), again(make_record(seed=5, run_id="b"))
    one, other = shared.of(first), shared.of(second)
    assert (one, other) == (first, second)
    assert one.data is other.data
    assert one.environment is other.environment
    assert one.settings["data"] is other.settings["data"]
    assert one.recipe["optimizer"] is other.recipe["optimizer"]


def test_values_that_are_equal_and_not_the_same_stay_apart() -> None:
    shared = SharedParts()
    values = [{"a": {"x": each}} for each in (1, 1.0, True)]
    assert [repr(shared.sections(value)) for value in values] == [repr(value) for value in values]
