"""Runs on a real Ray cluster of two nodes: the results of one machine, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from cifar_lab.engines import here
from cifar_lab.engines.cluster.engine import RayEngine
from cifar_lab.engines.policy import Policy
from cifar_lab.engines.tasks import make_tasks
from cifar_lab.plan import Job
from cifar_lab.records import Record
from cifar_lab.results import RunFolder


@pytest.fixture
def engine(two_nodes: Any) -> Iterator[RayEngine]:
    engine = RayEngine(two_nodes.address)
    yield engine
    engine.close()


class Heard(list[tuple[int, dict[str, Any]]]):
    """Events with the seeds of their runs; others can wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def __call__(self, job: Job, event: dict[str, Any]) -> None:
        with self.changed:
            self.append((job.seed, event))
            self.changed.notify_all()

    def of(self, kind: str) -> list[tuple[int, dict[str, Any]]]:
        return [(seed, event) for seed, event in self if event["event"] == kind]


def jobs_of(lab: Any, results: str, seeds: Sequence[int], *overrides: str) -> list[Job]:
    settings = lab.settings("data.val_size=30", *overrides)
    return [lab.job(settings, seed=seed, results=results) for seed in seeds]


def test_lost(lab: Any, engine: Any, two_nodes: Any) -> None:
    ours = jobs_of(lab, "ray", range(4), "data.batch_size=4", "epochs=8")
    heard = Heard()
    out=[]
    t0=time.time()
    class H(Heard):
        def __call__(self, job, event):
            print(round(time.time()-t0,2), job.seed, {k:v for k,v in event.items() if k in("event","epoch","reason","status")})
            super().__call__(job,event)
    heard=H()
    t=threading.Thread(target=lambda: out.extend(engine.execute(make_tasks(ours, 0), None, heard, Policy())))
    t.start()
    with heard.changed:
        heard.changed.wait_for(lambda: {s for s,e in heard.of("epoch")}=={0,1}, 60)
    two_nodes.lose_second()
    print(time.time()-t0, "LOST")
    t.join()
    print([(o.status,o.reason) for o in out])
