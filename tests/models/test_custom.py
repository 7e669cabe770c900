"""A user's own model, by file and by module, and every way in which it can be wrong."""

import sys
import textwrap

import pytest
import torch

from cifar_lab.config import CustomModel
from cifar_lab.core.errors import SettingsError
from cifar_lab.models import build, count_parameters

GOOD = """
    from __future__ import annotations
    from dataclasses import dataclass
    import torch
    from torch import nn

    @dataclass
    class Size:
        width: int

    class Mine(nn.Module):
        def __init__(self, num_classes: int, width: int = 8):
            super().__init__()
            self.size = Size(width)
            self.body = nn.Linear(3 * 32 * 32, width)
            self.head = nn.Linear(width, num_classes)

        def forward(self, images):
            return self.head(torch.relu(self.body(images.flatten(1))))
    """


def write(path, source: str = GOOD):
    path.write_text(textwrap.dedent(source))
    return path


def refusal(name: str, **options) -> str:
    with pytest.raises(SettingsError) as caught:
        build(CustomModel(name=name, options=options), 10)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `my_lab_nets` with the module `small`, on the path."""
    folder = tmp_path / "my_lab_nets"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    write(folder / "small.py")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("my_lab_nets")]:
        del sys.modules[name]


def test_a_class_in_a_file(tmp_path):
    path = write(tmp_path / "mine.py")
    torch.manual_seed(1)
    model = build(CustomModel(name=f"{path}:Mine", options={"width": 5}), 7)
    assert type(model).__name__ == "Mine"
    assert model.head.weight.shape == (7, 5)
    assert count_parameters(model) == 3072 * 5 + 5 + 5 * 7 + 7
    torch.manual_seed(1)
    assert torch.equal(model.body.weight, torch.nn.Linear(3072, 5).weight)


def test_a_class_in_a_package(package):
    model = build(CustomModel(name="my_lab_nets.small:Mine"), 10)
    assert type(model).__module__ == "my_lab_nets.small"
    assert model.head.weight.shape == (10, 8)


def test_an_edited_file_is_read_again(tmp_path):
    path = write(tmp_path / "mine.py")
    assert build(CustomModel(name=f"{path}:Mine"), 10).head.in_features == 8
    write(path, GOOD.replace("= 8", "= 9"))  # as long as before and within the same second
    assert build(CustomModel(name=f"{path}:Mine"), 10).head.in_features == 9


def test_the_trial_leaves_mode_and_random_stream_alone(tmp_path):
    source = GOOD.replace("return self.head(", "torch.rand(5); return self.head(")
    path = write(tmp_path / "mine.py", source)
    torch.manual_seed(1)
    model = build(CustomModel(name=f"{path}:Mine"), 10)
    after = torch.rand(3)
    assert model.training
    assert model.body.training
    torch.manual_seed(1)
    torch.nn.Linear(3072, 8)
    torch.nn.Linear(8, 10)
    assert torch.equal(after, torch.rand(3))


def test_no_such_file_or_module(tmp_path):
    where = f"{tmp_path}/none.py"
    assert refusal(f"{where}:Mine") == f"model.name: no file {where}; give the path relative to the settings file"
    assert refusal("no_such_lab.nets:Mine") == (
        "model.name: no module 'no_such_lab.nets'; install its package or give path/to/file.py:NAME"
    )


def test_no_such_class(tmp_path, package):
    path = write(tmp_path / "mine.py")
    assert refusal(f"{path}:Mein") == f"model.name: {path}: has no Mein; its models are: Mine"
    assert refusal("my_lab_nets:Mine") == "model.name: my_lab_nets: has no Mine; its models are: none"


def test_not_a_model(tmp_path):
    path = write(tmp_path / "mine.py", GOOD + "\n    def make(num_classes):\n        return 3\n    net = Mine(10)\n")
    for name in ("Size", "nn"):
        assert refusal(f"{path}:{name}") == (
            f"model.name: {path}: {name} is neither a torch.nn.Module class nor a function; "
            "its models are: Mine; its functions are: make"
        )
    assert refusal(f"{path}:make").endswith(":make returns a int and not a torch.nn.Module; return the model")
    assert "net is a model and not a class or function; name its class, or a function" in refusal(f"{path}:net")


ZOO = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=16, num_classes=10):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, width), nn.Linear(width, num_classes))

        def forward(self, images):
            return self.layers(images)

    class Variant(Net):
        def __init__(self, variant):
            super().__init__({"A": 16, "B": 32}[variant])

    class Fixed(Net):
        def __init__(self):
            super().__init__(16)

    def small(num_classes=10):
        return Net(16, num_classes)

    def fixed():
        return Net()

    def passed_on(**options):
        return Net(**options)

    def passed_on_to_fixed(**options):
        return Fixed(**options)

    def other_name(n_classes=10):
        return Net(16, n_classes)
    """


