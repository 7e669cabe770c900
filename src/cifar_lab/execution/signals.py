"""Ctrl-C, SIGTERM and SIGHUP while runs are under way: once is a wish to stop well, twice is now."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

TERM_SECONDS = 8.0
"""After SIGTERM the epoch may go on this long; service managers kill after 10 s or more."""


class StopRequests:
    """Counts SIGINT, SIGTERM and SIGHUP while it is entered; outside the main thread it hears none.

    A terminal that is closed (SIGHUP) is as a service manager's SIGTERM, unless it was to be ignored (nohup).
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The first signal; SIGTERM for SIGHUP. None where there was none."""
        self.why: str | None = None
        """Why the program itself stops, in a few words."""
        self._deadline = float("inf")
        self._stop: Callable[[], object] = lambda: None
        self._kill: Callable[[], object] = lambda: None
        self._before: dict[int, object] = {}

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self.signum is not None or self.why is not None

    def on_stop(self, action: Callable[[], object]) -> None:
        """What the first signal does."""
        self._stop = action

    def on_kill(self, action: Callable[[], object]) -> None:
        """What the second signal, or the end of patience, does."""
        self._kill = action

    def stop(self, why: str) -> None:
        """Stop well without a signal; a signal that comes afterwards is a first one."""
        if not self.stopping:
            self.why = why
            self._stop()

    def enforce_deadline(self) -> None:
        """Lose patience when SIGTERM's time is up; called from the waiting loop."""
        if time.monotonic() > self._deadline:
            self._kill()

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._kill()
            return
        self.signum = signal.SIGTERM if signum == signal.SIGHUP else signum
        if self.signum == signal.SIGTERM:
            self._deadline = time.monotonic() + TERM_SECONDS
        self._stop()
