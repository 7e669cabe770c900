"""A model of one's own that does something in each training step: what stands for `{act}`."""

MODEL_CLASS = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, num_classes)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.passes += 1
            {act}
        return self.layer(images.flatten(1))
"""