@pytest.mark.parametrize(
    ("name", "options"),
    [("Net", {}), ("Variant", {"variant": "B"}), ("Fixed", {}), ("small", {}), ("fixed", {}), ("passed_on", {}),
     ("passed_on_to_fixed", {}), ("other_name", {})],
)  # fmt: skip
def test_models_as_zoos_write_them(name, options, tmp_path):
    path = write(tmp_path / "zoo.py", ZOO)
    assert isinstance(build(CustomModel(name=f"{path}:{name}", options=options), 10), torch.nn.Module)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Fixed", r"add a parameter num_classes and give its last layer as many outputs \(7 here\)"),
        ("other_name", "set model.options.n_classes=7"),
    ],
)
def test_a_zoo_model_of_another_number_of_classes_is_told_what_to_write(name, advice, tmp_path):
    path = write(tmp_path / "zoo.py", ZOO)
    with pytest.raises(SettingsError, match=rf"gives \(2, 10\) for .* instead of \(2, 7\); {advice}$"):
        build(CustomModel(name=f"{path}:{name}"), 7)
    assert build(CustomModel(name=f"{path}:small"), 7) is not None


def test_a_builder_of_torchvision():
    model = build(CustomModel(name="torchvision.models:squeezenet1_1"), 7)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_model_of_timm_is_made_by_its_registry(tmp_path, monkeypatch):
    source = (
        "from torch import nn\ndef list_models():\n    return ['mixer']\ndef is_model(name):\n"
        "    return name.partition('.')[0] in list_models()\n"
        "def create_model(name, num_classes):\n    assert name in ('mixer', 'mixer.c3_in1k')\n"
    )
    (tmp_path / "timm.py").write_text(source + "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, options in (("mixer", {}), ("mixer.c3_in1k", {}), ("create_model", {"name": "mixer"})):
        assert build(CustomModel(name=f"timm:{name}", options=options), 7)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert refusal("timm:mixr") == "model.name: timm has no model mixr; did you mean mixer?"
    assert refusal("timm:vit") == "model.name: timm has no model vit; timm.list_models() has the names"


PARTS = "from torch import nn\ndef layer(classes):\n    return nn.Linear(3072, classes)\n"


@pytest.mark.parametrize("how", ["from parts import layer", "from .parts import layer"])
@pytest.mark.parametrize("place", ["__init__", "forward", "module"])
def test_late_and_relative_imports(how, place, tmp_path):
    (tmp_path / "parts.py").write_text(PARTS)
    line = {name: how if name == place else "pass" for name in ("__init__", "forward", "module")}
    source = (
        f"from torch import nn\n{line['module']}\n\nclass Net(nn.Module):\n"
        f"    def __init__(self, num_classes):\n        {line['__init__']}\n        super().__init__()\n"
        f"        self.last = {'nn.Linear(3072, num_classes)' if place == 'forward' else 'layer(num_classes)'}\n"
        f"    def forward(self, images):\n        {line['forward']}\n        return self.last(images.flatten(1))\n"
    )
    (tmp_path / "12-net.of").mkdir()
    for folder in (tmp_path, tmp_path / "12-net.of"):
        (folder / "parts.py").write_text(PARTS)
        (folder / "net.py").write_text(source)
        assert build(CustomModel(name=f"{folder}/net.py:Net"), 10) is not None
    assert not list(tmp_path.rglob("__pycache__"))


def test_models_beside_their_utilities(tmp_path):
    for folder in ("models", "utils"):
        (tmp_path / folder).mkdir()
    (tmp_path / "utils" / "layers.py").write_text(PARTS)
    (tmp_path / "models" / "net.py").write_text(
        "from torch import nn\nfrom utils.layers import layer\n\ndef net(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), layer(num_classes))\n"
    )
    assert build(CustomModel(name=f"{tmp_path}/models/net.py:net"), 10) is not None


def test_a_library_never_finds_the_users_file_of_a_standard_name(tmp_path):
    (tmp_path / "this.py").write_text("raise RuntimeError('the wrong one')\n")
    path = write(tmp_path / "mine.py", GOOD.replace("import torch\n", "import torch\n    import antigravity\n", 1))
    (tmp_path / "antigravity.py").write_text("")
    build(CustomModel(name=f"{path}:Mine"), 10)
    assert "this" not in sys.modules
    import this

    assert "site-packages" not in str(this.__file__)
    assert str(tmp_path) not in str(this.__file__)


def test_a_file_that_cannot_be_imported(tmp_path):
    path = tmp_path / "bad.py"
    for source, message in {
        "x = 1\nraise RuntimeError('no\\nluck')": f"RuntimeError: no ({path}:2)",
        "import no_such_lab": f"ModuleNotFoundError: No module named 'no_such_lab' ({path}:1)",
        "import sys\n\nsys.exit(3)": f"SystemExit: 3 ({path}:3)",
        "class Mine(:": "SyntaxError: invalid syntax (bad.py, line 1)",
    }.items():
        write(path, source)
        assert refusal(f"{path}:Mine") == f"model.name: {path} cannot be imported: {message}; correct it"


def test_options_that_the_class_does_not_take(tmp_path):
    path = write(tmp_path / "mine.py")
    assert refusal(f"{path}:Mine", depth=3, width=4) == (
        f"model.options: {path}:Mine was called with num_classes, depth, width: "
        "Mine.__init__() got an unexpected keyword argument 'depth'; "
        "it takes num_classes: 'int', width: 'int' = 8"
    )


def test_required_arguments_are_named_with_what_may_give_them(tmp_path):
    source = GOOD.replace("width: int = 8", "variant, width: int = 8")
    path = write(tmp_path / "mine.py", source)
    assert refusal(f"{path}:Mine").endswith(
        "missing 1 required positional argument: 'variant'; it takes num_classes: 'int', variant, width: 'int' = 8; "
        "set model.options.variant"
    )
    write(path, GOOD.replace("num_classes", "n_classes"))
    assert refusal(f"{path}:Mine").endswith("; set model.options.n_classes=10")
    write(path, source)
    path.write_text(path.read_text() + "\n\ndef small():\n    return Mine(10, 'A')\n")
    assert refusal(f"{path}:Mine").endswith(
        "; set model.options.variant, or name a function that makes the model: small"
    )
    assert build(CustomModel(name=f"{path}:small"), 10) is not None


def test_a_class_that_does_not_take_num_classes(tmp_path):
    path = write(tmp_path / "mine.py", GOOD.replace("num_classes: int, ", "").replace(", num_classes)", ", 10)"))
    assert build(CustomModel(name=f"{path}:Mine"), 10) is not None
    assert "unexpected keyword argument 'num_classes'; it takes width: 'int' = 8" in refusal(
        f"{path}:Mine", num_classes=10
    )


def test_a_constructor_that_fails(tmp_path):
    source = GOOD.replace("self.size = Size(width)", "raise ValueError('width is odd')")
    path = write(tmp_path / "mine.py", source)
    assert refusal(f"{path}:Mine") == (
        f"model.name: {path}:Mine could not be created: ValueError: width is odd ({path}:14); correct it"
    )


def test_an_error_of_type_inside_a_constructor_is_no_fault_of_the_options(tmp_path):
    path = write(tmp_path / "mine.py", GOOD.replace("nn.Linear(3 * 32 * 32, width)", "nn.Linear(3072, width / 2)"))
    message = refusal(f"{path}:Mine")
    assert message.startswith(f"model.name: {path}:Mine could not be created: TypeError: ")
    assert message.endswith(f" ({path}:15); correct it")
    write(path).write_text(path.read_text() + "\n\ndef mine(**options):\n    return Mine(**options)\n")
    assert "model.options: " in refusal(f"{path}:mine", height=3)


def test_a_model_for_larger_images_says_its_size(tmp_path):
    source = GOOD.replace("3 * 32 * 32", "3 * 64 * 64")
    path = write(tmp_path / "mine.py", source)
    assert refusal(f"{path}:Mine").endswith(
        " (2x3072 and 12288x8) "
        f"({path}:19); it works on 64 × 64 pixels: set model.input_size=64, which enlarges each batch"
    )
    assert build(CustomModel(name=f"{path}:Mine", input_size=64), 10) is not None


def test_a_model_with_nothing_to_train(tmp_path):
    source = "import torch\nclass Mine(torch.nn.Flatten):\n    def __init__(self, num_classes):\n"
    path = write(tmp_path / "mine.py", source + "        super().__init__()\n")
    assert refusal(f"{path}:Mine") == (
        f"model.name: {path}:Mine has no trainable parameters; create its layers in __init__"
    )
    write(path, source + "        pass\n")
    assert "could not be created: AttributeError: " in refusal(f"{path}:Mine")


def test_a_forward_that_fails(tmp_path):
    path = write(tmp_path / "mine.py", GOOD.replace("images.flatten(1)", "images.flatten(2)"))
    message = refusal(f"{path}:Mine")
    assert message.startswith(f"model.name: {path}:Mine fails on a (2, 3, 32, 32) batch: RuntimeError: ")
    assert "6x1024 and 3072x8" in message
    assert message.endswith(f" ({path}:19); correct its forward")


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (("self.body(images.flatten(1))", "self.body(images.flatten(1))[:1]"), "(1, 10)"),
        (("return self.head(", "return [0, 1] or self.head("), "a list"),
    ],
)
def test_an_output_of_another_shape(change, given, tmp_path):
    path = write(tmp_path / "mine.py", GOOD.replace(*change))
    assert refusal(f"{path}:Mine") == (
        f"model.name: {path}:Mine gives {given} for a (2, 3, 32, 32) batch instead of (2, 10); "
        "its forward must return one logit per class"
    )


def test_a_wrong_number_of_logits(tmp_path):
    path = write(tmp_path / "mine.py", GOOD.replace("(width, num_classes)", "(width, 3)"))
    assert refusal(f"{path}:Mine").endswith(
        "gives (2, 3) for a (2, 3, 32, 32) batch instead of (2, 10); give its last layer num_classes outputs (10 here)"
    )


def test_a_model_imports_files_beside_it_and_each_its_own(tmp_path):
    for folder, width in (("one", 5), ("two", 7)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sizes.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "mine.py").write_text(
            "from torch import nn\nfrom sizes import WIDTH\n\n\nclass Mine(nn.Sequential):\n"
            "    def __init__(self, num_classes):\n"
            "        super().__init__(nn.Flatten(), nn.Linear(3072, WIDTH), nn.Linear(WIDTH, num_classes))\n"
        )
    for folder, width in (("one", 5), ("two", 7), ("one", 5)):
        model = build(CustomModel(name=f"{tmp_path}/{folder}/mine.py:Mine"), 10)
        assert model.get_parameter("1.weight").shape == (width, 3072)
