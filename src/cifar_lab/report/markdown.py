"""report.md and summary.csv. They hold no time and no machine, so that the same runs give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.data_choice import SHORT, DataSet
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.sentences import answer_sentences, pair_sentences
from cifar_lab.core.text import code_span, count, csv_cell, markdown, plain
from cifar_lab.report.columns import ReportRow, columns_of, headers_of

_HOW_TO_READ = """\
- Each question compares arms with one control, the first arm of its table.
- A run is one training with one seed. *n* is the number of tested runs.
- Accuracies are those of the test split, in percent. *mean* has its 95 % t interval over runs, and *std* is the sample
  standard deviation.
- The same seed gives the same initial weights, data order and augmentation in every arm where that is possible. So *vs
  control*, in percentage points (pp), is the mean difference seed by seed where both arms have the seed (paired t),
  else the difference of the means (Welch).
- The interval of a difference holds for this comparison alone. Its level is 97 % at the first look, and higher at later
  looks.
- *p* is adjusted for the other looks, and by Holm over all comparisons of this report. The verdict follows *p*. Below
  three runs there is no verdict.
- *s/run* is the training time of one run in seconds, while all workers of its command ran side by side."""

_DISTANCES = """\
- A distance is the length (L2) of the smallest change of an image that DeepFool finds to change its class, with pixels
  from 0 to 1. Larger is more robust. Distances and their differences are in L2, never in percent."""


def markdown_page(lab: Lab) -> str:
    """Text of report.md."""
    how = [_HOW_TO_READ, *([_DISTANCES] if lab.has_distances else [])]
    parts = [f"# {markdown(lab.title)}", "\n".join(how), "## Data", *_data(lab)]
    for answer in lab.shown:
        parts += [
            f"## {markdown(answer.name)}: {markdown(answer.question.title)}",
            *_section(answer, lab.pairs_of(answer)),
        ]
    if lab.unanswered:
        names = ", ".join(map(_open_words, lab.unanswered))
        parts += ["## Not answered yet", f"{names}.", *_commands(lab.to_run)]
    return "\n\n".join(parts) + "\n"


def _open_words(answer: Answer) -> str:
    unswept = f"; {answer.unswept}" if answer.to_sweep else ""
    return f"{markdown(answer.name)} ({markdown(answer.question.title)}{unswept})"


def csv_page(lab: Lab) -> str:
    """Text of summary.csv: a line per arm and question.

    Accuracies are shares from 0 to 1. Intervals of means are at 95 %, those of differences at `difference_level`. Lists
    are separated by spaces.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = columns_of("csv")
    writer.writerow(headers_of("csv"))
    for answer in lab.answers:
        for entry in (ReportRow(row, answer) for row in answer.rows):
            writer.writerow([csv_cell(column.cell("csv", entry)) for column in columns])
    return buffer.getvalue()


def _data(lab: Lab) -> Iterator[str]:
    yield from _images(lab)
    if lab.faults or lab.notes:
        yield "Left out, because a record or a sweep's winners cannot be used:"
        yield "\n".join(f"- {markdown(each)}" for each in (*lab.faults, *lab.notes))


def _images(lab: Lab) -> Iterator[str]:
    if lab.data is None:
        yield "No runs yet: run the commands below."
        return
    data = lab.data
    yield (
        f"**{markdown(data.title)}**: {data.train_size:,} training and {data.test_size:,} test images in "
        f"{data.classes} classes, so chance is {100 * data.chance:.3g} %. Fingerprint `{data.fingerprint[:SHORT]}`."
    )
    times = "once" if lab.test_reads == 1 else f"{lab.test_reads:,} times"
    attacked = f", and {lab.attack_reads:,} of them for attacks" if lab.attack_reads else ""
    yield (
        f"The test set was read {times} for these runs, once for each tested run on these images in this folder"
        f"{attacked}."
    )
    for note in (lab.data_note, *lab.notices):
        if note:
            yield markdown(note)
    if data.is_synthetic:
        yield "These images are **synthetic, for trying the tool**. The results say nothing about real images."
    if lab.other_data:
        others = ", ".join(
            f"{markdown(each.title)} ({count(each.runs, 'run')}: {_choice(each, lab)})" for each in lab.other_data
        )
        yield f"Left out, because results on different data sets are never mixed: {others}."


def _choice(data: DataSet, lab: Lab) -> str:
    """Command that reports on another data set, by its name where only one has it."""
    every = [each.name for each in (lab.data, *lab.other_data) if each is not None]
    name = data.name if every.count(data.name) == 1 else data.fingerprint[:SHORT]
    return code_span(f"{lab.command} --data {name}")


def _section(answer: Answer, others: Sequence[Answer]) -> Iterator[str]:
    sentences = answer_sentences(answer)
    if sentences:
        yield "\n".join(f"- {markdown(each)}" for each in sentences)
    said = " ".join(map(plain, sentences)) or answer.question.title
    yield f"![{markdown(said)}]({answer.question.chart})"
    if answer.is_robust:
        yield f"Compared: {markdown(answer.quantity)}."
    yield _table(answer)
    pairs = pair_sentences(others)
    if pairs:
        yield "The other arms with each other:"
        yield "\n".join(f"- {markdown(each)}" for each in pairs)
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
    yield from _commands(answer.commands)


def _commands(commands: Sequence[str]) -> Iterator[str]:
    if commands:
        yield "Missing runs:"
        yield "\n".join(f"- {code_span(command)}" for command in commands)


def _table(answer: Answer) -> str:
    columns = columns_of("md", answer)
    lines = [headers_of("md", answer), ["---" if column.is_text else "---:" for column in columns]]
    entries = [ReportRow(row, answer) for row in answer.rows]
    lines += [[str(column.cell("md", entry)) for column in columns] for entry in entries]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
