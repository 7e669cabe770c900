"""cifar-lab: controlled training experiments on small images. Importing it does not import torch."""

from __future__ import annotations

__version__ = "0.1.0"
