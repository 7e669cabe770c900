"""Memory of the looks at a results folder: which runs were judged for which two arms, and at which level. No torch.

A look is a verdict that was shown. `analysis.error_budget` has the rules, this module the files. Two copies of one
sealed document are kept, `looks.json` and `.looks.json`, so that one that is missing or damaged is noticed and
replaced by the other:

    {"schema": 1,
     "pairs": [{"fingerprint": …,              images of the runs
                "arms": [key, key],            the two arms by `recipe_key`, sorted: labels and questions do not count
                "plans": [{"name": …,          plan of interim analyses in stopping/<name>.json
                           "seeds": [8, 12],   its analyses that this pair had still to come, in seeds
                           "alpha": 0.01}],    level of the test at each of them
                "looks": [{"runs": {run id: test accuracy},   of both arms
                           "seeds": 5,         runs of the smaller arm
                           "alpha": 0.03,      level of the test
                           "planned": null,    number of seeds of the planned analysis that this look is
                           "made": …}]}],      UTC, ISO 8601
     "sha256": …}

Looks of a pair are in the order in which they were made. The same runs with the same accuracies are one look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX, set_aside, write_bytes
from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.locks import hold
from cifar_lab.store.record_files import read_sealed

LOOKS_SCHEMA = 1
"""Version of looks.json. A file of a newer schema is refused by name."""

LOOKS_PATIENCE_SECONDS = 10.0
"""Wait for the lock on the looks. Each report holds it for less than a second."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, serialize_by_alias=True)


class PlannedLooks(_Document):
    """Interim analyses of a pair that a plan has set aside a part of the error rate for."""

    name: str
    """Name of the plan in `stopping/`."""
    seeds: tuple[int, ...]
    """Numbers of seeds at the analyses."""
    alpha: float = Field(ge=0, le=1)
    """Level of the test at each of them."""


class PastLook(_Document):
    """A verdict on a pair that was shown."""

    runs: dict[str, float]
    """Test accuracy by run id, of both arms."""
    seeds: int
    """Runs of the smaller arm."""
    alpha: float = Field(ge=0, le=1)
    """Level of the test."""
    planned: int | None = None
    """Number of seeds of the planned analysis that it is. None for a look outside a plan."""
    made: str
    """UTC, ISO 8601."""


class PairLooks(_Document):
    """Looks at two arms on one data set."""

    fingerprint: str
    arms: tuple[str, str]
    """Both `recipe_key`s, sorted."""
    plans: tuple[PlannedLooks, ...] = ()
    looks: tuple[PastLook, ...] = ()

    def at(self, runs: Mapping[str, float]) -> int | None:
        """Index of the look at exactly these runs. None for runs that were not looked at together."""
        return next((index for index, look in enumerate(self.looks) if look.runs == runs), None)


class LookBook(_Document):
    """All looks of a results folder."""

    schema_: int = Field(LOOKS_SCHEMA, alias="schema")
    pairs: tuple[PairLooks, ...] = ()

    def pair(self, fingerprint: str, arm: str, other: str) -> PairLooks:
        """Looks at two arms, in either order. Without looks for a pair that is new."""
        arms = (min(arm, other), max(arm, other))
        found = (pair for pair in self.pairs if (pair.fingerprint, pair.arms) == (fingerprint, arms))
        return next(found, PairLooks(fingerprint=fingerprint, arms=arms))

    def with_pair(self, pair: PairLooks) -> LookBook:
        """The book with this pair in place of the one of the same arms and images."""
        others = [each for each in self.pairs if (each.fingerprint, each.arms) != (pair.fingerprint, pair.arms)]
        ordered = sorted([*others, pair], key=lambda each: (each.fingerprint, each.arms))
        return self.model_copy(update={"pairs": tuple(ordered)})


class DamagedLooksError(DataError):
    """A copy of the looks with a wrong checksum or content."""


@dataclass(frozen=True)
class FoundLooks:
    """Looks of a results folder as its copies have them."""

    book: LookBook
    faults: tuple[str, ...] = ()
    """Copies that are missing, damaged or different, each with the consequence."""
    is_lost: bool = False
    """Whether the folder had looks and no copy can be read. Nothing may then be judged as a first look."""


def looks_files(results: Path) -> tuple[Path, Path]:
    """Both copies of the looks."""
    return results / "looks.json", results / ".looks.json"


def read_look_book(path: Path) -> LookBook:
    """One copy of the looks.

    Raises:
        FileNotFoundError: the file is missing.
        DamagedLooksError: it is damaged.
        DataError: it cannot be read, or is of a newer version of cifar-lab.
    """
    damaged = DamagedLooksError(f"{path}: is damaged")
    content, is_sealed = read_sealed(path, lambda *_: damaged)
    try:
        book = LookBook.model_validate_json(content)
    except ValidationError as error:
        raise damaged from error
    if book.schema_ > LOOKS_SCHEMA:
        raise DataError(
            f"{path}: is of schema {book.schema_}, this cifar-lab reads up to {LOOKS_SCHEMA}; install a newer cifar-lab"
        )
    if not is_sealed:
        raise damaged
    return book


