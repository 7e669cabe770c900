"""Signal handling: the first signal stops after the epoch, the second at once.

SIGUSR1 announces the time limit of a cluster job (`sbatch --signal`). It stops after the epoch, however often it comes.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

TERM_SECONDS = 8.0
"""Time for the epoch to end after SIGTERM. Service managers kill after 10 s or more."""


ANNOUNCED = "SIGUSR1 announced the end of the job"
"""Reason for a stop by SIGUSR1."""


class StopRequests:
    """Context manager that handles SIGINT, SIGTERM, SIGHUP and SIGUSR1. Outside the main thread it handles none.

    SIGHUP, from a closed terminal, counts as SIGTERM unless it is ignored (nohup).
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """First signal, SIGTERM in place of SIGHUP. None before a signal."""
        self.why: str | None = None
        """Reason for a stop that the program requested itself."""
        self._deadline = float("inf")
        self._stop: Callable[[], object] = lambda: None
        self._kill: Callable[[], object] = lambda: None
        self._before: dict[int, object] = {}

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested."""
        return self.signum is not None or self.why is not None

    def on_stop(self, action: Callable[[], object]) -> None:
        """Set the action of the first signal."""
        self._stop = action

    def on_kill(self, action: Callable[[], object]) -> None:
        """Set the action of the second signal and of the deadline."""
        self._kill = action

    def stop(self, why: str) -> None:
        """Stop without a signal. A later signal still counts as the first one."""
        if not self.stopping:
            self.why = why
            self._stop()

    def enforce_deadline(self) -> None:
        """Kill once TERM_SECONDS have passed since SIGTERM. Called from the polling loop."""
        if time.monotonic() > self._deadline:
            self._kill()

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._handle)
            self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda signum, frame: self.stop(ANNOUNCED))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._kill()
            return
        self.signum = signal.SIGTERM if signum == signal.SIGHUP else signum
        if self.signum == signal.SIGTERM:
            self._deadline = time.monotonic() + TERM_SECONDS
        self._stop()
