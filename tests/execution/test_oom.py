from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.execution.local.worker import offer_to_the_oom_killer
from cifar_lab.execution.watchdog import RECENT_SECONDS, OomWatch, oom_kills

V2 = "0::/user.slice/lab\n"
V1 = "9:name=systemd:/\n4:memory,hugetlb:/job\n0::/\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        (V2, {"cg/user.slice/lab/memory.events": "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"}, 3),
        (V2, {"cg/unified/user.slice/lab/memory.events": "oom_kill 5\n", "proc/vmstat": "oom_kill 9\n"}, 5),
        (V1, {"cg/memory/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, 2),
        (V1, {"proc/vmstat": "pgfault 12\noom_kill 7\ndrop_slab 0\n"}, 7),
        ("", {"proc/vmstat": "pgfault 12\n"}, 0),
        ("", {}, 0),
    ],
)
def test_the_counter_of_the_own_group_comes_before_the_machines(
    tmp_path: Path, cgroup: str, files: dict[str, str], count: int
) -> None:
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert oom_kills(tmp_path / "proc", tmp_path / "cg") == count


class Kernel:
    """A counter and a clock that a test moves."""

    def __init__(self) -> None:
        self.kills, self.now = 0, 0.0

    def watch(self) -> OomWatch:
        return OomWatch(lambda: self.kills, lambda: self.now)


def test_each_kill_explains_one_death() -> None:
    kernel = Kernel()
    kernel.kills = 10
    watch = kernel.watch()
    assert not watch.struck()
    kernel.kills = 12
    assert [watch.struck() for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing() -> None:
    kernel = Kernel()
    watch = kernel.watch()
    kernel.kills = 1
    for _ in range(10):
        kernel.now += RECENT_SECONDS / 2
        watch.look()
    assert not watch.struck()


def test_a_kill_counts_though_it_was_looked_at_before_the_death_was_seen() -> None:
    kernel = Kernel()
    watch = kernel.watch()
    for _ in range(10):
        kernel.now += RECENT_SECONDS / 2
        watch.look()
    kernel.kills = 1
    kernel.now += RECENT_SECONDS / 2
    watch.look()
    assert [watch.struck(), watch.struck()] == [True, False]
    kernel.kills = 2
    assert [watch.struck(), watch.struck()] == [True, False]


@pytest.mark.parametrize(("before", "after"), [("0", "500"), ("-900", "-400"), ("800", "1000")])
def test_a_worker_is_taken_before_its_parent(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "oom_score_adj"
    path.write_text(before + "\n")
    offer_to_the_oom_killer(path)
    assert path.read_text() == after
    offer_to_the_oom_killer(tmp_path / "none")
