"""Files of a new lab: the nine shipped questions, or one question with a control, its arms and a validation split."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from cifar_lab.config.io.shipped import FOLDER, shipped_folder
from cifar_lab.config.registry import SECTION_CHOICES, label_of
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.files import open_file

MOST_LETTERS = 300
"""Longest question, as in a lab file."""

MODEL_FILE = "model.py"

MODEL = '''\
"""A network to edit. cifar-lab calls `SmallNet(num_classes=…)` and feeds it images of shape (B, 3, 32, 32)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SmallNet(nn.Module):
    """Two convolutions, each with a max pooling, and two linear layers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=5)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=5)
        self.fc1 = nn.Linear(32 * 5 * 5, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.conv1(images)), 2)  # (B, 16, 14, 14)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)  # (B, 32, 5, 5)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))  # (B, num_classes)
'''


@dataclass(frozen=True)
class NewArm:
    """An arm of a new lab: its label, and the one line of settings that makes it differ."""

    label: str
    line: str
    """YAML of the factor, such as `optimizer: {name: adam}`. Empty: the default."""

    @property
    def file(self) -> str:
        """Name of its settings file."""
        return f"{re.sub(r'[^a-z0-9]+', '_', self.label.lower()).strip('_')}.yaml"


@dataclass(frozen=True)
class NewQuestion:
    """A question of a new lab."""

    title: str
    factor: str
    control: NewArm
    arms: tuple[NewArm, ...]
    note: str = ""
    """Comment of the arm's file, where the question named no setting."""


KEYWORDS: Sequence[tuple[str, str, tuple[str, str], tuple[str, str]]] = (
    (r"batch.?norm", "model", ("Net", "model: {name: Net}"), ("Net1 (BatchNorm)", "model: {name: Net1}")),
    (r"kaiming", "model", ("Net", "model: {name: Net}"), ("Net2 (Kaiming)", "model: {name: Net2}")),
    (r"flip|mirror", "data.flip", ("no flip", ""), ("flip", "data: {flip: true}")),
    (r"crop", "data.crop_padding", ("no crop", ""), ("crop", "data: {crop_padding: 4}")),
    (r"smooth", "loss.label_smoothing", ("no smoothing", ""), ("smoothing 0.1", "loss: {label_smoothing: 0.1}")),
    (r"decay", "optimizer.weight_decay", ("no decay", ""), ("decay 0.0005", "optimizer: {weight_decay: 0.0005}")),
    (r"momentum", "optimizer.momentum", ("momentum 0.9", ""), ("momentum 0", "optimizer: {momentum: 0.0}")),
    (r"warm", "scheduler", ("no warm-up", ""), ("warm-up", "scheduler: {warmup_epochs: 2}")),
    (r"batch", "data.batch_size", ("batch 64", ""), ("batch 128", "data: {batch_size: 128}")),
    (r"epoch|longer", "epochs", ("10 epochs", ""), ("20 epochs", "epochs: 20")),
    (r"", "optimizer.lr", ("lr 0.001", ""), ("lr 0.003", "optimizer: {lr: 0.003}")),
)
"""(words of a question, factor, control, arm). The first that fits counts, the last fits all."""

ANY_QUESTION = (
    "The question names no known setting. Write here the settings in which this arm differs from the control."
)


def nine_questions(data: str) -> dict[str, str]:
    """Text of each file of the shipped lab, on the images `data`.

    Raises:
        SettingsError: the shipped files are missing.
    """
    folder = shipped_folder()
    if folder is None:
        raise SettingsError("init: the settings files that ship with cifar-lab are missing; install it again")
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    texts = {name: text.replace(f"{FOLDER}/", "") for name, text in texts.items()}
    texts["baseline.yaml"] = texts["baseline.yaml"].replace("  dataset: cifar10\n", _data_lines(data))
    return texts


def one_question(title: str, data: str, *, with_model: bool) -> dict[str, str]:
    """Text of each file of a lab with one question.

    Args:
        with_model: also write `model.py`, and use its network in all arms, or in the arm where no other factor is
            named.

    Raises:
        SettingsError: an empty or too long question.
    """
    title = " ".join(title.split())
    if not title or len(title) > MOST_LETTERS:
        raise SettingsError(f"--question: write a question of 1 to {MOST_LETTERS} letters, such as 'Adam or SGD?'")
    question = understood(title)
    if with_model and (question.note or question.factor == "model"):
        own = NewArm("SmallNet", _own_model())
        question = NewQuestion(title, "model", NewArm("Net", "model: {name: Net}"), (own,))
    shared = [] if question.factor == "model" else [_own_model() if with_model else "model: {name: Net}"]
    texts = {"lab.yaml": _lab_text(question), question.control.file: _control_text(question, data, shared)}
    texts |= {arm.file: _arm_text(question, arm) for arm in question.arms}
    return texts | ({MODEL_FILE: MODEL} if with_model else {})


