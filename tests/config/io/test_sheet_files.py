"""Sheets of questions and sweep files: what they give, and the exact lines about wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.config.io.search_rules import RACE_SEEDS
from cifar_lab.config.io.setting_keys import known_choices
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.sheets import Halving, LabSheet, Racing, Range, Search, SweepSheet
from cifar_lab.core.errors import SettingsError

Write = Callable[[str, str], Path]


def choices(section: str) -> str:
    """All choices of a section, as messages list them."""
    return ", ".join(known_choices(section))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)
    for name in ("baseline.yaml", "adam.yaml", "adamw.yaml"):
        Path(name).write_text("epochs: 1\n")

    def write(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def told(path: Path, sheet: type[LabSheet] | type[SweepSheet], folder: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_sheet(path, sheet)
    return str(caught.value).replace(str(folder), "HERE").split("\n")


# --- sweep files ----------------------------------------------------------------------------------------------------

SWEEP = """\
base: baseline.yaml
search: {top: 3, confirm_seeds: [7]}
space:
  data.batch_size: [8, 16]
  optimizer.name: [sgd, adam]
  optimizer.lr: [1e-2, 0.001]
  optimizer.betas: [[0.9, 0.99]]
  model.name: [Net, nets/wide.py:Wide, package.module:C]
  model.options.width: [8, auto]
  seeds_are: []
paired:
  - {data.flip: [true, false], loss.label_smoothing: [0.0, 0.1]}
exclude:
  - {optimizer.name: adam, optimizer.lr: 1e-2}
arms:
  long: {epochs: 20, model.weights: ../w.pt}
