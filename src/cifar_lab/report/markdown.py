"""Answers to text: report.md for people, summary.csv for spreadsheets. No time, no machine: same runs, same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from cifar_lab.analysis.answers import VERDICT_MARKS, Answer
from cifar_lab.analysis.data_choice import SHORT, DataSet, count_runs
from cifar_lab.analysis.questions import Lab
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import code_span, csv_cell, markdown, plain
from cifar_lab.report.columns import difference_cell, mean_words, p_words

_HOW_TO_READ = """\
Each question compares arms with one control, the first row of its table. A run is one training with one seed; *n* is
the number of tested runs. Accuracies are those of the test split, in percent; *mean* has its 95 % t interval over runs,
*std* is the sample standard deviation. The same seed means the same initial weights, data order and augmentation in
every arm where that is possible, so *vs control*, in percentage points (pp), is taken seed by seed where both have the
seed (paired t), else between means (Welch); its interval is that of this comparison alone. *p* is adjusted by Holm over
all comparisons of this report, and the verdict follows it. *s a run* is the training time of one run in seconds, with
all workers of its command side by side. Below three runs there is no verdict."""

CSV_COLUMNS = (
    "question", "title", "arm", "is_control", "data_set", "data_fingerprint", "n", "mean_accuracy", "std_accuracy",
    "difference_pp", "difference_pairs", "seeds", "accuracies", "diverged_seeds", "missing_seeds",
    "search_val_accuracy", "train_seconds_mean", "epochs", "parameters", "mean_low", "mean_high", "difference_low_pp",
    "difference_high_pp", "method", "verdict", "p", "p_holm", "run_ids",
)  # fmt: skip
"""Columns of summary.csv. Accuracies are shares from 0 to 1; intervals are at 95 %; lists are separated by spaces."""


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
    found = answer.comparison(row)
    low, high = row.interval or (None, None)
    compared: list[str | float | int | None] = [None] * 6
    if found is not None:
        compared = [found.low, found.high, found.method, found.verdict, found.p, found.p_holm]
    return [
        answer.name, answer.question.title, row.label, "yes" if row.is_control else "no", row.data, row.fingerprint,
        row.n, row.mean, row.std, found.points if found else None, len(found.seeds) if found else None,
        " ".join(str(seed) for seed, _ in row.values), " ".join(repr(value) for _, value in row.values),
        " ".join(str(seed) for seed, _ in row.diverged), " ".join(map(str, row.missing_seeds)),
        row.val_mean if answer.sweep else None, row.seconds, row.epochs, row.parameters, low, high, *compared,
        " ".join(row.run_ids),
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
    if answer.sentences:
        yield "\n".join(f"- {markdown(each)}" for each in answer.sentences)
    said = " ".join(plain(each) for each in answer.sentences) or answer.question.title
    yield f"![{markdown(said)}]({answer.question.chart})"
    yield _table(answer)
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
    head = ["arm", "n", "mean %", "std", "vs control", "verdict", "p", *(["search %"] if searched else []), "each seed",
            "s a run", "epochs", "parameters"]  # fmt: skip
    lines = [head, ["---:" if name not in ("arm", "verdict", "each seed") else "---" for name in head]]
    for row in answer.rows:
        found = answer.comparison(row)
        cells = [
            markdown(row.label) + (" (control)" if row.is_control else ""),
            str(row.n),
            mean_words(row),
            "" if row.std is None else f"{100 * row.std:.2f}",
            difference_cell(found),
            "" if found is None else f"{VERDICT_MARKS[found.verdict]} {found.verdict}",
            "" if found is None else p_words(found.p_holm),
            *([_number(row.val_mean and 100 * row.val_mean, 2)] if searched else []),
            _each_seed(row),
            _number(row.seconds, 1),
            "" if row.epochs is None else str(row.epochs),
            "" if row.parameters is None else f"{row.parameters:,}",
        ]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _each_seed(row: Row) -> str:
    cells = [f"{seed}: {100 * value:.2f}" for seed, value in row.values]
    cells += [f"{seed}: diverged" for seed, _ in row.diverged]
    cells += [f"{seed}: no score" for seed in row.without_score]
    cells += [f"{seed}: to run" for seed in row.missing_seeds]
    return ", ".join(cells)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
