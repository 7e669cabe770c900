from torch import nn


class Model(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(12, num_classes)

    def forward(self, images):
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 2).flatten(1))


def top3(logits, labels):
    return (logits.topk(3).indices == labels[:, None]).any(1).float().mean()