"""


def test_a_sweep_file(write: Write, tmp_path: Path) -> None:
    path = write("q8_grid.yaml", SWEEP.replace("  seeds_are: []\n", ""))
    assert load_sheet(path, SweepSheet) == SweepSheet(
        base="baseline.yaml",
        label="q8_grid",
        search=Search(top=3, confirm_seeds=(7,)),
        space={
            "data.batch_size": (8, 16),
            "optimizer.name": ("sgd", "adam"),
            "optimizer.lr": (0.01, 0.001),
            "optimizer.betas": ([0.9, 0.99],),
            "model.name": ("Net", f"{tmp_path}/nets/wide.py:Wide", "package.module:C"),
            "model.options.width": (8, "auto"),
        },
        paired=({"data.flip": (True, False), "loss.label_smoothing": (0.0, 0.1)},),
        exclude=({"optimizer.name": "adam", "optimizer.lr": 0.01},),
        arms={"long": {"epochs": 20, "model.weights": str(tmp_path.parent / "w.pt")}},
    )


def test_ranges_of_a_sweep_file(write: Write) -> None:
    text = "base: baseline.yaml\nsearch: {method: tpe, trials: 9, seed: 3, halving: null}\nspace:\n"
    text += (
        "  optimizer.lr: {min: 1e-4, max: 0.1, log: true}\n  data.batch_size: {min: 8, max: 64}\n  data.flip: [true]\n"
    )
    sheet = load_sheet(write("x.yaml", text), SweepSheet)
    assert sheet.search == Search(method="tpe", trials=9, seed=3)
    assert sheet.space == {
        "optimizer.lr": Range(min=1e-4, max=0.1, log=True),
        "data.batch_size": Range(min=8, max=64),
        "data.flip": (True,),
    }


def test_halving_of_a_sweep_file(write: Write) -> None:
    text = "base: baseline.yaml\nsearch: {halving: {eta: 4}}\nspace: {data.flip: [true, false]}\n"
    assert load_sheet(write("x.yaml", text), SweepSheet).search.halving == Halving(eta=4, rungs=3)


def test_race_of_a_sweep_file(write: Write) -> None:
    text = "base: baseline.yaml\nsearch: {seeds: [0, 1], racing: {}}\nspace: {data.flip: [true, false]}\n"
    search = load_sheet(write("x.yaml", text), SweepSheet).search
    assert (search.racing, search.halving) == (Racing(error=0.05), None)


BAD_SWEEPS: list[tuple[str, list[str]]] = [
    ("base: baseline.yaml\n", ["x.yaml:1: nothing to sweep; state space, paired or arms"]),
    ("base: baseline.yaml\nspace: {}\n", ["x.yaml:1: nothing to sweep; state space, paired or arms"]),
    ("space: {epochs: [1]}\n", ["x.yaml:1: base: missing; expected text of at most 255 characters"]),
    (
        "base: baselin.yaml\nspace: {epochs: [1]}\n",
        ["x.yaml:1: base: no file HERE/baselin.yaml — did you mean baseline.yaml?"],
    ),
    (
        "base: ''\nspace: {epochs: [1]}\n",
        ["x.yaml:1: base: the text is empty; expected text of at most 255 characters"],
    ),
    (
        "base: baseline.yaml\nspace:\n  epochs:\n    - 1\n    - 2.0\n    - x\n",
        [
            "x.yaml:5: space.epochs[1]: 2.0 is a decimal number; "
            "expected a whole number from 1 to 100,000 — did you mean 2?",
            "x.yaml:6: space.epochs[2]: 'x' is text; expected a whole number from 1 to 100,000",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {epochs: 1, data.flip: []}\n",
        [
            "x.yaml:2: space.epochs: 1 is a whole number; expected a list of values, or a range such as "
            "{min: 16, max: 128}",
            "x.yaml:2: space.data.flip: the list is empty; expected a list of values",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {optimizer.name: [sgd, adamm], data.dataset: [cifar10, 3]}\n",
        [
            f"x.yaml:2: space.optimizer.name[1]: 'adamm' is not one of: {choices('optimizer')} — did you mean adam?",
            f"x.yaml:2: space.data.dataset[1]: 3 is a whole number, which is not one of: {choices('data')}",
        ],
    ),
    (
        "base: baseline.yaml\nspace:\n  optimizer.rl: [1]\n  optimiser.lr: [1]\n  lr: [1]\n  optimizer: [1]\n"
        "  seeds: [[1]]\n"
        "  label: [x]\n  quite.strange: [1]\n  extends: [a.yaml]\n",
        [
            "x.yaml:3: space.optimizer.rl: no such setting — did you mean optimizer.lr?",
            "x.yaml:4: space.optimiser.lr: no such setting — did you mean optimizer.lr?",
            "x.yaml:5: space.lr: no such setting — did you mean optimizer.lr?",
            "x.yaml:6: space.optimizer: a whole section; name one of its settings, such as optimizer.name",
            "x.yaml:7: space.seeds: seeds repeat a point and are not part of it; set search.seeds",
            "x.yaml:8: space.label: points and arms are named by their settings; remove it",
            "x.yaml:9: space.quite.strange: no such setting; write section.key",
            "x.yaml:10: space.extends: a sweep has one base; set base",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {epochs: [1]}\npaired:\n  - {epochs: [1, 2]}\n"
        "  - {data.flip: [true], optimizer.lr: [1, 2]}\n",
        [
            "x.yaml:4: paired[0].epochs: epochs is already an axis, on line 2; keep one of them",
            "x.yaml:5: paired[1]: values change together, so their lists must have the same length; "
            "data.flip has 1, optimizer.lr has 2",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {epochs: [1, 2]}\npaired:\n  - {}\nexclude:\n  - {}\n  - {data.flip: true}\n"
        "  - {epoch: 1}\n",
        [
            "x.yaml:4: paired[0]: an empty group; remove it",
            "x.yaml:6: exclude[0]: an empty entry would exclude every point; remove it",
            "x.yaml:7: exclude[1].data.flip: is not a key of space or paired; the keys are epochs",
            "x.yaml:8: exclude[2].epoch: no such setting — did you mean epochs?",
        ],
    ),
    (
        "base: baseline.yaml\narms: {a: {optimizer.lr: 0}, b: 3}\nexclude: [{data.flip: yes}]\nsearch: {}\n",
        [
            "x.yaml:2: arms.a.optimizer.lr: 0 is out of range; expected a number above 0",
            "x.yaml:2: arms.b: 3 is a whole number; expected a mapping of keys to values",
            "x.yaml:3: exclude[0].data.flip: 'yes' is text; expected one of true, false, random, alternating "
            "— did you mean true?",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {epochs: [1]}\nsearch: {method: gird, tpo: 3, top: 0, seeds: [101]}\n",
        [
            "x.yaml:3: search.method: 'gird' is not one of: grid, random, tpe — did you mean grid?",
            "x.yaml:3: search.tpo: no such setting — did you mean top?",
            "x.yaml:3: search.top: 0 is out of range; expected a whole number from 1 to 100",
            "x.yaml:3: search.confirm_seeds: seed 101 is a seed of the search; winners are confirmed with fresh seeds",
        ],
    ),
    (
        "base: baseline.yaml\nspace: {epochs: [1]}\nsearch: grid\n",
        ["x.yaml:3: search: 'grid' is text; expected a section with keys such as method"],
    ),
    (
        "base: baseline.yaml\nspace:\n  epochs: [1]\n  epochs: [2]\n  data.flip: [*a]\n",
        [
            "x.yaml:4: space.epochs: stated twice, first on line 3; keep one of them",
            "x.yaml:5: space.data.flip[0]: aliases (*a) are not used here; write the value out, or put it in quotes",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {method: random, trials: 5}\nspace:\n"
        "  optimizer.lr: {min: 0, max: 0.1, log: true}\n  data.batch_size: {min: 8.5, max: 64}\n"
        "  epochs: {min: 4, max: 4}\n  data.flip: {min: 0, max: 1}\n  optimizer.momentum: {min: 0.9, mx: 1}\n"
        "  data.noise_std: {min: a, max: 0.5}\n",
        [
            "x.yaml:4: space.optimizer.lr.min: 0 is out of range; expected a number above 0",
            "x.yaml:5: space.data.batch_size.min: 8.5 is a decimal number; expected a whole number from 1 to 65,536",
            "x.yaml:6: space.epochs.max: 4 is not above min, which is 4",
            "x.yaml:7: space.data.flip: found a range, but data.flip cannot have a range; "
            "expected a list of values",
            "x.yaml:8: space.optimizer.momentum.max: missing; expected a list of values, or a range such as "
            "{min: 0.001, max: 0.1, log: true}",
            "x.yaml:8: space.optimizer.momentum.mx: not a key of a range — did you mean max?",
            "x.yaml:9: space.data.noise_std.min: 'a' is text; expected a whole number or a number",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {method: random, trials: 5}\nspace:\n"
        "  scheduler.min_lr: {min: 0, max: 0.1, log: true}\n  data.flip: [true]\nexclude: [{scheduler.min_lr: 0.1}]\n",
        [
            "x.yaml:4: space.scheduler.min_lr.min: 0 is not above 0, as a logarithmic scale (log: true) "
            "requires",
            "x.yaml:6: exclude[0].scheduler.min_lr: is a range here, so no single value can be excluded; "
            "make the range narrower",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {trials: 5, batch: 2, halving: {eta: 1, rung: 3}}\n"
        "space: {optimizer.lr: {min: 0.1, max: 1}, epochs: [1, 2]}\n",
        [
            "x.yaml:2: search.trials: grid has no trials: a grid tries every point; remove it, or state method: random",
            "x.yaml:2: search.batch: grid has no batch: it is only for tpe; remove it",
            "x.yaml:2: search.halving: points are compared after the same epochs; take epochs out of the space",
            "x.yaml:2: search.halving.eta: 1 is out of range; expected a whole number from 2 to 100",
            "x.yaml:2: search.halving.rung: no such setting — did you mean rungs?",
            "x.yaml:3: space.optimizer.lr: a range needs search.method random or tpe; a grid takes a list of values",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {method: tpe, halving: {}}\narms: {a: {epochs: 3}}\n",
        [
            "x.yaml:2: search.method: tpe draws from space or paired; state one of them",
            "x.yaml:2: search.trials: missing; tpe needs a number of points (50, say)",
            "x.yaml:2: search.halving: tpe has no halving: tpe needs runs of full length; remove it, or state "
            "method: random",
            "x.yaml:3: arms.a.epochs: points are compared after the same epochs (search.halving); remove it",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {racing: {error: 0, halving: 2}, halving: {}}\n"
        "space: {data.flip: [true, false]}\n",
        [
            "x.yaml:2: search.racing: a search has either racing or halving; remove one of them",
            f"x.yaml:2: search.seeds: {RACE_SEEDS}",
            "x.yaml:2: search.racing.error: 0 is out of range; expected a number from 0.0001 to 0.5",
            "x.yaml:2: search.racing.halving: no such setting; the settings are error",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {method: tpe, trials: 5, seeds: [3], racing: {}}\n"
        "space: {data.flip: [true, false]}\n",
        [
            f"x.yaml:2: search.seeds: {RACE_SEEDS}",
            "x.yaml:2: search.racing: tpe has no racing: tpe needs the same seeds of every point; remove it, or state "
            "method: random",
        ],
    ),
    (
        "base: baseline.yaml\nsearch: {method: racing, seeds: [0, 1]}\nspace: {data.flip: [true, false]}\n",
        [
            "x.yaml:2: search.method: 'racing' is not one of: grid, random, tpe",
            "x.yaml:2: search.method: write racing: {} beside method: grid or random, and several seeds",
        ],
    ),
    ("optimizer: {lr: 1}\n", ["x.yaml: this is a settings file, not a sweep file; train it with cifar-lab run x.yaml"]),
    ("title: x\ncontrol: a\nquestions: {}\n", ["x.yaml: this is a lab file, not a sweep file"]),
    ("[1]\n", ["x.yaml:1: found a list, expected lines of 'key: value'; a space must follow the colon"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), BAD_SWEEPS, ids=[text[:50] for text, _ in BAD_SWEEPS])
def test_bad_sweeps(text: str, lines: list[str], write: Write, tmp_path: Path) -> None:
    assert told(write("x.yaml", text), SweepSheet, tmp_path) == lines


# --- sheets of questions --------------------------------------------------------------------------------------------


def test_a_sheet_of_questions(write: Write) -> None:
    write("x.yaml", "base: baseline.yaml\n")
    text = "title: T\ncontrol: baseline.yaml\nquestions:\n"
    text += "  q2: {title: A, arms: [adam.yaml, adamw.yaml], chart: q2.png}\n"
    text += "  q1: {title: B, sweep: x.yaml, control: adam.yaml, chart: q1.png, note: n}\n"
    sheet = load_sheet(write("lab.yaml", text), LabSheet)
    assert list(sheet.questions) == ["q2", "q1"]
    assert sheet.questions["q2"].arms == ("adam.yaml", "adamw.yaml")
    assert sheet.questions["q1"].sweep == "x.yaml"
    assert sheet.control == "baseline.yaml"
    assert sheet.min_effect == 0.3
    assert sheet.questions["q1"].factor == ()


HEAD = "title: T\ncontrol: baseline.yaml\nquestions:\n"
BAD_SHEETS: list[tuple[str, list[str]]] = [
    (
        "title: T\n",
        ["x.yaml:1: control: missing; expected text of at most 255 characters",
         "x.yaml:1: questions: missing; expected a mapping of keys to values"],
    ),
    ("title: T\ncontrol: nowhere.yaml\nquestions: {}\n",
     ["x.yaml:2: control: no file HERE/nowhere.yaml",
      "x.yaml:3: questions: found a mapping; expected a mapping of keys to values"]),
    (HEAD + "  q1: {title: A, chart: a.png}\n",
     ["x.yaml:4: questions.q1: no arms and no sweep; name what the control is compared with"]),
    (HEAD + "  q1: {title: A, chart: a.png, arms: [adam.yaml], sweep: adamw.yaml}\n",
     ["x.yaml:4: questions.q1.sweep: a question has arms or a sweep, not both"]),
    (HEAD + "  q1: {title: A, chart: a.png, arms: [adam.yaml, adam.yaml, baseline.yaml, adm.yaml]}\n",
     ["x.yaml:4: questions.q1.arms[1]: 'adam.yaml' is stated twice; keep one of them",
      "x.yaml:4: questions.q1.arms[2]: 'baseline.yaml' is the control; it is not repeated among the arms",
      "x.yaml:4: questions.q1.arms[3]: no file HERE/adm.yaml — did you mean adam.yaml?"]),
    (HEAD + "  q1: {title: A, chart: a.png, arms: [adam.yaml]}\n  q2: {title: B, chart: A.png, arms: [adam.yaml]}\n",
     ["x.yaml:5: questions.q2.chart: 'A.png' is the chart of q1, too; name another file"]),
    (HEAD + "  q1: {title: A, chart: ../a.png, arms: [adam.yaml]}\n",
     ["x.yaml:4: questions.q1.chart: '../a.png' does not fit; "
      "expected a file name of letters, digits, '.', '_' and '-' that ends in .png"]),
    (HEAD + "  q 1: {titel: A, chart: a.png, arms: adam.yaml}\n",
     ["x.yaml:4: questions.q 1: this name does not fit; expected up to 32 letters, digits, '_' and '-'",
      "x.yaml:4: questions.q 1.title: missing; expected text of at most 300 characters",
      "x.yaml:4: questions.q 1.titel: no such setting — did you mean title?",
      "x.yaml:4: questions.q 1.arms: 'adam.yaml' is text; expected a list of texts"]),
    (HEAD + "  q1: adam.yaml\n",
     ["x.yaml:4: questions.q1: 'adam.yaml' is text; expected a section with keys such as title"]),
    ("title: T\ncontrol: baseline.yaml\nquestions: [a]\n",
     ["x.yaml:3: questions: found a list of 1; expected a mapping of keys to values"]),
    (HEAD + "  q1: {title: A, chart: a.png, arms: [adam.yaml], factor: [optimizer, data.batchsize, momentum]}\n",
     ["x.yaml:4: questions.q1.factor[1]: 'data.batchsize' is neither a setting nor a section — did you mean "
      "data.batch_size?",
      "x.yaml:4: questions.q1.factor[2]: 'momentum' is neither a setting nor a section"]),
    ("title: T\ncontrol: baseline.yaml\nmin_effect: 0\nquestions:\n  q1: {title: A, chart: a.png, arms: [adam.yaml]}\n",
     ["x.yaml:3: min_effect: 0 is out of range; expected a number above 0 and at most 100"]),
    ("base: a\nspace: {}\n", ["x.yaml: this is a sweep file, not a lab file"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), BAD_SHEETS, ids=[text[-50:] for text, _ in BAD_SHEETS])
def test_bad_sheets(text: str, lines: list[str], write: Write, tmp_path: Path) -> None:
    assert told(write("x.yaml", text), LabSheet, tmp_path) == lines


def test_a_file_that_a_sheet_names(write: Write, tmp_path: Path) -> None:
    sheet = write("sub/lab.yaml", "title: T\n\ncontrol: gone.yaml\n")
    assert sheet_file(sheet, "../baseline.yaml") == tmp_path / "baseline.yaml"
    with pytest.raises(SettingsError) as caught:
        sheet_file(sheet, "gone.yaml")
    assert str(caught.value) == f"sub/lab.yaml:3: no file {tmp_path}/sub/gone.yaml"


def test_shipped_sheets() -> None:
    configs = Path(__file__).parents[3] / "configs"
    sheet = load_sheet(configs / "lab.yaml", LabSheet)
    assert list(sheet.questions) == [f"q{number}" for number in range(1, 10)]
    for question in sheet.questions.values():
        if question.sweep is not None:
            sweep = load_sheet(sheet_file(configs / "lab.yaml", question.sweep), SweepSheet)
            assert sheet_file(configs / "lab.yaml", sweep.base).is_file()
