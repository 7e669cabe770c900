"""Settings of the images: source, splits, batches, augmentation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from cifar_lab.config.roles import CODE_NAME, Component, IdleUnless, Mark, NameSet, Role, Section, Seed

IMAGE_SIDE = 32
"""Rows and columns of an image in pixels, where no setting states another size."""


def _flip_of(stated: Any) -> Any:
    """`random` is the older `true`, so that both name the same runs."""
    return True if stated == "random" else stated


Flip = Annotated[bool | Literal["random", "alternating"], BeforeValidator(_flip_of)]
"""Mirroring of training images. `random` is kept as true."""

ImageCount = Annotated[int, Field(ge=0)]
ImageShare = Annotated[float, Field(gt=0, lt=1)]


class Sizes(NamedTuple):
    """Image and class counts of a data set, known before its images are read."""

    train: int
    """Training images, before the validation split."""
    test: int
    classes: int


class DataOptions(Section):
    """Settings of every data set."""

    component: ClassVar[Component]

    batch_size: Annotated[int, Role.SHARED] = Field(64, ge=1, le=65_536)
    """Images per step. The last step of an epoch takes the remaining images."""
    flip: Annotated[Flip, Role.MEMBER] = False
    """Mirror training images left to right. `random`, which is `true`: each with probability 0.5, drawn in each epoch.
    `alternating`: the images that are mirrored in the first epoch are drawn once per run, and every other epoch mirrors
    the others (arXiv:2404.00498)."""
    crop_padding: Annotated[int, Role.SHARED] = Field(0, ge=0, le=16)
    """Pixels added on each side before a random 32 × 32 crop. 0: no crop."""
    crop_padding_mode: Annotated[Literal["zeros", "reflect"], Role.SHARED, Mark.LATER, IdleUnless("crop_padding")] = (
        "zeros"
    )
    """Pixels that a crop adds: black (arXiv:1512.03385, section 4.2), or the image mirrored at its border, as in
    arXiv:2404.00498."""
    policy: Annotated[Literal["none", "autoaugment", "randaugment", "trivialaugment"], Role.SHARED] = "none"
    """Augmentation policy, drawn for each image: AutoAugment (arXiv:1805.09501, its CIFAR-10 policy), RandAugment
    (arXiv:1909.13719, 2 operations at magnitude 9) or TrivialAugment (arXiv:2103.10158, wide)."""
    augment: Annotated[str | None, Role.SHARED, Mark.PATH, Mark.CODE, Mark.LATER] = Field(None, pattern=CODE_NAME)
    """Your augmentation, `path/to/file.py:NAME` or `package.module:NAME`: a function `f(images, generator)` that takes
    uint8 images (B, 3, H, W) after crop, flip and policy, and returns images of the same shape and type. It draws its
    random numbers from the generator. The id of a run includes its source, as that of a model."""
    noise_std: Annotated[float, Role.SHARED] = Field(0.0, ge=0, le=1)
    """Standard deviation of Gaussian noise added to training pixels, which run from 0 to 1; 0 is no noise."""
    mixup: Annotated[float, Role.SHARED, Mark.LATER] = Field(0.0, ge=0, le=100)
    """Mix each training image with another of its batch, and their labels alike (arXiv:1710.09412). The share of each
    step is drawn from Beta(mixup, mixup). 0: none. An image counts as correct in training if its larger part does."""
    cutmix: Annotated[float, Role.SHARED, Mark.LATER] = Field(0.0, ge=0, le=100)
    """Replace a box of each training image by that of another of its batch, and mix their labels by its area
    (arXiv:1905.04899). The share of each step is drawn from Beta(cutmix, cutmix). 0: none. Beside mixup, a step uses
    one of both with probability 0.5."""
    normalize: Annotated[Literal["half", "channel", "none", "imagenet"], Role.SHARED] = "half"
    """`half`: (pixel − 0.5) / 0.5; `channel`: mean and standard deviation of each channel over all training images,
    those of a validation split too; `none`: pixels from 0 to 1; `imagenet`: mean (0.485, 0.456, 0.406) and standard
    deviation (0.229, 0.224, 0.225), which weights of torchvision and most of timm expect."""
    classes: Annotated[NameSet, Role.SOURCE, Mark.LATER] = ()
    """Classes whose images are used, by name, at least two. They keep the order of the data set. Empty: all. Indices of
    `val_indices` count the images of these classes."""
    images_per_class: Annotated[int | None, Role.SOURCE, Mark.LATER] = Field(None, ge=1, le=1_000_000)
    """Most training images of each class, for questions about few images. The choice is random and the same for every
    run, and a larger number adds to it. The test split stays whole. Null: all. `val_size` is cut from these images."""
    val_size: Annotated[ImageCount | ImageShare, Role.SHARED] = 0
    """Training images that are set aside for validation: their number, or their share such as 0.1. Each class gives the
    same share. 0: no validation split."""
    split_seed: Annotated[Seed, Role.SHARED, IdleUnless("val_size")] = 0
    """Seed of the validation split. Every run has the same split, whatever its seed."""
    val_indices: Annotated[str | None, Role.SHARED, Mark.PATH, Mark.BY_CONTENT, Mark.LATER] = None
    """File that names the validation images, in place of `val_size`: one index per line (.txt, .csv), a list (.json) or
    an array (.npy). Index 0 is the first training image. The order is that of the files of CIFAR or of the arrays. A
    folder is ordered by class, then by path. Null: none."""

    def sizes(self) -> Sizes | None:
        """Counts that follow from the settings, or None if they depend on the files."""
        return None

    def side(self) -> int:
        """Rows and columns of an image in pixels."""
        return IMAGE_SIDE

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0

    def has_validation(self) -> bool:
        """Whether some images are set aside for validation."""
        return bool(self.val_size) or self.val_indices is not None

    def val_count(self, train: int) -> int:
        """Number of images that `val_size` sets aside, of `train` training images. A share gives at least one."""
        return self.val_size if isinstance(self.val_size, int) else max(1, round(self.val_size * train))

    def per_class(self, images: int) -> int:
        """Training images that are used of a class with so many."""
        return images if self.images_per_class is None else min(images, self.images_per_class)


def _of_classes(data: DataOptions, train: int, test: int, classes: int) -> Sizes:
    """Counts of a data set with so many classes, and so many images in each."""
    used = len(data.classes) or classes
    return Sizes(data.per_class(train) * used, test * used, used)


class Cifar10(DataOptions):
    """CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images in 10 classes."""

    component = Component(maker="cifar:Cifar10Source", label="CIFAR-10")
    dataset: Annotated[Literal["cifar10"], Role.SOURCE] = "cifar10"
    root: Annotated[str | None, Role.SOURCE, Mark.PATH, Mark.PLACE] = None
    """Folder of the downloaded archive. Null: the cache folder of `cifar-lab`."""
    test_root: Annotated[str | None, Role.SOURCE, Mark.PATH, Mark.LATER] = None
    """Other test images that replace the test split: arrays (.npy, .npz) such as CIFAR-10.1 or a file of CIFAR-10-C, or
    a folder or archive with the same classes. Null: the test split."""

    def sizes(self) -> Sizes:
        """Published counts."""
        return _of_classes(self, 5_000, 1_000, 10)


class Cifar100(DataOptions):
    """CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test images in 100 classes."""

    component = Component(maker="cifar:Cifar100Source", label="CIFAR-100")
    dataset: Annotated[Literal["cifar100"], Role.SOURCE]
    root: Annotated[str | None, Role.SOURCE, Mark.PATH, Mark.PLACE] = None
    """Folder of the downloaded archive. Null: the cache folder of `cifar-lab`."""
    test_root: Annotated[str | None, Role.SOURCE, Mark.PATH, Mark.LATER] = None
    """Other test images that replace the test split: arrays (.npy, .npz) such as CIFAR-10.1 or a file of CIFAR-10-C, or
    a folder or archive with the same classes. Null: the test split."""

    def sizes(self) -> Sizes:
        """Published counts."""
        return _of_classes(self, 500, 100, 100)


class ImageFolder(DataOptions):
    """Your images: `train/<class>/…` and `test/<class>/…`, at any depth of a folder, a zip archive or a tar archive."""

    component = Component(maker="imagefolder:ImageFolderSource")
    dataset: Annotated[Literal["imagefolder"], Role.SOURCE]
    root: Annotated[str, Role.SOURCE, Mark.PATH]
    """The folder or archive."""
    image_size: Annotated[int, Role.SOURCE, Mark.LATER] = Field(IMAGE_SIDE, ge=8, le=512)
    """Rows and columns in pixels. Images of another size are resized."""
    val_folder: Annotated[Literal["aside", "validation", "test"], Role.SOURCE, Mark.LATER] = "aside"
    """Use of a folder val/ beside train/: none, the validation split (in place of `val_size`), or the test split."""
    test_share: Annotated[float, Role.SOURCE, Mark.LATER] = Field(0.0, ge=0, lt=1)
    """Share of each class that becomes the test split where the images have none; 0 refuses such images."""
    test_root: Annotated[str | None, Role.SOURCE, Mark.PATH, Mark.LATER] = None
    """Other images to test on, in place of the test split: arrays (.npy, .npz), such as CIFAR-10.1 or a file of
    CIFAR-10-C, or a folder or archive with the same classes. Null is the test split."""

    def side(self) -> int:
        """Size of the settings."""
        return self.image_size

    def has_validation(self) -> bool:
        """Whether some images are set aside, or come as a folder val/."""
        return self.val_folder == "validation" or super().has_validation()


class Synthetic(DataOptions):
    """Ten synthetic classes, 32 × 32 × 3, generated from a seed. For trying the tool, not for conclusions."""

    component = Component(maker="synthetic:SyntheticSource", label="synthetic data")
    dataset: Annotated[Literal["synthetic"], Role.SOURCE]
    train_size: Annotated[int, Role.SOURCE] = Field(5_000, ge=10, le=200_000)
    """Training images, before the validation split."""
    test_size: Annotated[int, Role.SOURCE] = Field(1_000, ge=10, le=200_000)
    """Test images."""
    difficulty: Annotated[float, Role.SOURCE] = Field(0.5, ge=0, le=1)
    """Difficulty: 0 is easy, 1 is close to chance."""
    data_seed: Annotated[Seed, Role.SOURCE] = 0
    """Seed of the images. The seed of a run does not change them."""

    def sizes(self) -> Sizes | None:
        """Counts of the settings, with ten classes. None for a part of the images: classes differ in size."""
        return None if self.classes or self.images_per_class else Sizes(self.train_size, self.test_size, 10)


Data = Annotated[Cifar10 | Cifar100 | ImageFolder | Synthetic, Field(discriminator="dataset")]
