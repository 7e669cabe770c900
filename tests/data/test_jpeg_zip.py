"""The real images: CIFAR-10 as JPEG in a zip. Where CI is set and the zip is missing, this fails."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data as images
from cifar_lab.config import ImageFolder

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.slow
def test_every_image_of_the_zip_in_its_place(jpeg_zip):
    data = ImageFolder(dataset="imagefolder", root=str(jpeg_zip))
    info = images.prepare(data)
    assert (info.classes, info.train_size, info.test_size) == (CLASSES, 50_000, 10_000)
    np.testing.assert_allclose(info.channel_mean, (0.4914, 0.4822, 0.4465), atol=5e-4)  # CIFAR-10's own
    np.testing.assert_allclose(info.channel_std, (0.2470, 0.2435, 0.2616), atol=3e-3)  # JPEG takes a little
    for split, name, a_class in ((images.load_train(data), "train", 5000), (images.load_test(data), "test", 1000)):
        np.testing.assert_array_equal(split.labels, np.repeat(np.arange(10), a_class))
        with zipfile.ZipFile(jpeg_zip) as archive:
            for label, index in ((0, 0), (3, 17), (9, a_class - 1)):
                content = archive.read(f"cifar10-jpeg/{name}/{CLASSES[label]}/{index:04}.jpg")
                expected = np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1)
                np.testing.assert_array_equal(split.images[label * a_class + index], expected)
