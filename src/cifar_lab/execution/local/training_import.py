"""Import of torch and the training code in a thread of a worker, while its main thread locks runs and reads images."""

from __future__ import annotations

import gc
import threading


class TrainingImport:
    """The import, which begins once. Until `wait` has returned, the main thread imports nothing that needs torch.

    Two threads that import modules of one cycle would see them half initialised.
    """

    def __init__(self) -> None:
        self.is_done = False
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Start the import, unless it was started before."""
        if self._thread is None:
            gc.disable()
            self._thread = threading.Thread(target=self._import, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the import. Its objects are permanent, so the garbage collector need not scan them.

        Raises:
            Exception: the import failed.
        """
        assert self._thread is not None
        self._thread.join()
        gc.freeze()
        gc.enable()
        if self._error is not None:
            raise self._error
        self.is_done = True

    def _import(self) -> None:
        try:
            import cifar_lab.training.concurrent  # noqa: F401
        except BaseException as error:
            self._error = error
