"""The tutorial's loop at its best: how many loader workers make it fastest here."""

from __future__ import annotations

from benchmarks.options import REFERENCE, Options

MOST_WORKERS = 16


def best_workers(options: Options, batch_size: int, *, model: str = "Net") -> int:
    """Measured once for each benchmark, model and batch size, and kept in its book."""
    book, key = options.harness.book, f"{model}, batch {batch_size}"
    known = book.get("loader_workers") or {}
    if key not in known:
        rates = {}
        for workers in counts(options.cores):
            given = ["--model", model, "--batch-size", batch_size, "--workers", workers]
            rates[str(workers)] = options.peer(REFERENCE, *given)().value
        told = ", ".join(f"{workers}: {rate:.0f}" for workers, rate in rates.items())
        options.say(f"tutorial's loop, {key}: images/s by loader workers: {told}")
        known[key] = rates
        book.add(loader_workers=known)
    rates = known[key]
    return int(max(rates, key=lambda workers: rates[workers]))


def counts(cores: int) -> list[int]:
    """Worker counts to try: none, and powers of two to twice the cores."""
    most = min(MOST_WORKERS, 2 * cores)
    return [0, *(2**power for power in range(most.bit_length()) if 2**power <= most)]
