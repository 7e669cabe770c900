"""Checksums inside files, to detect damage after writing. No torch.

A record, and every other JSON document of a results folder, carries its SHA-256 as its last key, a checkpoint in its
header, a compiled library after its end, where the loader does not look. A checksum does not prove the author of a
file.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cifar_lab.core.files import NotRegularError, read_regular

CHECKPOINT_MAGIC = b"cifar-lab checkpoint 1\n"

_DIGEST_SIZE = hashlib.sha256().digest_size
_RECORD_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')
_SEAL_SIZE = len(',\n "sha256": ""\n}\n') + 64


class BrokenSealError(Exception):
    """The checksum does not match the content."""


def seal_record(document: str) -> bytes:
    """Add to a JSON object, as its last key `sha256`, the SHA-256 of all before it. The object is indented by one."""
    head = document.removesuffix("\n}").encode()
    return head + f',\n "sha256": "{hashlib.sha256(head).hexdigest()}"\n}}\n'.encode()


def unseal_record(content: bytes) -> tuple[bytes, bool]:
    """(JSON object without its checksum, whether it had one). Records and documents of schema 1 have none.

    Raises:
        BrokenSealError: the checksum does not match.
    """
    seal = _RECORD_SEAL.match(content, max(0, len(content) - _SEAL_SIZE))
    if seal is None:
        return content, False
    head = content[: seal.start()]
    if hashlib.sha256(head).hexdigest().encode() != seal[1]:
        raise BrokenSealError
    return head + b"\n}\n", True


def seal_checkpoint(run_id: str, payload: bytes) -> bytes:
    """`payload` after a header with the SHA-256 of the run's id and the payload."""
    return CHECKPOINT_MAGIC + _digest(run_id, payload) + payload


def unseal_checkpoint(run_id: str, content: bytes) -> bytes:
    """Payload of a checkpoint.

    Raises:
        BrokenSealError: it is damaged, or belongs to another run.
    """
    start = len(CHECKPOINT_MAGIC) + _DIGEST_SIZE
    payload = content[start:]
    if not content.startswith(CHECKPOINT_MAGIC) or _digest(run_id, payload) != content[len(CHECKPOINT_MAGIC) : start]:
        raise BrokenSealError
    return payload


def seal_library(content: bytes) -> bytes:
    """A shared library followed by its SHA-256."""
    return content + hashlib.sha256(content).digest()


def is_whole_library(sealed: bytes) -> bool:
    """Whether the content of a file is a library with a matching checksum.

    The system kills a process that loads a truncated library (SIGBUS).
    """
    return len(sealed) > _DIGEST_SIZE and seal_library(sealed[:-_DIGEST_SIZE]) == sealed


def unseal_library(sealed: bytes) -> bytes:
    """The library of a file with a matching checksum."""
    return sealed[:-_DIGEST_SIZE]


def is_damaged_checkpoint(path: Path) -> bool:
    """Whether a checkpoint in a run's folder has a wrong checksum, or is no regular file. False for a missing file."""
    try:
        unseal_checkpoint(path.parent.name, read_regular(path))
    except (BrokenSealError, NotRegularError):
        return True
    except FileNotFoundError:
        return False
    return False


def _digest(run_id: str, payload: bytes) -> bytes:
    """SHA-256 over the payload and the run's id, so that another run's checkpoint counts as damaged."""
    return hashlib.sha256(run_id.encode() + payload).digest()
