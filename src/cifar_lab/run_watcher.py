"""What happens at each epoch's end of a run: the checkpoint is saved, the parent is told, a wish to stop is heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cifar_lab import checkpoint
from cifar_lab.errors import Interrupted
from cifar_lab.machine import utc_now
from cifar_lab.records import Environment
from cifar_lab.results import RunFolder
from cifar_lab.train import Cohort, Member

Tell = Callable[[dict[str, Any]], None]


class RunWatcher:
    """Keeps a cohort of one resumable and reports how it goes."""

    def __init__(
        self,
        folder: RunFolder,
        cohort: Cohort,
        environment: Environment,
        epochs: int,
        tell: Tell,
        should_stop: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.cohort = cohort
        self.environment = environment
        self.epochs = epochs
        self.tell = tell
        self.should_stop = should_stop
        self.started = utc_now()

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Tell the parent where in the epoch the run is."""
        self.tell({"event": "step", "epoch": epoch, "step": step, "steps": steps, "loss": loss, "accuracy": accuracy})

    def epoch(self, members: Sequence[Member]) -> None:
        """Save everything that the next epoch needs; then stop if that is wished.

        Raises:
            Interrupted: the parent asked to stop and there is more to train.
        """
        (member,) = members
        if member.diverged:
            return
        checkpoint.save(
            self.folder.checkpoint,
            {
                "cohort": self.cohort.state(),
                "history": [line.model_dump() for line in member.history],
                "environment": self.environment.model_dump(),
                "started": self.started,
            },
        )
        self.folder.write_metrics(member.history)
        last = member.history[-1]
        self.tell({"event": "epoch", **last.model_dump()})
        if self.should_stop() and last.epoch < self.epochs:
            raise Interrupted(f"stopped after epoch {last.epoch}, which is kept")