def understood(title: str) -> NewQuestion:
    """The question with the arms that its words name: optimizers, schedules, models or one of `KEYWORDS`."""
    words = re.findall(r"[a-z0-9]+", title.lower().replace("one-cycle", "onecycle").replace("one cycle", "onecycle"))
    for section in ("optimizer", "scheduler", "model"):
        key, classes = SECTION_CHOICES[section]
        default = next(iter(classes))
        names = {name.lower().replace("_", ""): name for name in classes if name != "none"}
        named = [names[word] for word in dict.fromkeys(words) if word in names]
        others = [name for name in named if name != default]
        if others:
            control = default if default in named or len(others) == 1 else others.pop()
            arms = tuple(_choice_arm(section, key, name) for name in others)
            return NewQuestion(title, section, _choice_arm(section, key, control), arms)
    for pattern, factor, control_words, arm_words in KEYWORDS:
        if re.search(pattern, title.lower()):
            note = "" if pattern or re.search(r"learning.?rate|\blr\b", title.lower()) else ANY_QUESTION
            return NewQuestion(title, factor, NewArm(*control_words), (NewArm(*arm_words),), note)
    raise AssertionError("the last pattern fits every question")


def _choice_arm(section: str, key: str, name: str) -> NewArm:
    label = "constant rate" if name == "none" else label_of(section, name)
    return NewArm(label, f"{section}: {{{key}: {name}}}")


def _own_model() -> str:
    return f'model: {{name: "{MODEL_FILE}:SmallNet"}}'


# --- texts ------------------------------------------------------------------------------------------------------------


def _lab_text(question: NewQuestion) -> str:
    arms = ", ".join(arm.file for arm in question.arms)
    return f"""\
# The question of this lab. Train its arms: cifar-lab run --question q1; then read the answer: cifar-lab report

title: {_quoted(question.title)}
control: {question.control.file}
min_effect: 0.3          # percentage points of test accuracy: smaller differences do not matter
questions:
  q1:
    title: {_quoted(question.title)}
    arms: [{arms}]
    factor: [{question.factor}]
    chart: q1.png
"""


def _control_text(question: NewQuestion, data: str, shared: Sequence[str]) -> str:
    lines = {"optimizer": "optimizer: {name: sgd, lr: 0.001}", "epochs": "epochs: 10"}
    control = question.control.line
    if question.factor == "optimizer":
        lines["optimizer"] = control.replace("}", ", lr: 0.001}")
    stated = [*shared, lines["optimizer"], *([control] if control and question.factor != "optimizer" else [])]
    body = "\n".join([*stated, lines["epochs"]])
    return f"""\
# The control, which the other arms are compared with.

label: {_quoted(question.control.label)}
data:
{_data_lines(data)}  batch_size: 64
  val_size: {_val_size(data)}          # training images set aside to watch a run; the test split is read once
{body}
seeds: [0, 1, 2]         # a verdict needs at least three
"""


def _arm_text(question: NewQuestion, arm: NewArm) -> str:
    note = f"# {question.note}\n\n" if question.note else ""
    return f"""\
{note}extends: {question.control.file}
label: {_quoted(arm.label)}
{arm.line}
"""


def _data_lines(data: str) -> str:
    """Lines of the data section that choose the images: a data set's name, or the path of a folder or zip file."""
    if data == "synthetic":
        return "  dataset: synthetic\n  train_size: 4000\n  test_size: 1000\n"
    if data in SECTION_CHOICES["data"][1] and data != "imagefolder":
        return f"  dataset: {data}\n"
    return f"  dataset: imagefolder\n  root: {_quoted(str(Path(data).expanduser().absolute()))}\n"


def _val_size(data: str) -> int:
    known = {"synthetic": 500, "cifar10": 5000, "cifar100": 5000}
    return known[data] if data in known else max(1, min(5000, _train_images(Path(data).expanduser()) // 10))


def _train_images(path: Path) -> int:
    """Files below a folder called `train`, of a folder or a zip file."""
    if path.is_dir():
        names = [found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()]
    else:
        try:
            with open_file(path) as file, ZipFile(file) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
        except (OSError, BadZipFile) as error:
            raise SettingsError(f"--data: {path} is neither a folder nor a zip file; name one of these") from error
    return sum("train" in name.split("/")[:-1] for name in names)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def file_texts(question: str | None, data: str, *, with_model: bool) -> Mapping[str, str]:
    """Name and text of each file of a new lab.

    Raises:
        SettingsError: as `nine_questions` and `one_question`, a path without images, or a model file without a
            question.
    """
    if data not in SECTION_CHOICES["data"][1] and not Path(data).expanduser().exists():
        names = ", ".join(name for name in SECTION_CHOICES["data"][1] if name != "imagefolder")
        raise SettingsError(f"--data: no folder or zip file {data}; name one, or one of {names}")
    if question is None and with_model:
        raise SettingsError("--model: needs a question; add --question 'Is my network better than Net?'")
    return nine_questions(data) if question is None else one_question(question, data, with_model=with_model)
