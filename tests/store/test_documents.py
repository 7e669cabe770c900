from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core import atomic_io
from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.documents import (
    DOCUMENT_SCHEMA,
    DamagedDocumentError,
    index_entry,
    indexed,
    is_sealed,
    lost_documents,
    read_document,
    seal_document,
    write_document,
)
from cifar_lab.store.verify import verify_results

VALUES: dict[str, Any] = {"sweep": "grid", "points": [{"name": "ü", "value": 0.5}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweeps" / "grid" / "plan.json"


def test_a_document_comes_back_with_its_schema_and_an_entry(path: Path, tmp_path: Path) -> None:
    write_document(tmp_path, path, VALUES)
    found = read_document(path)
    assert (found.values, found.is_checked) == ({"schema": DOCUMENT_SCHEMA, **VALUES}, True)
    assert list(json.loads(path.read_bytes()))[-1] == "sha256"
    assert [(each.path, each.entries, each.fault()) for each in indexed(tmp_path)] == [(path, 1, "")]


def test_the_same_values_write_nothing(path: Path, tmp_path: Path) -> None:
    write_document(tmp_path, path, VALUES)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    write_document(tmp_path, path, VALUES)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before


def test_a_document_of_an_earlier_version_is_read_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(VALUES))
    assert read_document(path).values == VALUES
    assert not is_sealed(path)
    before = path.read_bytes()
    write_document(tmp_path, path, VALUES)
    assert path.read_bytes() == before
    assert list(indexed(tmp_path)) == []
    write_document(tmp_path, path, {**VALUES, "points": []})
    assert is_sealed(path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000,
        b'{"a": NaN}', b'{"schema": 2, "a": 1}', b'{"schema": true}',
        b'{"schema": "2"}', seal_document(VALUES)[:-1], seal_document(VALUES).replace(b"0.5", b"0.6"),
        seal_document(VALUES).replace(b"sha256", b"sha257"), b'{"sha256": "0"}',
    ],
)  # fmt: skip
def test_a_damaged_document_is_named(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DamagedDocumentError) as caught:
        read_document(path)
    assert str(caught.value).startswith(f"{path}: is damaged (")


def test_a_document_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(seal_record(json.dumps({"schema": 99, "a": 1}, indent=1)))
    with pytest.raises(DataError, match="has schema 99, but this cifar-lab reads up to 4; install a newer cifar-lab"):
        read_document(path)
    found = verify_results(path.parents[2])
    assert (found.damage, len(found.notes)) == ((), 1)


def test_a_document_that_is_gone_or_replaced_is_noticed(path: Path, tmp_path: Path) -> None:
    write_document(tmp_path, path, VALUES)
    write_document(tmp_path, path.with_name("other.json"), {"sweep": "other"})
    path.write_bytes(path.with_name("other.json").read_bytes())
    (line,) = verify_results(tmp_path).damage
    assert line.startswith(f"{path}: is damaged (its content differs from the index); set aside as plan.json.damaged; ")
    write_document(tmp_path, path, VALUES)
    path.with_name("plan.json.damaged").unlink()
    path.unlink()
    assert lost_documents(tmp_path, "sweeps/grid") == [path]
    (line,) = verify_results(tmp_path).damage
    assert line == f"{path}: is missing; run the sweep again to rebuild it"
    assert verify_results(tmp_path).damage == ()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_crash_at_any_act_leaves_a_good_document(
    path: Path, tmp_path: Path, is_new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash() -> None:
        raise Crash

    monkeypatch.setattr(atomic_io, "_crash", crash)
    old, new = VALUES, {**VALUES, "points": []}
    for act in range(1, 40):
        results = tmp_path / str(act)
        document = results / path.relative_to(tmp_path)
        if not is_new:
            write_document(results, document, old)
        monkeypatch.setenv(atomic_io.CRASH_AT, str(act))
        monkeypatch.setattr(atomic_io, "_acts", iter(range(1, 1000)))
        try:
            write_document(results, document, new)
        except Crash:
            assert verify_results(results).damage == (), act
            assert lost_documents(results, "sweeps/grid") == [], act
        else:
            break
        monkeypatch.delenv(atomic_io.CRASH_AT)
        write_document(results, document, new)
        assert [each.fault() for each in indexed(results)] == [""], act
        assert index_entry(results, document).exists()
    assert 10 < act < 39
