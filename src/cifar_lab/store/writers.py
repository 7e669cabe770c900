"""Shared lock of the commands that write to a results folder. Each run has another lock, with one holder.

The shared lock keeps a folder that commands write to, shows a file system without locks before anything is trained, and
keeps out versions of cifar-lab that write alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cifar_lab.core.atomic_io import make_folder
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import no_follow
from cifar_lab.store.locks import hold, locked_file, name_holder, not_supported

LOCK_NAME = ".writer"

PATIENCE_SECONDS = 0.3
"""Retries of the shared lock, which the last of several commands holds alone for an instant."""

DOCUMENTS_LOCK = ".documents"

DOCUMENTS_PATIENCE_SECONDS = 30.0
"""Wait for the lock on the documents. Each command holds it for less than a second."""


class WriterLock:
    """Lock of a command on a results folder. `look` changes nothing on disk, `take` precedes the first write."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._path = results / LOCK_NAME
        self._file: IO[str] | None = None
        self._made = False
        """Whether the folder was missing."""

    def take(self) -> None:
        """Create the folder if it is missing, and be one of its writers from now on. Does nothing the second time.

        Raises:
            EnvironmentFault: a version of cifar-lab that writes alone holds it. Or the folder cannot be written.
        """
        if self._file is not None:
            return
        self._made = not self._results.exists()
        give_up = time.monotonic() + PATIENCE_SECONDS
        while self._file is None:
            try:
                make_folder(self._results)
                self._file = locked_file(self._path, PATIENCE_SECONDS, self._refusal, fcntl.LOCK_SH)
            except EnvironmentFault as fault:
                # The last command that wrote here may have removed the folder, which it had made.
                is_gone = isinstance(fault.__cause__, FileNotFoundError | FileExistsError)
                if not is_gone or time.monotonic() > give_up:
                    raise
        name_holder(self._file, self._path, f" ({_command()})")

    def look(self) -> None:
        """Check that the folder can be shared.

        Raises:
            EnvironmentFault: as `take`.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        while self._file is None:
            try:
                with open(self._path, encoding="utf-8", errors="replace", opener=no_follow) as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if time.monotonic() > give_up:
                            raise self._refusal(file.read(1000).strip() or "another process") from None
                        time.sleep(0.02)
                        continue
                    except OSError as error:
                        raise not_supported(self._results, error) from error
            except OSError:
                pass  # `take` reports what cannot be written
            return

    def _refusal(self, holder: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"{self._results}: {holder} is using this folder, and its version of cifar-lab writes alone; wait for it, "
            "end it, or choose another folder with --results (`list`, `show` and `report` still work)"
        )

    def release(self) -> None:
        """Release the lock. The last writer removes it, and the results folder that it created if it is empty."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink()
            if self._made:
                self._results.rmdir()
        self._file.close()
        self._file = None


class _OfThread(threading.local):
    """Locks of this thread: a command that makes several batches of runs keeps its lock for all of them."""

    def __init__(self) -> None:
        self.writers: dict[Path, WriterLock] = {}
        self.documents: set[Path] = set()


_HELD = _OfThread()


@contextlib.contextmanager
def writing(results: Path) -> Iterator[WriterLock]:
    """Be one of the writers of a results folder from `take` on. A nested block of the same thread shares the lock.

    Raises:
        EnvironmentFault: as `WriterLock`, now or when it is taken.
    """
    key = results.resolve()
    if (held := _HELD.writers.get(key)) is not None:
        yield held
        return
    lock = WriterLock(results)
    lock.look()
    _HELD.writers[key] = lock
    try:
        yield lock
    finally:
        del _HELD.writers[key]
        lock.release()


@contextlib.contextmanager
def documents_lock(results: Path) -> Iterator[None]:
    """Be the only process that reads and replaces documents beside the runs. Creates the folder if it is missing.

    A nested block of the same thread shares the lock.

    Raises:
        EnvironmentFault: another process holds it for too long, or the folder cannot be written.
    """
    key = results.resolve()
    if key in _HELD.documents:
        yield
        return
    make_folder(results)
    with hold(results / DOCUMENTS_LOCK, DOCUMENTS_PATIENCE_SECONDS):
        _HELD.documents.add(key)
        try:
            yield
        finally:
            _HELD.documents.remove(key)


def _command() -> str:
    """Command line of this process, shortened to 200 characters."""
    program = Path(sys.argv[0]).name
    words = ["cifar-lab" if program == "__main__.py" else program, *sys.argv[1:]]
    text = " ".join(map(shlex.quote, words))
    return text if len(text) <= 200 else text[:199] + "…"
