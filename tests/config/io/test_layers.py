"""extends, --set, the merge of layers, and the paths in settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.config import SGD, Adam, AdamW, Cifar10, Cosine, CustomModel, NetModel, Plateau, ResNet18Model, Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.core.errors import SettingsError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message(path: str, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(Path(path), overrides)
    return str(caught.value)


def test_defaults_and_label(write: Write) -> None:
    assert load_settings(write("base line.v2.yaml", "epochs: 10\n")) == Settings(label="base line.v2")


def test_sections_merge_key_by_key_over_three_files(write: Write) -> None:
    write("a.yaml", "label: A\nepochs: 3\ndata: {batch_size: 8, flip: true}\noptimizer: {lr: 0.5, momentum: 0.1}\n")
    write("sub/b.yaml", "extends: ../a.yaml\ndata: {batch_size: 16}\nseeds: [7]\n")
    path = write("c.yaml", "extends: sub/b.yaml\noptimizer: {lr: 0.25}\nseeds: [8, 9]\n")
    assert load_settings(path) == Settings(
        label="c",
        epochs=3,
        data=Cifar10(batch_size=16, flip=True),
        optimizer=SGD(lr=0.25, momentum=0.1),
        seeds=(8, 9),
    )


def test_a_label_is_not_inherited(write: Write) -> None:
    write("a.yaml", "label: The baseline\n")
    assert load_settings(write("b.yaml", "extends: a.yaml\n")).label == "b"
    assert load_settings(write("b.yaml", "extends: a.yaml\n"), ["label=B"]).label == "B"


def test_of_several_files_the_later_wins_and_the_file_itself_wins_over_all(write: Write) -> None:
    write("a.yaml", "epochs: 3\ndata: {batch_size: 8}\noptimizer: {lr: 0.5}\n")
    write("b.yaml", "label: B\nepochs: 4\noptimizer: {name: adam}\n")
    settings = load_settings(write("c.yaml", "extends: [a.yaml, b.yaml]\ndata: {flip: true}\n"))
    assert settings == Settings(
        label="c", epochs=4, data=Cifar10(batch_size=8, flip=True), optimizer=Adam(name="adam", lr=0.5)
    )
    assert load_settings(write("d.yaml", "extends:\n  - b.yaml\n  - a.yaml\n")).epochs == 3
    assert load_settings(write("e.yaml", "extends: [a.yaml]\n")).epochs == 3


def test_a_file_that_several_extend_counts_once(write: Write) -> None:
    write("a.yaml", "epochs: 3\noptimizer: {lr: 0.5}\n")
    write("b.yaml", "extends: a.yaml\nepochs: 4\n")
    write("c.yaml", "extends: a.yaml\noptimizer: {lr: 0.25}\n")
    settings = load_settings(write("d.yaml", "extends: [b.yaml, c.yaml]\n"))
    assert (settings.epochs, settings.optimizer.lr) == (4, 0.25), "a.yaml does not undo b.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: []", "1: extends: expected the name of a settings file or a list of names, such as baseline.yaml"),
        ("extends: [a.yaml, 3]", "1: extends: expected the name of a settings file or a list of names, such as "
         "baseline.yaml"),
        ("extends:\n- b.yaml\n- nowhere.yaml", "3: extends: no file nowhere.yaml"),
        ("extends:\n- a.yaml\n- a.yaml", "3: extends: a.yaml: an earlier entry of the list already includes it; "
         "name it once, first"),
        ("extends:\n- b.yaml\n- a.yaml", "3: extends: a.yaml: an earlier entry of the list already includes it; "
         "name it once, first"),
        ("extends:\n- a.yaml\n- d.yaml", "3: extends: these files extend each other: d.yaml -> d.yaml; remove one of "
         "the links"),
    ],
)  # fmt: skip
def test_a_list_of_files_that_cannot_be_extended(write: Write, text: str, expected: str) -> None:
    write("a.yaml", "epochs: 3\n")
    write("b.yaml", "extends: a.yaml\n")
    write("d.yaml", f"{text}\n")
    assert message("d.yaml").startswith(f"d.yaml:{expected}")


def test_a_cycle_through_a_list_is_named(write: Write) -> None:
    write("a.yaml", "epochs: 3\n")
    write("b.yaml", "extends: [a.yaml, c.yaml]\n")
    write("c.yaml", "extends: b.yaml\n")
    assert message("c.yaml") == (
        "b.yaml:1: extends: these files extend each other: c.yaml -> b.yaml -> c.yaml; remove one of the links"
    )


def test_a_long_chain_is_refused(write: Write) -> None:
    write("f0.yaml", "epochs: 3\n")
    for number in range(1, 103):
        write(f"f{number}.yaml", f"extends: f{number - 1}.yaml\n")
    assert load_settings(Path("f100.yaml")).epochs == 3
    assert "more than 100 files extend one another" in message("f102.yaml")


def test_an_inherited_key_that_the_new_choice_lacks_is_dropped(write: Write) -> None:
    write("a.yaml", "optimizer: {lr: 0.5, momentum: 0.1, nesterov: true}\n")
    path = write("b.yaml", "extends: a.yaml\noptimizer: {name: adam}\n")
    assert load_settings(path).optimizer == Adam(name="adam", lr=0.5)
    again = write("c.yaml", "extends: b.yaml\noptimizer: {name: sgd}\n")
    assert load_settings(again).optimizer == SGD(lr=0.5), "what was dropped does not come back"


def test_a_shared_key_is_inherited_by_the_new_choice(write: Write) -> None:
    write("a.yaml", "optimizer: {name: adam, betas: [0.5, 0.9], weight_decay: 0.1}\n")
    path = write("b.yaml", "extends: a.yaml\noptimizer: {name: adamw}\n")
    assert load_settings(path).optimizer == AdamW(name="adamw", betas=(0.5, 0.9), weight_decay=0.1)


def test_a_new_choice_has_its_own_defaults(write: Write) -> None:
    write("a.yaml", "optimizer: {lr: 0.5}\n")
    path = write("b.yaml", "extends: a.yaml\noptimizer: {name: adamw}\n")
    assert load_settings(path).optimizer == AdamW(name="adamw", lr=0.5, weight_decay=0.01)


def test_the_same_choice_again_drops_nothing(write: Write) -> None:
    write("a.yaml", "optimizer: {momentum: 0.1}\n")
    path = write("b.yaml", "extends: a.yaml\noptimizer: {name: sgd, lr: 1}\n")
    assert load_settings(path).optimizer == SGD(lr=1.0, momentum=0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "optimizer: {name: adam, nesterov: true}",
            "b.yaml:2: optimizer.nesterov: adam has no nesterov; its settings are lr, weight_decay, groups, clip_norm, "
            "betas, eps",
        ),
        (
            "scheduler: {name: cosine}\nmodel: {name: Net1, pretrained: true}",
            "b.yaml:3: model.pretrained: Net1 has no pretrained; its settings are weights, head, input_size, init, "
            "head_init, freeze",
        ),
    ],
)
def test_a_key_beside_the_new_choice_must_be_its_own(write: Write, text: str, expected: str) -> None:
    write("a.yaml", "optimizer: {nesterov: true}\nmodel: {name: ResNet18, pretrained: true}\nscheduler: {name: step}\n")
    write("b.yaml", f"extends: a.yaml\n{text}\n")
    assert message("b.yaml") == expected


def test_a_key_above_the_new_choice_must_be_its_own(write: Write) -> None:
    write("a.yaml", "optimizer: {name: adam}\n")
    write("b.yaml", "extends: a.yaml\n\noptimizer:\n  nesterov: true\n")
    expected = (
        "optimizer.nesterov: adam has no nesterov; its settings are lr, weight_decay, groups, clip_norm, betas, eps"
    )
    assert message("b.yaml") == f"b.yaml:4: {expected}"
    assert message("a.yaml", "optimizer.nesterov=true") == f"--set optimizer.nesterov=true: {expected}"


def test_a_typo_in_a_parent_is_not_dropped_with_its_choice(write: Write) -> None:
    write("a.yaml", "\noptimizer: {momentun: 0.5}\n")
    write("b.yaml", "extends: a.yaml\noptimizer: {name: adam}\n")
    assert message("b.yaml") == "a.yaml:2: optimizer.momentun: no such setting — did you mean momentum?"


def test_a_model_of_ones_own_is_one_choice(write: Write, tmp_path: Path) -> None:
    write("a.yaml", "model: {name: 'a.b:C', options: {width: 8, deep: {x: 1, y: 2}}}\n")
    path = write("b.yaml", "extends: a.yaml\nmodel: {name: net.py:D, options: {deep: {y: 3}}}\n")
    expected = {"width": 8, "deep": {"x": 1, "y": 3}}
    assert load_settings(path).model == CustomModel(name=f"{tmp_path}/net.py:D", options=expected)
    assert load_settings(path, ["model.name=Net"]).model == NetModel()
    wider = load_settings(path, ["model.options.width=16"]).model
    assert wider == CustomModel(name=f"{tmp_path}/net.py:D", options=expected | {"width": 16})


def test_problems_name_the_file_and_line_that_state_the_value(write: Write) -> None:
    write("base/a.yaml", "epochs: 0\n\noptimizer:\n  lr: fast\ndata: {flip: maybe}\n")
    write("b.yaml", "seeds: x\nextends: base/a.yaml\ndata: {batch_size: 0}\n")
    assert message("b.yaml", "loss.label_smoothing=2").split("\n") == [
        "b.yaml:1: seeds: 'x' is text; expected a list of whole numbers, each from 0 to 4,294,967,295",
        "b.yaml:3: data.batch_size: 0 is out of range; expected a whole number from 1 to 65,536",
        "base/a.yaml:1: epochs: 0 is out of range; expected a whole number from 1 to 100,000",
        "base/a.yaml:4: optimizer.lr: 'fast' is text; expected a number above 0",
        "base/a.yaml:5: data.flip: 'maybe' is text; expected one of true, false, random, alternating",
        "--set loss.label_smoothing=2: loss.label_smoothing: 2 is out of range; "
        "expected a number at least 0 and below 1",
    ]


def test_a_loop_shows_its_chain(write: Write) -> None:
    write("a.yaml", "extends: b.yaml\n")
    write("b.yaml", "label: b\nextends: sub/c.yaml\n")
    write("sub/c.yaml", "extends: ../a.yaml\n")
    chain = "a.yaml -> b.yaml -> sub/c.yaml -> sub/../a.yaml"
    expected = f"these files extend each other: {chain}; remove one of the links"
    assert message("a.yaml") == f"sub/c.yaml:1: extends: {expected}"


@pytest.mark.parametrize(
    ("extends", "expected"),
    [
        ("basline.yaml", "b.yaml:1: extends: no file basline.yaml — did you mean baseline.yaml?"),
        ("far/off.yaml", "b.yaml:1: extends: no file far/off.yaml"),
        (".", "b.yaml:1: extends: . is a folder; name a settings file in it"),
        ("[a.yaml]", "b.yaml:1: extends: no file a.yaml — did you mean b.yaml?"),
        ('"a\\tb"', r"b.yaml:1: extends: no file 'a\tb'"),
    ],
)
def test_a_parent_that_cannot_be_read(write: Write, extends: str, expected: str) -> None:
    write("baseline.yaml", "epochs: 1\n")
    write("b.yaml", f"extends: {extends}\n")
    assert message("b.yaml") == expected


def test_files_that_cannot_be_read(write: Write) -> None:
    write("baseline.yaml", "epochs: 1\n")
    assert message("baselin.yaml") == "no file baselin.yaml — did you mean baseline.yaml?"
    assert message("nowhere/at/all.yaml") == "no file nowhere/at/all.yaml"
    assert message(".") == ". is a folder; name a settings file in it"
    assert message("baseline.yaml/x") == "baseline.yaml/x cannot be read (Not a directory)"
    assert message("x" * 300) == f"{'x' * 300} cannot be read (File name too long)"
    assert message("a\0b") == r"'a\x00b' cannot be read (embedded null byte)"


def test_other_kinds_of_files_are_named(write: Write) -> None:
    write("sweep.yaml", "base: a.yaml\nspace: {epochs: [1, 2]}\n")
    write("lab.yaml", "title: x\ncontrol: a.yaml\nquestions: {}\n")
    assert message("sweep.yaml") == "sweep.yaml: this is a sweep file; run it with cifar-lab sweep sweep.yaml"
    assert message("lab.yaml") == (
        "lab.yaml: this is a lab file; train all its arms with cifar-lab run --lab lab.yaml --all"
    )


# --- --set ----------------------------------------------------------------------------------------------------------


def test_overrides_are_one_last_layer(write: Write) -> None:
    path = write("a.yaml", "optimizer: {momentum: 0.5}\nseeds: [1]\n")
    settings = load_settings(
        path, ["optimizer.lr=1e-2", "optimizer.name=adam", "seeds=[3, 4]", "scheduler={name: plateau, patience: 2}"]
    )
    assert settings.optimizer == Adam(name="adam", lr=0.01)
    assert settings.seeds == (3, 4)
    assert settings.scheduler == Plateau(name="plateau", patience=2)
    assert load_settings(path, ["scheduler={name: cosine}", "scheduler.min_lr=1e-4"]).scheduler == Cosine(
        name="cosine", min_lr=1e-4
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr", ": expected key=value, such as optimizer.lr=0.01"),
        ("=3", ": expected key=value, such as optimizer.lr=0.01"),
        ("optimizer..lr=3", ": expected key=value, such as optimizer.lr=0.01"),
        ("optimizer.lr=x", ": optimizer.lr: 'x' is text; expected a number above 0"),
        ("optimizer.lr=", ": optimizer.lr: nothing is stated; expected a number above 0"),
        ("optimizer.rl=1", ": optimizer.rl: no such setting — did you mean lr?"),
        ("optimiser.lr=1", ": optimiser: no such setting — did you mean optimizer?"),
        ("lr=1", ": lr: no such setting at the top level — did you mean optimizer.lr?"),
        ("optimizer=adam", ": optimizer: 'adam' is text; expected a section: optimizer: {name: adam}"),
        ("epochs.x=1", ": epochs: found a mapping; expected a whole number from 1 to 100,000"),
        ("epochs=[", ": epochs: the text ends where a value belongs; close the bracket"),
        ("epochs=!!int 3", ": epochs: tags (tag:yaml.org,2002:int) are not used here; write a plain value"),
        ("epochs=.inf", ": epochs: .inf is not a finite number"),
        ("loss={label_smoothing: 0.1, label_smoothing: 0.2}", ": loss.label_smoothing: stated twice, first; keep one"),
        ("extends=a.yaml", ": extends: only a file can extend another; name that file instead"),
    ],
)
def test_overrides_are_checked_as_hard(write: Write, override: str, expected: str) -> None:
    write("a.yaml", "epochs: 1\n")
    assert message("a.yaml", override).startswith(f"--set {override}{expected}")


def test_odd_overrides(write: Write) -> None:
    path = write("a.yaml", "epochs: 1\n")
    assert load_settings(path, ["label='a\nb'\n"]).label == "a b", "as YAML folds lines"
    assert load_settings(path, ["label='a=b'"]).label == "a=b"
    told = message("a.yaml", "model.options" + ".a" * 5000 + "=1")
    assert told.endswith("…: expected key=value, such as optimizer.lr=0.01")
    assert len(told) < 200


def test_an_override_stated_twice(write: Write) -> None:
    write("a.yaml", "epochs: 1\n")
    assert message("a.yaml", "epochs=2", "epochs=3") == "--set epochs=3: epochs: stated twice; keep one of them"
    told = message("a.yaml", "loss={label_smoothing: 0.1}", "loss.label_smoothing=0.2")
    assert told == "--set loss.label_smoothing=0.2: loss.label_smoothing: stated twice; keep one of them"


def test_a_contradiction_names_where_its_key_is_stated(write: Write) -> None:
    write("a.yaml", "\nscheduler: {name: plateau, monitor: val_loss}\n")
    write("b.yaml", "extends: a.yaml\ndata: {flip: true}\n")
    expected = (
        "scheduler.monitor: val_loss needs a validation split; set data.val_size (0.1, say) or monitor train_loss"
    )
    assert message("b.yaml") == f"a.yaml:2: {expected}"
    assert load_settings(Path("b.yaml"), ["data.val_size=5000"]).data.val_size == 5000
    write("c.yaml", "epochs: 3\n")
    assert message("c.yaml", "optimizer.nesterov=true", "optimizer.momentum=0").startswith(
        "--set optimizer.nesterov=true: optimizer.nesterov: nesterov needs momentum above 0"
    )


# --- paths ----------------------------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_file_that_states_them(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    write("base/a.yaml", "data: {root: ../images}\nmodel: {name: ResNet18, weights: w/net.pt}\n")
    path = write("b.yaml", "extends: base/a.yaml\nepochs: 1\n")
    settings = load_settings(path)
    assert settings.data.root == str(tmp_path / "images")  # type: ignore[union-attr]
    assert settings.model == ResNet18Model(name="ResNet18", weights=str(tmp_path / "base/w/net.pt"))
    there = load_settings(path, ["data.root=here", "model.weights=~/w.pt"])
    assert there.data.root == str(tmp_path / "here")  # type: ignore[union-attr]
    assert there.model.weights == "/home/ada/w.pt"  # type: ignore[union-attr]
    assert load_settings(path, ["data.root=null"]).data == Cifar10()
    assert load_settings(path, ["data.root=/abs/x"]).data == Cifar10(root="/abs/x")


@pytest.mark.parametrize("name", ["package.module:Class", "net:Class"])
def test_a_module_is_no_path(write: Write, name: str) -> None:
    assert load_settings(write("a.yaml", f"model: {{name: '{name}'}}\n")).model == CustomModel(name=name)


def test_a_file_of_ones_own_is_relative_to_the_settings(write: Write, tmp_path: Path) -> None:
    path = write("sub/a.yaml", "model: {name: '../nets/my net.py:Wide'}\n")
    assert load_settings(path).model == CustomModel(name=f"{tmp_path}/nets/my net.py:Wide")


def test_settings_load_without_torch(write: Write) -> None:
    write("a.yaml", "epochs: 1\n")
    code = (
        "import sys; from pathlib import Path; from cifar_lab.config.io.load import load_settings; "
        "from cifar_lab.config.io.schema import json_schema;"
        "load_settings(Path('a.yaml')); json_schema(); print('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    source = str(Path(__file__).parents[3] / "src")
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert run.stdout == "False\n"
