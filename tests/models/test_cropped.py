"""A cropped convolution is torch's own, but for rounding, whatever the plane; what cannot be cropped stays as it is."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18

from cifar_lab.models.convolutions import CroppedConv2d, crop_convolutions, graph_of
from cifar_lab.models.nets import resnet18


def with_gradients(convolution, images):
    """(output, gradient of the images, of the weights, of the bias or None)."""
    images = images.clone().requires_grad_()
    for parameter in convolution.parameters():
        parameter.grad = None
    output = convolution(images)
    (output * torch.arange(output.numel()).view(output.shape).sin()).sum().backward()
    bias = convolution.bias
    return output.detach(), images.grad, convolution.weight.grad, None if bias is None else bias.grad


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "height", "width", "bias"),
    [
        (3, 1, 1, 1, 1, False), (3, 2, 1, 2, 2, False), (3, 2, 1, 1, 2, True), (1, 2, 0, 2, 2, False),
        (3, 2, 1, 3, 3, True), (5, 1, 2, 1, 1, True), ((3, 1), (2, 2), (1, 0), 2, 2, True), (3, 1, 0, 3, 3, False),
        (3, 2, 1, 4, 4, False), (7, 2, 3, 8, 8, False), (3, 3, 0, 5, 5, True),
    ],
)  # fmt: skip
def test_it_is_torchs_convolution(kernel, stride, padding, height, width, bias, memory_format):
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 5, kernel, stride, padding, bias=bias)
    network = nn.Sequential(plain)
    crop_convolutions(network)
    assert type(network[0]) is CroppedConv2d
    assert network[0].weight is plain.weight
    images = torch.randn(4, 6, height, width).contiguous(memory_format=memory_format)
    for expected, found in zip(with_gradients(plain, images), with_gradients(network[0], images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_one_pixel_costs_one_number_of_each_kernel():
    """By counting: a product of (4, 6) and (6, 5) matrices, and no convolution."""
    network = nn.Sequential(nn.Conv2d(6, 5, 3, padding=1, bias=False))
    crop_convolutions(network)
    with torch.profiler.profile(with_flops=True) as profile:
        network(torch.randn(4, 6, 1, 1))
    flops = {event.key: event.flops for event in profile.key_averages() if event.flops}
    assert flops == {"aten::mm": 2 * 4 * 6 * 5}


@pytest.mark.parametrize("change", [{"groups": 2}, {"dilation": 2}, {"padding_mode": "circular"}, {"padding": "same"}])
def test_what_cannot_be_cropped_stays(change):
    network = nn.Sequential(nn.Conv2d(6, 4, 3, **{"padding": 1, **change}))
    crop_convolutions(network)
    assert type(network[0]) is nn.Conv2d


def test_resnet18_is_torchvisions_with_the_same_weights_and_names():
    torch.manual_seed(3)
    expected = torchvision_resnet18()
    expected.fc = nn.Linear(512, 10)
    torch.manual_seed(3)
    found = resnet18(10)
    assert list(found.state_dict()) == list(expected.state_dict())
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    losses = [nn.functional.cross_entropy(network(images), labels) for network in (expected, found)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0)
    for (name, old), new in zip(expected.named_parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(new.grad, old.grad, rtol=1e-3, atol=1e-4 * float(old.grad.abs().max()), msg=name)


def test_its_graph_has_each_convolution_as_one_layer():
    graph = graph_of(resnet18())
    assert (
        sum(
            node.target.endswith(("conv1", "conv2", "downsample.0")) for node in graph.nodes if node.op == "call_module"
        )
        == 20
    )
