"""Checksums inside files, by which what was written is told from what was damaged since. No torch.

A record carries its SHA-256 as its last key, a checkpoint in its head, a compiled library behind its end, where those
who load it do not look. None says who wrote the file.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

CHECKPOINT_MAGIC = b"cifar-lab checkpoint 1\n"

_DIGEST_SIZE = hashlib.sha256().digest_size
_RECORD_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')
_SEAL_SIZE = len(',\n "sha256": ""\n}\n') + 64


class BrokenSealError(Exception):
    """The bytes are not those that were sealed."""


def seal_record(document: str) -> bytes:
    """A JSON object, indented by one, with the SHA-256 of all that stands before it as its last key `sha256`."""
    head = document.removesuffix("\n}").encode()
    return head + f',\n "sha256": "{hashlib.sha256(head).hexdigest()}"\n}}\n'.encode()


def unseal_record(content: bytes) -> tuple[bytes, bool]:
    """(the JSON object without its seal, whether it had one); records of schema 1 have none.

    Raises:
        BrokenSealError: the checksum does not hold.
    """
    seal = _RECORD_SEAL.match(content, max(0, len(content) - _SEAL_SIZE))
    if seal is None:
        return content, False
    head = content[: seal.start()]
    if hashlib.sha256(head).hexdigest().encode() != seal[1]:
        raise BrokenSealError
    return head + b"\n}\n", True


def seal_checkpoint(run_id: str, payload: bytes) -> bytes:
    """`payload` behind a head that holds its SHA-256 and that of the run's name."""
    return CHECKPOINT_MAGIC + _digest(run_id, payload) + payload


def unseal_checkpoint(run_id: str, content: bytes) -> bytes:
    """The payload.

    Raises:
        BrokenSealError: it is not the one that was sealed, or that of another run.
    """
    start = len(CHECKPOINT_MAGIC) + _DIGEST_SIZE
    payload = content[start:]
    if not content.startswith(CHECKPOINT_MAGIC) or _digest(run_id, payload) != content[len(CHECKPOINT_MAGIC) : start]:
        raise BrokenSealError
    return payload


def seal_library(content: bytes) -> bytes:
    """A shared library with its SHA-256 behind it."""
    return content + hashlib.sha256(content).digest()


def is_whole_library(path: Path) -> bool:
    """Whether a file is a library as it was sealed; one that is not there is not.

    A process that loads one which was cut off is killed by the system (SIGBUS).
    """
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        return False
    return len(sealed) > _DIGEST_SIZE and seal_library(sealed[:-_DIGEST_SIZE]) == sealed


def is_damaged_checkpoint(path: Path) -> bool:
    """Whether a checkpoint in a run's folder is not the one that was sealed; one that is not there is not damaged."""
    try:
        unseal_checkpoint(path.parent.name, path.read_bytes())
    except BrokenSealError:
        return True
    except FileNotFoundError:
        return False
    return False


def _digest(run_id: str, payload: bytes) -> bytes:
    """Over the run's id too, which names its folder: another run's checkpoint is damage as well."""
    return hashlib.sha256(run_id.encode() + payload).digest()
