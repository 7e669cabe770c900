"""Answers to text: report.md for people, summary.csv for spreadsheets. No time, no machine: same runs, same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from cifar_lab.report.answers import Answer
from cifar_lab.report.datachoice import SHORT, DataSet, count_runs
from cifar_lab.report.questions import Lab
from cifar_lab.report.summary import FEW_RUNS, Difference, Row, difference
from cifar_lab.safe_text import code_span, csv_cell, markdown

_HOW_TO_READ = """\
Each question compares arms with one control, the first row of its table. A run is one training with one seed; *n* is
the number of runs. Accuracies are those of the test split, in percent; *mean* and *std* are the mean and the sample
standard deviation over runs. The same seed means the same initial weights, data order and augmentation in every arm
where that is possible, so *vs control* is the mean over the shared seeds of arm minus control, in percentage points
(pp); where those are not all runs of both, their number is said. *s a run* is the training time of one run in seconds,
with all workers of its command side by side. With fewer than three runs an arm's mean says little."""

CSV_COLUMNS = (
    "question", "title", "arm", "is_control", "data_set", "data_fingerprint", "n", "mean_accuracy", "std_accuracy",
    "difference_pp", "difference_pairs", "seeds", "accuracies", "diverged_seeds", "missing_seeds",
    "search_val_accuracy", "train_seconds_mean", "epochs", "parameters",
)  # fmt: skip
"""Columns of summary.csv. Accuracies are shares from 0 to 1; lists are separated by spaces."""


def markdown_page(lab: Lab) -> str:
    """report.md."""
    parts = [f"# {markdown(lab.title)}", _HOW_TO_READ, "## Data", *_data(lab)]
    for answer in lab.answers:
        parts += [f"## {markdown(answer.name)}: {markdown(answer.question.title)}", *_section(answer)]
    return "\n\n".join(parts) + "\n"


def csv_page(lab: Lab) -> str:
    """summary.csv: a line an arm and question."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for answer in lab.answers:
        for row in answer.rows:
            writer.writerow([csv_cell(cell) for cell in _csv_cells(answer, row)])
    return buffer.getvalue()


def _csv_cells(answer: Answer, row: Row) -> list[str | float | int | None]:
    gap = difference(row, answer.control)
    return [
        answer.name, answer.question.title, row.label, "yes" if row.is_control else "no", row.data, row.fingerprint,
        row.n, row.mean, row.std, gap.points if gap else None, gap.pairs if gap else None,
        " ".join(str(seed) for seed, _ in row.values), " ".join(repr(value) for _, value in row.values),
        " ".join(str(seed) for seed, _ in row.diverged), " ".join(map(str, row.missing_seeds)),
        row.val_mean if answer.sweep else None, row.seconds, row.epochs, row.parameters,
    ]  # fmt: skip


def _data(lab: Lab) -> Iterator[str]:
    yield from _images(lab)
    if lab.faults or lab.notes:
        yield "Left out, since a record or a sweep's winners cannot be used:"
        yield "\n".join(f"- {markdown(each)}" for each in (*lab.faults, *lab.notes))


def _images(lab: Lab) -> Iterator[str]:
    if lab.data is None:
        yield "No runs yet: give the commands below."
        return
    data = lab.data
    yield (
        f"**{markdown(data.title)}**: {data.train_size:,} training and {data.test_size:,} test images in "
        f"{data.classes} classes, so chance is {100 * data.chance:.3g} %. Fingerprint `{data.fingerprint[:SHORT]}`."
    )
    times = "once" if lab.test_reads == 1 else f"{lab.test_reads:,} times"
    yield f"The test set was read {times} for these runs, once for each tested run on these images in this folder."
    if lab.data_note:
        yield markdown(lab.data_note)
    if data.is_synthetic:
        yield "These images are **made up, to try the tool**. Nothing here says anything about real images."
    if lab.other_data:
        others = ", ".join(
            f"{markdown(each.title)} ({count_runs(each.runs)}: {_choice(each, lab)})" for each in lab.other_data
        )
        yield f"Left out, since numbers of several data sets are never mixed: {others}."


def _choice(data: DataSet, lab: Lab) -> str:
    """The command that shows another data set: by name where the name says which."""
    every = [each.name for each in (lab.data, *lab.other_data) if each is not None]
    name = data.name if every.count(data.name) == 1 else data.fingerprint[:SHORT]
    return code_span(f"{lab.command} --data {name}")


def _section(answer: Answer) -> Iterator[str]:
    yield f"![{markdown(answer.question.title)}]({answer.question.chart})"
    if answer.sentences:
        yield "\n".join(f"- {markdown(each)}" for each in answer.sentences)
    yield _table(answer)
    if caution := _caution(answer):
        yield caution
    if answer.question.note:
        yield f"Note: {markdown(answer.question.note)}"
    for note in answer.notes:
        yield markdown(note)
    diverged = [(row, seed, reason) for row in answer.rows for seed, reason in row.diverged]
    if diverged:
        yield "\n".join(
            f"- {markdown(row.label)}, seed {seed}, diverged: {markdown(why)}" for row, seed, why in diverged
        )
    if answer.to_sweep:
        yield f"{answer.unswept.capitalize()}."
    if answer.commands:
        yield "Runs still to make:"
        yield "\n".join(f"- {code_span(command)}" for command in answer.commands)


def _table(answer: Answer) -> str:
    searched = answer.sweep is not None
    head = ["arm", "n", "mean %", "std", "vs control", *(["search %"] if searched else []), "each seed", "s a run",
            "epochs", "parameters"]  # fmt: skip
    lines = [head, ["---:" if name not in ("arm", "each seed") else "---" for name in head]]
    for row in answer.rows:
        gap = difference(row, answer.control)
        cells = [
            markdown(row.label) + (" (control)" if row.is_control else ""),
            str(row.n),
            "no runs yet" if row.is_missing else _number(row.mean and 100 * row.mean, 2),
            _number(row.std and 100 * row.std, 2) if row.std != 0 else "0.00",
            _gap_words(gap),
            *([_number(row.val_mean and 100 * row.val_mean, 2)] if searched else []),
            _each_seed(row),
            _number(row.seconds, 1),
            "" if row.epochs is None else str(row.epochs),
            "" if row.parameters is None else f"{row.parameters:,}",
        ]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _gap_words(gap: Difference | None) -> str:
    if gap is None:
        return ""
    return f"{gap.points:+.2f} pp" + (f" ({gap.words})" if gap.words else "")


def _each_seed(row: Row) -> str:
    cells = [f"{seed}: {100 * value:.2f}" for seed, value in row.values]
    cells += [f"{seed}: diverged" for seed, _ in row.diverged]
    cells += [f"{seed}: to run" for seed in row.missing_seeds]
    return ", ".join(cells)


def _caution(answer: Answer) -> str:
    few = [row for row in answer.rows if 0 < row.n < FEW_RUNS]
    if not few:
        return ""
    named = ", ".join(f"{markdown(row.label)} ({count_runs(row.n)})" for row in few)
    return f"**Caution:** too few runs to tell a difference from chance: {named}."


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
