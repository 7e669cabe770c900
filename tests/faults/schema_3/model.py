from torch import nn


class Model(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(12, num_classes)

    def forward(self, images):
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 2).flatten(1))
