"""The network of most runs of this lab: 490 numbers, so that its files are small. Its text is part of their ids."""

from torch import Tensor, nn


class Small(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(48, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 4).flatten(1))
