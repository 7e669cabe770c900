"""Download of one file over https: to a temporary name, checked against its SHA-256, then renamed."""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from cifar_lab.core.atomic_io import new_file, rename
from cifar_lab.core.errors import EnvironmentFault

CONNECT_SECONDS = 8.0
"""Timeout from the request to the first byte of the answer: name resolution, connection, redirects."""
STALL_SECONDS = 8.0
"""Longest pause within a transfer."""
ABANDONED_SECONDS = 3600.0
"""Age at which a partial file belongs to a killed process. A live transfer ends after `STALL_SECONDS` of silence."""
SCHEMES = ("https",)
"""Accepted URL schemes, for the address and every redirect."""

_BLOCK_BYTES = 1 << 18


class NotFetched(Exception):
    """The file could not be fetched. The message is the reason, in words."""


def sha256_of(file: IO[bytes]) -> str:
    """SHA-256 of a file opened for reading, from its start, as 64 hex digits. Leaves it at its start."""
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return found


def fetch(
    url: str,
    path: Path,
    sha256: str,
    progress: Callable[[str, int, int], object],
    way_out: str = "choose another folder",
) -> None:
    """Fetch the file of that SHA-256 to `path`, which never holds a part of it.

    Args:
        progress: called with a description, the bytes so far and the total bytes (0: unknown).
        way_out: advice for a folder that cannot be written.

    Raises:
        NotFetched: no connection in `CONNECT_SECONDS`, an answer other than the file, a transfer that breaks or pauses
            for `STALL_SECONDS`, or bytes of another SHA-256.
        EnvironmentFault: the folder cannot be written.
    """
    with _open(url) as response:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                _transfer(response, temporary, sha256, lambda *done: progress(f"downloading {path.name}", *done))
                rename(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise EnvironmentFault(
                f"{path.parent}: {error.strerror or error}; free some space there and check the permissions, "
                f"or {way_out}"
            ) from error


def _transfer(
    response: http.client.HTTPResponse, path: Path, sha256: str, progress: Callable[[int, int], object]
) -> None:
    digest = hashlib.sha256()
    done, total = 0, int(response.headers.get("Content-Length") or 0)
    with new_file(path) as file:
        while block := _read(response, done, total):
            file.write(block)
            digest.update(block)
            done += len(block)
            progress(done, total)
    if done < total:
        raise NotFetched(f"the transfer ended after {done:,} of {total:,} bytes")
    if digest.hexdigest() != sha256:
        raise NotFetched(f"the downloaded file has SHA-256 {digest.hexdigest()}, expected {sha256}")


def _sweep(path: Path) -> None:
    """Remove partial files of killed processes."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
            part.unlink(missing_ok=True)


def _open(url: str) -> http.client.HTTPResponse:
    """Response to a GET, within `CONNECT_SECONDS` in all.

    In a thread, because name resolution ignores socket timeouts and may take half a minute.
    """
    outcome: list[http.client.HTTPResponse | Exception] = []
    too_late = threading.Event()

    def ask() -> None:
        try:
            opener = urllib.request.build_opener(_OnlyAllowedSchemes)
            request = urllib.request.Request(url, headers={"User-Agent": "cifar-lab"})
            _require_scheme(url)
            answer = opener.open(request, timeout=min(CONNECT_SECONDS, STALL_SECONDS))
            outcome.append(answer)
            if too_late.is_set():
                answer.close()
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not outcome:
        too_late.set()
        raise NotFetched(f"no answer within {CONNECT_SECONDS:g} s")
    answer = outcome[0]
    if isinstance(answer, NotFetched):
        raise answer
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise NotFetched(f"the server answered {answer.code} {answer.reason}") from answer
    if isinstance(answer, TimeoutError):
        raise NotFetched(f"no answer within {CONNECT_SECONDS:g} s") from answer
    if isinstance(answer, Exception):
        raise NotFetched(f"no connection ({getattr(answer, 'reason', answer)})") from answer
    return answer


def _read(response: http.client.HTTPResponse, done: int, total: int) -> bytes:
    """The next bytes. Network errors become NotFetched, so that OSError means the disk."""
    try:
        return response.read1(_BLOCK_BYTES)
    except TimeoutError as error:
        raise NotFetched(f"the transfer stalled for {STALL_SECONDS:g} s after {done:,} of {total:,} bytes") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(f"the transfer broke after {done:,} of {total:,} bytes ({error})") from error


class _OnlyAllowedSchemes(urllib.request.HTTPRedirectHandler):
    """Follow redirects to allowed schemes only, never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _require_scheme(newurl)
        except NotFetched:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_scheme(url: str) -> None:
    if url.partition(":")[0].lower() not in SCHEMES:
        raise NotFetched(f"refused to download {url}: only {' or '.join(SCHEMES)} is accepted")
