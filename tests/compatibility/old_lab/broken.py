"""A network that refuses its 14th training step, amid the second epoch. Its text is part of the id of its run."""

from torch import Tensor, nn


class Broken(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(48, num_classes)
        self.steps = 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 14:
            raise ValueError("refused at step 14")
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 4).flatten(1))
