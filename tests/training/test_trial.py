"""Trial of a custom model: every way in which one breaks is told, and what works passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import SettingsError
from cifar_lab.training.events import ModelBuilt
from cifar_lab.training.trial import try_model

HEAD = """
import os
import torch
from torch import nn
{top}

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        {init}

    def forward(self, images):
        images = images.flatten(1)
        {forward}
        return self.last(images)
"""

Try = Callable[..., ModelBuilt]


def source(*, top: str = "", init: str = "pass", forward: str = "pass") -> str:
    return HEAD.format(top=top, init=init, forward=forward)


@pytest.fixture
def try_it(tmp_path: Path) -> Try:
    """Trial of a model with this source on 17 images of 10 classes."""

    def make(text: str, batch_size: int = 8, **model: object) -> ModelBuilt:
        (tmp_path / "net.py").write_text(text)
        values = {
            "model": {"name": f"{tmp_path}/net.py:Net", **model},
            "data": {"dataset": "synthetic", "train_size": 17, "batch_size": batch_size},
            "runtime": {"device": "cpu"},
        }
        return try_model(settings_from(values), 10, 17)

    return make


def refusal(try_it: Try, text: str, **options: object) -> str:
    with pytest.raises(SettingsError) as caught:
        try_it(text, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BROKEN = {
    "syntax": (source(init="pass pass"), "cannot be imported: SyntaxError"),
    "import": (source(top="import no_such_lab"), "No module named 'no_such_lab'"),
    "late import": (source(forward="import no_such_lab"), "No module named 'no_such_lab'"),
    "shape": (source(forward="images = images[:, :5]"), "shapes cannot be multiplied"),
    "shape of a fixed batch": (
        source(forward="images = images if self.training else images.view(2, 3072)"), "evaluation of 3 images fails"
    ),
    "logits": (source(init="self.last = nn.Linear(3072, 9)"), r"gives \(2, 9\) .* instead of \(2, 10\)"),
    "logits in training": (source(forward="if self.training: return images"), r"returns \(4, 3072\) in training mode"),
    "dtype": (source(init="self.double()", forward="images = images.double()"), "must be torch.float32"),
    "step": (source(forward="images = images.detach().numpy() if self.training else images"), "numpy"),
    "no gradient": (source(forward="if self.training: return self.last(images).detach()"), "does not require grad"),
    "in place": (source(forward="self.last.weight.add_(1)"), "leaf Variable|in-place"),
    "no parameters": (source(init="self.requires_grad_(False)"), "has no trainable parameters"),
    "tuple": (
        source(init="self.early = nn.Linear(3072, num_classes)",
               forward="if self.training: return self.last(images), self.early(images)"),
        r"returns a tuple in training mode; return the logits alone, or set model.aux_weights=\[0.3\]",
    ),
    "dataclass": (
        source(top="import dataclasses\n@dataclasses.dataclass\nclass Out:\n    logits: object\n    early: object",
               forward="if self.training: return Out(self.last(images), self.last(images))"),
        r"returns a Out in training mode; return the logits alone, or set model.aux_weights=\[0.3\]",
    ),
    "dictionary always": (
        source(forward="return {'early': self.last(images), 'logits': self.last(images)}"),
        r"gives a dict .*; return the logits alone, or set model.aux_weights=\[0.3\], the loss weights of the others",
    ),
    "no logits": (source(forward="if self.training: return None"), "returns a NoneType in training mode; return the "),
    "late unfreezing": (
        source(init="self.early = nn.Linear(3072, 3072).requires_grad_(False); self.passes = 0",
               forward="self.passes += 1; self.early.requires_grad_(self.passes > 2); images = self.early(images)"),
        "its forward unfreezes early.bias, which no optimizer has; set its requires_grad in the constructor",
    ),
    "exit": (source(init="raise SystemExit(3)"), "could not be created: SystemExit: 3"),
    "memory": (source(forward="torch.empty(10**15)"), "memory"),
    "chance of the machine": (
        source(forward="images = images * (1 + os.urandom(1)[0])"), "two trainings with the same seed differ"
    ),
    "first weights of the machine": (
        source(init="self.last.bias.data.fill_(float(int.from_bytes(os.urandom(3))))"),
        "two models of the same seed differ in last.bias",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_model_that_breaks_is_told(fault: str, try_it: Try) -> None:
    text, words = BROKEN[fault]
    with pytest.raises(SettingsError, match=words):
        try_it(text)


def test_a_lone_last_image(try_it: Try) -> None:
    text = source(init="self.norm = nn.BatchNorm1d(3072)", forward="images = self.norm(images)")
    assert "data.batch_size: 8 leaves one of 17 images for the last batch, on which BatchNorm in " in refusal(
        try_it, text
    )
    assert try_it(text, batch_size=5).parameters == 3072 * 12 + 10
    assert try_it(source()).parameters == 30_730


def test_a_trial_uses_images_of_the_size_of_the_settings(try_it: Try, tmp_path: Path) -> None:
    text = source().replace("3072", "768")  # 16 × 16 pixels
    assert try_it(text, input_size=16).parameters == 7_690
    data = {"dataset": "imagefolder", "root": str(tmp_path), "image_size": 16, "batch_size": 8}
    values = {"model": {"name": f"{tmp_path}/net.py:Net"}, "data": data, "runtime": {"device": "cpu"}}
    assert try_model(settings_from(values), 10, 17).parameters == 7_690
    assert "(2, 3, 32, 32)" in refusal(try_it, text)


def test_auxiliary_outputs_have_a_weight_each(try_it: Try) -> None:
    text = BROKEN["tuple"][0]
    assert try_it(text, aux_weights=[0.3]).resumable
    assert "model.aux_weights: 2 weights for 1 auxiliary output of " in refusal(try_it, text, aux_weights=[0.3, 0.1])


def test_files_that_the_id_does_not_cover_are_named(tmp_path: Path, try_it: Try) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "hidden_part.py").write_text("")
    text = source(top=f"import sys; sys.path.append({str(tmp_path / 'elsewhere')!r}); __import__('hidden' + '_part')")
    assert "hidden_part.py, which the run id does not cover; move it beside the model" in refusal(try_it, text)


@pytest.mark.parametrize(("by", "library"), [("torch.manual_seed", "torch"), ("np.random.seed", "NumPy"),
                                             ("random.seed", "Python")])  # fmt: skip
def test_a_seed_in_the_code_is_said(by: str, library: str, try_it: Try) -> None:
    (note,) = try_it(source(top="import random\nimport numpy as np", init=f"{by}(1)")).notes.splitlines()
    assert f"net.py:Net sets the seed of {library} itself, so its first weights may be the same for every seed" in note
    assert try_it(source()).notes == ""


def test_state_that_no_checkpoint_keeps_is_noticed(try_it: Try) -> None:
    kept = source(init="self.steps = 0", forward="self.steps += 1; images = images * self.steps")
    assert try_it(kept).resumable
    built = try_it(source(init="self.steps = iter(range(1, 1000))", forward="images = images * next(self.steps)"))
    assert not built.resumable
    assert (
        "net.py:Net has state that a checkpoint cannot keep: an interrupted run of it starts again from epoch 1"
        in built.notes
    )


def test_probabilities_are_no_logits(try_it: Try) -> None:
    text = source().replace("return self.last(images)", "return torch.softmax(self.last(images), dim=1)")
    assert "returns probabilities and not logits; the loss applies softmax itself, so remove" in try_it(text).notes
    assert try_it(text.replace("softmax", "log_softmax")).notes == ""


def test_defaults_of_the_process_are_those_before_for_the_next_model(
    try_it: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for change in ("torch.set_default_dtype(torch.float64)", "torch.set_grad_enabled(False)"):
        refusal(try_it, source(top=change))
        assert try_it(source()).parameters == 30_730
    try_it(source(top="os.chdir('/')"))
    assert try_it(source()).parameters == 30_730
    assert Path.cwd() == tmp_path
