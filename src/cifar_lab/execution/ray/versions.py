"""What must be the same on every machine for a run to have the same numbers on each. No torch."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cifar_lab

PACKAGES = ("torch", "torchvision", "numpy")


@cache
def versions() -> dict[str, str]:
    """Name → version, of Python, of the libraries that compute, and of this package with a hash of its sources."""
    found = {"python": platform.python_version(), "cifar-lab": f"{cifar_lab.__version__} ({_sources()[:8]})"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def differences(here: dict[str, str], there: dict[str, str]) -> str:
    """What is of another version there, in words; empty where nothing is."""
    names = [name for name in here if there.get(name) != here[name]]
    return ", ".join(f"{name} {there.get(name, 'missing')} instead of {here[name]}" for name in names)


def _sources() -> str:
    """SHA-256 over the package's Python files: two checkouts of one version may differ."""
    folder, digest = Path(cifar_lab.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
