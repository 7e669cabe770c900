"""A laboratory for tests: small runs on synthetic images in a folder of their own, made here or by the real command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

# One thread a run, whatever else the machine does meanwhile: how sums are rounded hangs on it.
os.environ["OMP_NUM_THREADS"] = "1"
# Records do not depend on whether this checkout has uncommitted changes.
os.environ["CIFAR_LAB_GIT_DIFF"] = "0"

import cifar_lab
from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.io.load import dump_settings, settings_from
from cifar_lab.core.host import available_cores
from cifar_lab.execution.plan import plan_runs
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, read_records
from cifar_lab.training.events import Event
from cifar_lab.training.job import Job

from .progress_lines import PROGRESS
from .work_units import MOST_PROCESSES, LoadFilesAndGroups, longest_first

PATIENCE_SECONDS = 60
"""A command that takes longer is killed, and its test fails."""

SHARED_ZIP = Path(__file__).parents[2] / "shared" / "data" / "cifar10-jpeg.zip"

SOURCE = Path(cifar_lab.__file__).parents[1]

SMALL = {
    "data": {"dataset": "synthetic", "train_size": 230, "test_size": 110, "batch_size": 32},
    "epochs": 3,
    "seeds": [0],
    "runtime": {"device": "cpu", "checkpoint_seconds": 0},
}
"""230 images leave a last batch of 6."""


def pytest_xdist_auto_num_workers() -> int | None:
    """Processes of `-n auto`."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else min(available_cores(), MOST_PROCESSES)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFilesAndGroups:
    return LoadFilesAndGroups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # a process of `-n`
        items[:] = longest_first(items)


@pytest.fixture(scope="session", autouse=True)
def session_images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Cache folder of all tests and of fixtures of any scope. No test reads or writes the cache of its user."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_LAB_CACHE", str(folder))
        yield folder


@dataclass
class Command:
    """A `python -m cifar_lab` under way, in a session of its own."""

    process: subprocess.Popen[str]
    results: Any
    """File with its standard output."""
    heard: list[str] = field(default_factory=list)
    """Lines of its standard error so far."""
    _read: int = 0
    _printed: str = ""
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.heard.append(line)
                self._news.notify_all()

    def wait_for(self, text: str) -> str:
        """The next line on standard error that holds `text`."""
        with self._news:
            while True:
                for line in self.heard[self._read :]:
                    self._read += 1
                    if text in line:
                        return line
                if not self._listener.is_alive():
                    raise AssertionError(f"{text!r} was not said: {self.output}")
                self._news.wait(0.1)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._listener.join(PATIENCE_SECONDS)
        return code

    @property
    def output(self) -> str:
        """All that it printed: progress, errors and results."""
        if not self.results.closed:
            self.results.seek(0)
            self._printed = str(self.results.read().decode())
        return "".join(self.heard) + self._printed

    def said_on_stderr(self) -> str:
        """Its errors and notes."""
        return "".join(line for line in list(self.heard) if not PROGRESS.match(line))

    def workers(self) -> list[int]:
        """Process ids of its children."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@dataclass
class Laboratory:
    """A folder with settings files and results."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def settings(self, *overrides: str) -> Settings:
        """Small settings, changed as `--set` would."""
        return settings_from(SMALL, overrides=overrides)

    def file(self, name: str, *overrides: str) -> Path:
        """Those settings as a file."""
        path = self.folder / f"{name}.yaml"
        path.write_text(dump_settings(self.settings(f"label={name}", *overrides)), encoding="utf-8")
        return path

    def job(self, settings: Settings, *, seed: int = 0, results: str = "results", read_test: bool = True) -> Job:
        """The job of one run of `settings`, on one thread."""
        data.prepare(settings.data)
        (self.folder / results).mkdir(exist_ok=True)
        arm = settings.model_copy(update={"seeds": (seed,)})
        (planned,) = plan_runs([arm], self.folder / results, read_test=read_test)
        return replace(planned.job, threads=1)

    def make(
        self,
        job: Job,
        tell: Callable[[Event], None] = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Record:
        """Make the run in this process."""
        from cifar_lab.training.run import make_run

        return make_run(job, tell, should_stop)

    def run_folder(self, job: Job) -> RunFolder:
        return RunFolder(job.results, job.run_id)

    def weights(self, job: Job) -> dict[str, np.ndarray]:
        """Weights that a finished run left."""
        found: dict[str, np.ndarray] = load_file(self.run_folder(job).weights)
        return found

    def assert_weights_close(self, ours: Job, expected: Job) -> None:
        """Check that the weights of two runs agree but for rounding."""
        found = self.weights(ours)
        for name, tensor in self.weights(expected).items():
            np.testing.assert_allclose(found[name], tensor, rtol=2e-3, atol=2e-4, err_msg=name)

    def records(self) -> list[Record]:
        return read_records(self.results)

    @contextlib.contextmanager
    def start(self, *arguments: str | Path) -> Iterator[Command]:
        """`cifar-lab ARGUMENTS` in the folder; killed with all its children when the block is left."""
        with tempfile.TemporaryFile() as results:
            process = subprocess.Popen(
                [sys.executable, "-m", "cifar_lab", *map(str, arguments)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=results,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            )
            command = Command(process, results)
            patience = threading.Timer(PATIENCE_SECONDS, process.kill)
            patience.start()
            try:
                yield command
            finally:
                patience.cancel()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(PATIENCE_SECONDS)
                command.end()
                assert command.output is not None  # read before the file is closed
                assert process.stderr is not None
                process.stderr.close()

    def command(self, *arguments: str | Path) -> tuple[int, str, str]:
        """(exit code, progress and results, errors and notes) of `cifar-lab ARGUMENTS`."""
        with self.start(*arguments) as command:
            code = command.end()
            said = command.said_on_stderr().splitlines(keepends=True)
            return (
                code,
                "".join(each for each in command.output.splitlines(keepends=True) if each not in said),
                "".join(said),
            )


@pytest.fixture
def jpeg_zip() -> Path:
    """CIFAR-10 as a zip of JPEG files; without it a test is skipped, and in CI it fails."""
    path = Path(os.environ.get("CIFAR_LAB_JPEG_ZIP") or SHARED_ZIP)
    if not path.is_file():
        missing = f"{path}: no zip of CIFAR-10 images; set CIFAR_LAB_JPEG_ZIP to one"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, session_images: Path) -> Iterator[Laboratory]:
    """A laboratory for all tests of a module: what takes long is made there once, and read by each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_LAB_CACHE", str(session_images))
        yield Laboratory(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    return Laboratory(tmp_path)
