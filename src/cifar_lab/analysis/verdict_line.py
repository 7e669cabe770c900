"""The answer to a question in one short sentence, without its evidence, for the first line that a reader sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cifar_lab.analysis.answers import VERDICT_MARKS, Answer, Comparison, Verdict
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import count

Entry = tuple[Row, Comparison]


@dataclass(frozen=True)
class VerdictLine:
    """Sentence on all arms of a question, with the sign of its first clause."""

    verdict: Verdict
    sentence: str

    @property
    def mark(self) -> str:
        """Sign of the verdict."""
        return VERDICT_MARKS[self.verdict]


def verdict_line(answer: Answer) -> VerdictLine:
    """The answer in one sentence: a clause per verdict, the clear ones first. For a sweep, its winner alone."""
    entries = _entries(answer)
    if answer.sweep is not None and not answer.tuned:
        entries = entries[:1]
    groups: dict[Verdict, list[Entry]] = {verdict: [] for verdict in VERDICT_MARKS}
    for row, found in entries:
        groups[found.verdict].append((row, found))
    clauses: list[str] = []
    for verdict in ("better", "worse", "equivalent", "undecided"):
        if groups[verdict]:
            clauses.append(_clause(verdict, groups[verdict], answer, is_first=not clauses))
    clauses += _without_verdict(groups["no verdict"], is_first=not clauses)
    first: Verdict = next((verdict for verdict, found in groups.items() if found), "no verdict")
    sentence = "; ".join(clauses) + "." if clauses else f"{_unanswered(answer)}."
    if answer.tuned and entries:
        is_word = sentence.startswith(("Undecided", "No "))
        return VerdictLine(
            first, f"{_tuned_words(answer)}: {sentence[:1].lower() if is_word else sentence[:1]}{sentence[1:]}"
        )
    if answer.sweep is not None and entries:
        name = entries[0][0].label
        if answer.sweep.points > 1 and sentence.startswith(f"{name} "):
            verdict_words = sentence.removeprefix(name).strip().removesuffix(".")
            sentence = f"The best of {answer.sweep.points:,} points {verdict_words}: {name}."
    return VerdictLine(first, sentence[:1].upper() + sentence[1:] if not clauses else sentence)


def pair_lines(others: Sequence[Answer]) -> Iterator[str]:
    """Sentences on the groups beside the control: pairs with a verdict, then the number of the others."""
    decided: Sequence[Verdict] = ("better", "worse", "equivalent")
    pairs = [found for answer in others for found in answer.comparisons if found.difference is not None]
    for answer in others:
        kept = [(row, found) for row, found in _entries(answer) if found.verdict in decided]
        if kept:
            rows, comparisons = zip(*kept, strict=True)
            yield verdict_line(replace(answer, rows=(answer.control, *rows), comparisons=comparisons)).sentence
    left = sum(found.verdict not in decided for found in pairs)
    if left and left == len(pairs):
        yield f"No verdict on the {count(left, 'pair')} of other arms."
    elif left:
        yield f"Of the {len(pairs)} pairs of other arms, {left} {'has' if left == 1 else 'have'} no verdict."


def _entries(answer: Answer) -> list[Entry]:
    return list(zip(answer.rows[1:], answer.comparisons, strict=False))


def _unanswered(answer: Answer) -> str:
    """Reason why no two arms are compared."""
    if answer.to_sweep:
        return answer.unswept
    return answer.control.missing_words if all(row.is_missing for row in answer.rows) else "not compared"


def _tuned_words(answer: Answer) -> str:
    tries = {group.points for group in answer.tuned}
    return f"Each at the best of {tries.pop():,} points" if len(tries) == 1 else "Each at its best point"


def _clause(verdict: Verdict, entries: Sequence[Entry], answer: Answer, *, is_first: bool) -> str:
    """`Adam is better than SGD by 10.3 pp`, or `flip is undecided` after another clause."""
    control = answer.control.label
    be = "is" if len(entries) == 1 else "are"
    if verdict in ("better", "worse"):
        than = f" than {control}" if is_first else ""
        if len(entries) == 1:
            row, found = entries[0]
            return f"{row.label} is {verdict}{than} by {_size(found)}"
        return f"{_joined(f'{row.label} ({_difference(found)})' for row, found in entries)} {be} {verdict}{than}"
    names = _joined(row.label for row, _ in entries)
    if verdict == "equivalent":
        same = all(row.is_same_runs(answer.control) for row, _ in entries)
        to = f" to {control}" if is_first else ""
        return f"{names} {be} {'the same runs as ' + control if same else f'equivalent{to}'}"
    return f"{'Undecided: ' if is_first else ''}{_undecided(entries, control, is_first)}"


def _undecided(entries: Sequence[Entry], control: str, is_first: bool) -> str:
    if not is_first:
        return f"{_joined(row.label for row, _ in entries)} {'is' if len(entries) == 1 else 'are'} undecided"
    said = []
    for index, (row, found) in enumerate(entries):
        side = "above" if (found.difference or 0.0) > 0 else "below"
        said.append(f"{row.label} is {_size(found)} {side}{f' {control}' if index == 0 else ''}")
    return _joined(said)


def _without_verdict(entries: Sequence[Entry], *, is_first: bool) -> list[str]:
    """Clauses on arms with a withheld verdict, with the runs of the control, too few runs, and no accuracy."""
    measured = [(row, found) for row, found in entries if found.difference is not None]
    known = [(row, found) for row, found in measured if not row.withheld]
    few = [(row, found) for row, found in known if min(found.n, found.n_control) < FEWEST_SEEDS]
    same = [(row, found) for row, found in known if min(found.n, found.n_control) >= FEWEST_SEEDS]
    clauses = _withheld([(row, found) for row, found in measured if row.withheld], is_first)
    if same:
        names = _joined(row.label for row, _ in same)
        clauses.append(f"{names} and {same[0][1].control} are the same runs")
    if few:
        names = _joined(f"{row.label} ({_difference(found)})" for row, found in few)
        have = "has" if len(few) == 1 else "have"
        clauses.append(
            f"{'No verdict yet: ' if is_first and not clauses else ''}{names} {have} fewer than {FEWEST_SEEDS} seeds"
        )
    return clauses + _without_accuracy([row for row, found in entries if found.difference is None])


def _withheld(entries: Sequence[Entry], is_first: bool) -> list[str]:
    if not entries:
        return []
    names = _joined(f"{row.label} ({_difference(found)})" for row, found in entries)
    return [f"{'No' if is_first else 'no'} verdict on {names}, because of {entries[0][0].withheld}"]


def _without_accuracy(rows: Sequence[Row]) -> list[str]:
    lost, missing = [row.label for row in rows if row.diverged], [row.label for row in rows if row.is_missing]
    clauses = [f"{_joined(lost)} diverged"] if lost else []
    if not missing:
        return clauses
    is_one = len(missing) == 1
    if rows[0].is_attacked:
        return [*clauses, f"{_joined(missing)} {'is' if is_one else 'are'} not attacked yet"]
    return [*clauses, f"{_joined(missing)} {'has' if is_one else 'have'} no runs yet"]


def _size(found: Comparison) -> str:
    return _difference(found).lstrip("+−")


def _difference(found: Comparison) -> str:
    """`+10.3 pp`, with two decimals below one point, or `−0.091 L2`."""
    return found.scale.brief(found.difference or 0.0)


def _joined(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(parts)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
