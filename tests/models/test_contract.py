"""What every model keeps to, the built-in ones and a user's own."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from cifar_lab import config
from cifar_lab.config.registry import BUILT_IN_MODELS, MODEL_FACTS
from cifar_lab.models import LAST_LAYER, MODELS, build, count_parameters, memory_format
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.backend import KernelNetwork

CUSTOM = """
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, num_classes, width=4):
        super().__init__(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(width, num_classes),
        )
"""


@pytest.fixture(params=[*BUILT_IN_MODELS, "custom"])
def settings(request, tmp_path):
    name = request.param
    if name == "custom":
        (tmp_path / "tiny.py").write_text(CUSTOM)
        name = f"{tmp_path}/tiny.py:Tiny"
    return TypeAdapter(config.Model).validate_python({"name": name})


def seeded(settings, seed: int, classes: int = 7) -> nn.Module:
    torch.manual_seed(seed)
    return build(settings, classes)


def test_every_name_in_the_settings_has_a_model_a_last_layer_and_facts():
    assert list(MODELS) == list(BUILT_IN_MODELS) == list(LAST_LAYER) == list(MODEL_FACTS)


def test_options_of_a_model_reach_its_network(monkeypatch):
    class Wide(config.NetModel):
        width: int = 3

    made = []
    monkeypatch.setitem(MODELS, "Net", lambda classes, **options: made.append((classes, options)) or nn.Identity())
    build(Wide(width=5), 7)
    build(config.NetModel(), 7)
    assert made == [(7, {"width": 5}), (7, {})]


@pytest.mark.parametrize("name", MODELS)
def test_facts_are_those_of_the_network(name):
    network, facts = MODELS[name](10), MODEL_FACTS[name]
    norms = [module for module in network.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert facts.batch_norm == bool(norms)
    assert facts.small == (count_parameters(network) < 1_000_000)
    assert facts.parameters == count_parameters(network)


@pytest.mark.parametrize("name", MODELS)
def test_own_kernels_are_there_for_the_models_whose_facts_say_so(name):
    network = MODELS[name](10)
    taken = True
    try:
        KernelNetwork(network, flatten_parameters([network]), batch_size=4, threads=1, label_smoothing=0.0)
    except KernelsUnavailable:
        taken = False
    assert MODEL_FACTS[name].own_kernels == taken


def test_memory_format_is_channels_last_where_it_is_faster():
    formats = {name: memory_format(cls(name=name), "cpu") for name, cls in BUILT_IN_MODELS.items()}
    assert formats.items() >= {
        **dict.fromkeys(("Net", "Net1", "Net2", "Net3"), torch.channels_last), "ResNet18": torch.contiguous_format,
    }.items()  # fmt: skip
    assert memory_format(config.ResNet18Model(name="ResNet18"), "cuda") == torch.channels_last
    assert memory_format(config.CustomModel(name="a.py:A"), "cuda") == torch.contiguous_format


def test_one_image_in_evaluation_mode(settings):
    logits = seeded(settings, 0).eval()(torch.zeros(1, 3, 32, 32))
    assert logits.shape == (1, 7)
    assert logits.dtype == torch.float32


def test_is_built_in_training_mode_on_the_cpu(settings):
    model = seeded(settings, 0)
    assert all(module.training for module in model.modules())
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("name", MODELS)
def test_last_layer_gives_the_classes(name):
    assert MODELS[name](7).get_submodule(LAST_LAYER[name]).out_features == 7


def test_gradients_reach_every_parameter(settings):
    model = seeded(settings, 0)
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(model(images), torch.arange(6)).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if parameter.grad is None:
            continue
        assert torch.isfinite(parameter.grad).all(), name
        if parameter.ndim > 1:  # a bias before BatchNorm has no effect, so its gradient is 0
            assert parameter.grad.abs().sum() > 0, name


def test_evaluation_of_an_image_does_not_depend_on_its_batch(settings):
    model = seeded(settings, 0)
    images = torch.randn(5, 3, 32, 32)
    model(images)  # moves the running statistics of BatchNorm off their start
    model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        together, alone = model(images), torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_batch_norm_learns_its_statistics_in_training_mode(settings):
    model = seeded(settings, 0)
    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert bool(norms) == (settings.name not in MODEL_FACTS or MODEL_FACTS[settings.name].batch_norm)
    before = [norm.running_mean.clone() for norm in norms]
    model(torch.randn(5, 3, 32, 32))
    assert not any(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))


def test_state_dict_round_trip(settings):
    source, target = seeded(settings, 1).eval(), seeded(settings, 2).eval()
    images = torch.randn(3, 3, 32, 32)
    assert not torch.equal(source(images), target(images))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(images), target(images))


def test_same_seed_same_weights(settings):
    first, again, other = seeded(settings, 4), seeded(settings, 4), seeded(settings, 5)
    state, same, different = first.state_dict(), again.state_dict(), other.state_dict()
    assert all(torch.equal(state[key], same[key]) for key in state)
    assert not all(torch.equal(state[key], different[key]) for key in state)


def test_two_of_a_kind_share_nothing(settings):
    first, second = seeded(settings, 0), seeded(settings, 0)
    addresses = [{value.data_ptr() for value in model.state_dict().values()} for model in (first, second)]
    assert addresses[0].isdisjoint(addresses[1])
    assert {id(module) for module in first.modules()}.isdisjoint({id(module) for module in second.modules()})


def test_count_parameters_is_what_an_optimizer_would_change(settings):
    model = seeded(settings, 0)
    total = count_parameters(model)
    assert total == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    frozen.requires_grad_(False)
    assert count_parameters(model) == total - frozen.numel()