def find_looks(results: Path) -> FoundLooks:
    """All looks that either copy has. Empty for a folder that no look was made at."""
    books: dict[Path, LookBook] = {}
    faults: dict[Path, str] = {}
    missing: list[Path] = []
    for path in looks_files(results):
        try:
            books[path] = read_look_book(path)
        except FileNotFoundError:
            missing.append(path)
        except DataError as fault:
            faults[path] = str(fault)
    if not books:
        return _unreadable(results, list(faults.values()))
    faults |= {path: f"{path}: is missing" for path in missing}
    if len({book.model_dump_json() for book in books.values()}) > 1:
        return FoundLooks(_union(list(books.values())), (f"{' and '.join(map(str, books))}: differ; both are counted",))
    (book, *_), (copy, *_) = books.values(), books
    return FoundLooks(book, tuple(f"{fault}; its copy {copy} is used" for fault in faults.values()))


def _unreadable(results: Path, faults: Sequence[str]) -> FoundLooks:
    """Looks of a folder without a readable copy: lost, or never made."""
    first, second = looks_files(results)
    set_aside = [path.with_name(path.name + DAMAGED_SUFFIX) for path in (first, second)]
    there = [path for path in set_aside if path.exists()]
    if not faults and not there:
        return FoundLooks(LookBook())
    lost = faults or [f"{path}: has the earlier looks" for path in there]
    remedy = (
        f"no verdict is given without the earlier looks; restore {first} from a backup, or delete it, {second} and "
        f"their {DAMAGED_SUFFIX} files to count looks from now on"
    )
    return FoundLooks(LookBook(), (*lost[:-1], f"{lost[-1]}; {remedy}"), is_lost=True)


def save_looks(results: Path, book: LookBook) -> None:
    """Write both copies, after a damaged one is set aside. Hold `looks_lock` from before the looks were read.

    Raises:
        DataError: a copy is of a newer version of cifar-lab.
        EnvironmentFault: they cannot be written.
    """
    content = seal_record(book.model_dump_json(indent=1))
    for path in looks_files(results):
        with contextlib.suppress(FileNotFoundError):
            _set_aside_damaged(path)
        write_bytes(path, content)


def _set_aside_damaged(path: Path) -> None:
    try:
        read_look_book(path)
    except DamagedLooksError:
        set_aside(path)


def verify_looks(results: Path) -> tuple[int, list[str]]:
    """(copies of the looks that were read, a line per damaged or missing one). The other copy replaces it.

    Raises:
        EnvironmentFault: a damaged copy cannot be renamed or replaced.
    """
    whole: list[Path] = []
    faults: dict[Path, str] = {}
    for path in looks_files(results):
        try:
            read_look_book(path)
            whole.append(path)
        except FileNotFoundError:
            faults[path] = f"{path}: is missing"
        except DamagedLooksError as fault:
            faults[path] = f"{fault}; set aside as {set_aside(path).name}"
        except DataError as fault:
            faults[path] = str(fault)
    if whole and faults:
        with looks_lock(results):
            save_looks(results, find_looks(results).book)
        return len(whole), [f"{fault}; written again from {whole[0]}" for fault in faults.values()]
    if all(fault.endswith("is missing") for fault in faults.values()):
        return len(whole), []
    return 0, [f"{fault}; restore it from a copy; until then there is no verdict" for fault in faults.values()]


@contextlib.contextmanager
def looks_lock(results: Path) -> Iterator[None]:
    """Be the only process that adds looks. Runs may be made meanwhile.

    Raises:
        EnvironmentFault: another process holds it for too long, or the folder cannot be written.
    """
    with hold(results / ".looks", patience=LOOKS_PATIENCE_SECONDS):
        yield


def _union(books: Sequence[LookBook]) -> LookBook:
    """Every look and plan of the copies. They differ where a process was killed between the two."""
    first, *others = books
    for pair in chain.from_iterable(book.pairs for book in others):
        ours = first.pair(pair.fingerprint, *pair.arms)
        long, short = sorted((ours, pair), key=lambda each: len(each.looks), reverse=True)
        looks = [look for look in short.looks if long.at(look.runs) is None]
        plans = [plan for plan in short.plans if plan not in long.plans]
        first = first.with_pair(
            long.model_copy(update={"looks": (*long.looks, *looks), "plans": (*long.plans, *plans)})
        )
    return first
