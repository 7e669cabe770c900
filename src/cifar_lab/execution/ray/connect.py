"""Connection to a Ray cluster at an address, or to a private one on this machine, for this user only."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.extras import outdated_extra, require_extra
from cifar_lab.core.host import available_cores, print_status
from cifar_lab.execution.ray.scratch import Scratch

OLDEST = (2, 54)
"""Earlier versions let a web page that is open in a browser command the cluster (CVE-2025-62593, CVE-2026-27482)."""

LOOPBACK = "127.0.0.1"

STORE_BYTES = 256 * 2**20
"""Object store of a private cluster, for checkpoints in transit. Images are in the common cache."""

CONNECT_SECONDS = 5.0
"""Time for the head of a cluster to answer. Ray itself tries for eight minutes."""

FIXED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "2",
}
"""Environment of Ray: no usage statistics, no FutureWarning, few attempts to reach a head that does not answer."""


class Connection:
    """Connection of the driver, at most one per process."""

    def __init__(self, address: str | None) -> None:
        """Connect to the cluster at `address` (`auto`, HOST:PORT), or start a private one if it is None or `local`.

        Raises:
            EnvironmentFault: Ray is missing or too old, or no cluster answers at the address.
        """
        self.private = address in (None, "local")
        for name, value in FIXED.items():
            os.environ.setdefault(name, value)
        if self.private and "ray" not in sys.modules:  # Ray reads this once, at import
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.ray: Any = _import_ray()
        self._scratch = Scratch("cifar-lab-ray-", Path("/tmp")) if self.private else None
        options = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            _silence(self.ray)
            if self._scratch is None:
                _knock(address)
                self.ray.init(address, **options)
            else:
                print_status("starting a Ray cluster on this machine")
                with _loopback_only():
                    self.ray.init("local", **options, **_private_options(self._scratch.path))
        except Exception as error:  # Ray documents no exception classes
            self.close()
            raise EnvironmentFault(_refusal(address, error)) from error

    def nodes(self) -> list[Mapping[str, float]]:
        """Resources of each living node: `CPU`, `GPU`, ..."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def gpus(self) -> int:
        """Number of GPUs of all nodes."""
        return int(sum(node.get("GPU", 0) for node in self.nodes()))

    def close(self) -> None:
        """Disconnect. A private cluster ends."""
        self.ray.shutdown()
        if self._scratch is not None:
            self._scratch.remove()


def _import_ray() -> ModuleType:
    """Import Ray.

    Raises:
        MissingExtraError: it is not installed, or too old.
    """
    require_extra("ray", "--engine ray")
    found = version("ray")
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise outdated_extra(
            "ray", "--engine ray", f"Ray {found} has known security holes, {oldest} or newer is needed"
        )
    import ray

    return ray


def _knock(address: str | None) -> None:
    """Check that HOST:PORT, with or without Ray's prefix, accepts connections. Other addresses are left to Ray.

    Raises:
        OSError: it does not.
    """
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _private_options(folder: Path) -> dict[str, Any]:
    return {
        "num_cpus": available_cores(),
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": LOOPBACK,
        "_temp_dir": str(folder),
    }


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Context in which a started Ray listens on 127.0.0.1 only.

    Its servers listen on every address of the machine unless the node's own address is 127.0.0.1. Except on macOS and
    Windows, Ray replaces that address by the one that other machines reach.
    """
    from ray._private import services

    ask = services.get_node_ip_address
    services.get_node_ip_address = lambda *arguments: LOOPBACK
    try:
        yield
    finally:
        services.get_node_ip_address = ask


def _silence(ray: Any) -> None:
    """Suppress Ray's notices of dead workers on standard output, which no option turns off. The engine reports them."""
    ray._private.worker.print_to_stdstream = lambda *arguments, **options: None


def _refusal(address: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300]
    if address in (None, "local"):
        return f"--engine ray: no cluster could be started on this machine ({type(error).__name__}: {reason})"
    if not isinstance(error, OSError) or type(error) is ConnectionError:  # Ray's ConnectionError: the port is open
        return (
            f"--address {address}: Ray cannot join the cluster at this address ({type(error).__name__}: {reason}); "
            "both need the same Ray, the same Python and the same token (docs/cluster.md)"
        )
    return (
        f"--address {address}: no Ray cluster answers there ({type(error).__name__}: {reason}); "
        "start one with `ray start --head`, or leave out --address to start one on this machine"
    )
