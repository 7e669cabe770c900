from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from cifar_lab.execution.signals import StopRequests


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers are those of before. SIGHUP has its own action, which it has not where tests run under nohup."""
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    assert {signum: signal.getsignal(signum) for signum in before} == before
    signal.signal(signal.SIGHUP, hangup)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ("first", "counts_as"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)],
)
def test_the_first_signal_stops_and_the_second_kills(first: signal.Signals, counts_as: signal.Signals) -> None:
    did: list[str] = []
    with StopRequests() as requests:
        requests.on_stop(lambda: did.append("stop"))
        requests.on_kill(lambda: did.append("kill"))
        assert not requests.stopping
        send(first)
        assert (requests.stopping, requests.signum, did) == (True, counts_as, ["stop"])
        send(signal.SIGINT)
    assert (requests.signum, did) == (counts_as, ["stop", "kill"])


def test_an_announced_limit_stops_once_and_never_kills() -> None:
    did: list[str] = []
    with StopRequests() as requests:
        requests.on_stop(lambda: did.append("stop"))
        requests.on_kill(lambda: did.append("kill"))
        for _ in range(3):
            send(signal.SIGUSR1)
        requests.enforce_deadline()
        assert (requests.why, requests.signum, did) == ("SIGUSR1 announced the end of the job", None, ["stop"])


def test_a_hangup_that_is_to_be_ignored_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequests() as requests:
            send(signal.SIGHUP)
            assert not requests.stopping
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stop_of_its_own_is_said_once_and_a_signal_after_it_is_the_first() -> None:
    did: list[str] = []
    with StopRequests() as requests:
        requests.on_stop(lambda: did.append("stop"))
        requests.on_kill(lambda: did.append("kill"))
        for _ in range(3):
            requests.stop("the time limit is reached")
        assert (requests.why, requests.signum, did) == ("the time limit is reached", None, ["stop"])
        send(signal.SIGINT)
        assert (requests.signum, did) == (signal.SIGINT, ["stop", "stop"])
        requests.stop("2 runs have failed")
        assert requests.why == "the time limit is reached"
