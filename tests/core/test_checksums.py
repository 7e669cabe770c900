from __future__ import annotations

import hashlib
import json

import pytest

from cifar_lab.core.checksums import BrokenSealError, seal_checkpoint, seal_record, unseal_checkpoint, unseal_record

DOCUMENT = json.dumps({"schema": 2, "label": "ü", "notes": []}, indent=1, ensure_ascii=False)


def test_a_sealed_record_is_json_whose_last_key_is_the_sha256_of_all_before_it() -> None:
    content = seal_record(DOCUMENT)
    values = json.loads(content)
    head, _, _ = content.partition(b',\n "sha256"')
    assert list(values) == ["schema", "label", "notes", "sha256"]
    assert values["sha256"] == hashlib.sha256(head).hexdigest()
    assert unseal_record(content) == (DOCUMENT.encode() + b"\n", True)


def test_what_has_no_seal_is_given_back_as_it_is() -> None:
    for content in (b"", b"{}", DOCUMENT.encode(), seal_record(DOCUMENT)[:-1], b"\0" * 200):
        assert unseal_record(content) == (content, False)


def test_a_seal_that_does_not_hold_is_broken() -> None:
    content = seal_record(DOCUMENT)
    with pytest.raises(BrokenSealError):
        unseal_record(content.replace(b'"schema": 2', b'"schema": 3'))


def test_a_checkpoint_is_sealed_with_the_name_of_its_run() -> None:
    content = seal_checkpoint("run", b"payload")
    assert unseal_checkpoint("run", content) == b"payload"
    for run, altered in (("another", content), ("run", content + b"x"), ("run", content[1:]), ("run", b"")):
        with pytest.raises(BrokenSealError):
            unseal_checkpoint(run, altered)
