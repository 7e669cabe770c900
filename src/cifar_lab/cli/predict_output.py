"""Output of `predict`: a line per image, CSV or JSON with every probability, and a figure."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.finished_runs import find_finished, is_run
from cifar_lab.cli.output import Output
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.terminal import say
from cifar_lab.core.text import count, plain
from cifar_lab.data.pictures import Pictures
from cifar_lab.store.results import existing_results

if TYPE_CHECKING:
    from cifar_lab.training.trained.network import TrainedNetwork
    from cifar_lab.training.trained.prediction import DeviceName, Prediction

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")

MOST_DRAWN = 60
"""Images of the figure. The pixels of others are not kept."""

NEXT_LIKELY = 2
"""Further classes of an image in the table."""


@dataclass(frozen=True)
class PredictionRequest:
    """Parsed arguments of the command."""

    runs: Sequence[str]
    sources: Sequence[Path]
    results: Path
    device: DeviceName
    out: Path | None
    as_csv: bool
    as_json: bool

    @classmethod
    def of(
        cls, words: Sequence[str], results: Path, device: DeviceName, out: Path | None, *, as_csv: bool, as_json: bool
    ) -> PredictionRequest:
        """Tell runs from images: the first word is a run, the last an image, and runs stand before images.

        Raises:
            SettingsError: one word alone, options that contradict each other, or a figure that cannot be written.
        """
        existing_results(results)
        if len(words) < 2:
            raise SettingsError(
                f"{words[0]!r} stands alone; give a run and then an image, a folder or a zip file: "
                "cifar-lab predict RUN IMAGE"
            )
        if as_csv and as_json:
            raise SettingsError("--csv and --json contradict each other; keep one of them")
        _check_figure(out)
        middle = words[1:-1]
        first_source = next((i for i, word in enumerate(middle) if _is_source(word, results)), len(middle))
        return cls(
            [words[0], *middle[:first_source]], [*map(Path, middle[first_source:]), Path(words[-1])], results, device,
            out, as_csv, as_json,
        )  # fmt: skip


def print_predictions(request: PredictionRequest) -> bool:
    """Classify the images and print the result. Returns whether some were left out.

    Raises:
        SettingsError: a run that is not found or not finished, or runs with different classes.
        DataError: damaged weights, or images that are missing.
        EnvironmentFault: the figure cannot be written.
    """
    from cifar_lab.training.trained.network import load_trained
    from cifar_lab.training.trained.prediction import classify, place, require_same_classes

    records = [find_finished(name, request.results) for name in dict.fromkeys(request.runs)]
    records = list({record.run_id: record for record in records}.values())
    networks = [load_trained(request.results, record, settings_of(record)) for record in records]
    require_same_classes(networks)
    place(networks, request.device)
    pictures = Pictures(request.sources, {network.side for network in networks})
    predictions: list[Prediction] = []
    for each in classify(networks, pictures):
        if request.out is None or len(predictions) >= MOST_DRAWN:
            each.picture.pixels.clear()
        predictions.append(each)
    if request.as_csv:
        _print_csv(predictions, networks[0].classes)
    else:
        _print_table(request, networks, predictions, pictures)
    for line in pictures.notes.sentences():
        say(f"note: {plain(line)}", sys.stderr)
    for line in _faults(pictures):
        say(f"cifar-lab: {plain(line)}", sys.stderr)
    if request.out is not None and predictions:
        _write_figure(request.out, networks, predictions)
    return bool(pictures.faults.found)


def _faults(pictures: Pictures) -> list[str]:
    """A line per file that was left out."""
    return list(pictures.faults.sentences())


def _is_source(word: str, results: Path) -> bool:
    """Whether a word between the first and the last names images: a path that exists, or no run."""
    return Path(word).exists() or not is_run(word, results)


def _check_figure(out: Path | None) -> None:
    """Refuse a figure of an unknown format, or in a folder that does not exist.

    Raises:
        SettingsError: it is one.
    """
    if out is None:
        return
    if out.suffix.lower() not in FIGURE_SUFFIXES:
        raise SettingsError(f"--out: {out} ends in none of {', '.join(FIGURE_SUFFIXES)}; give such a file")
    if not out.parent.is_dir():
        raise SettingsError(f"--out: no folder {out.parent}; create it, or give another file")


def _table(classes: Sequence[str], predictions: Sequence[Prediction]) -> TextTable:
    others = min(NEXT_LIKELY, len(classes) - 1)
    table = TextTable(
        TableColumn("file"),
        TableColumn("class"),
        TableColumn("probability", right=True, cell=_share),
        *(TableColumn("then" if number == 0 else "", worth=8 - number) for number in range(others)),
    )
    for each in predictions:
        first, *rest = each.order
        then = (f"{classes[index]} {_share(each.probabilities[index])}" for index in rest[:others])
        document = partial(_document, each, classes)
        table.add(each.picture.name, classes[first], each.probabilities[first], *then, document=document)
    return table


def _share(value: float) -> str:
    return f"{value:.3f}"


def _document(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    first, probabilities = prediction.order[0], [float(value) for value in prediction.probabilities]
    return {
        "file": prediction.picture.name,
        "class": classes[first],
        "probability": probabilities[first],
        "probabilities": dict(zip(classes, probabilities, strict=True)),
    }


def _print_table(
    request: PredictionRequest,
    networks: Sequence[TrainedNetwork],
    predictions: Sequence[Prediction],
    pictures: Pictures,
) -> None:
    out = Output("predict", as_json=request.as_json)
    out.value("runs", [network.run_id for network in networks])
    out.value("classes", list(networks[0].classes))
    if predictions or request.as_json:
        out.table(_table(networks[0].classes, predictions), "images")
    out.value("left_out", _faults(pictures))
    out.close()


def _print_csv(predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["file", "class", "probability", *(f"p {name}" for name in classes)])
    for each in predictions:
        first = each.order[0]
        rows.writerow(
            [each.picture.name, classes[first], *map(float, (each.probabilities[first], *each.probabilities))]
        )


def _write_figure(path: Path, networks: Sequence[TrainedNetwork], predictions: Sequence[Prediction]) -> None:
    from PIL import Image

    from cifar_lab.report.charts.predictions import PredictedImage, draw_predictions, texts
    from cifar_lab.report.charts.style import FIGURE_FORMATS, figure_bytes

    first, classes = networks[0], networks[0].classes
    images = [
        PredictedImage(
            each.picture.name,
            Image.fromarray(each.picture.pixels[first.side].transpose(1, 2, 0)),
            classes[top],
            each.probabilities[top],
        )
        for each in predictions[:MOST_DRAWN]
        for top in each.order[:1]
    ]
    title = f"{first.record.label}, seed {first.record.seed}"
    if len(networks) > 1:
        title = f"Mean of {count(len(networks), 'run')}: {', '.join(dict.fromkeys(n.record.label for n in networks))}"
    shown = f"the first {len(images)} of {len(predictions):,} images" if len(predictions) > len(images) else (
        count(len(images), "image")
    )  # fmt: skip
    subtitle = f"Predicted class and its probability, {shown}, at {first.side} × {first.side} pixels."
    figure = draw_predictions(title, subtitle, images)
    kind = next(kind for kind in FIGURE_FORMATS if path.suffix.lower() == f".{kind}")
    write_bytes(path, figure_bytes(figure, kind, texts(title, subtitle, images)))
    say(f"{path}: {shown}", sys.stderr)
