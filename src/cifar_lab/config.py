"""The settings of an experiment: frozen, typed, checked when they are made. No torch, no files.

The text below a field is its documentation: meaning, unit, special values. `cifar-lab schema` and editors show it.
A section with a choice (`model.name`, `optimizer.name`, …) has one class a choice, so a setting exists only where
it means something. Defaults never change their meaning: a default left out of a file is left out of a run's id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

MAX_SEED = 2**32 - 1

Probability = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Section(BaseModel):
    """Base of every section: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# --- data -----------------------------------------------------------------------------------------------------------


class DataOptions(Section):
    """What every data set shares."""

    batch_size: int = Field(64, ge=1, le=65_536)
    """Images a step. The last step of an epoch takes what is left over."""
    flip: bool = False
    """Mirror each training image left to right with probability 0.5, anew in each epoch."""
    crop_padding: int = Field(0, ge=0, le=16)
    """Pixels of black added on each side before a random 32 × 32 crop; 0 is no crop."""
    policy: Literal["none", "autoaugment", "randaugment", "trivialaugment"] = "none"
    """Augmentation policy, drawn for each image: AutoAugment (arXiv:1805.09501, its CIFAR-10 policy), RandAugment
    (arXiv:1909.13719, 2 operations at magnitude 9) or TrivialAugment (arXiv:2103.10158, wide)."""
    noise_std: float = Field(0.0, ge=0, le=1)
    """Standard deviation of Gaussian noise added to training pixels, which run from 0 to 1; 0 is no noise."""
    normalize: Literal["half", "channel", "none"] = "half"
    """`half`: (pixel − 0.5) / 0.5; `channel`: mean and standard deviation of each channel over all training images,
    those of a validation split too; `none`: pixels from 0 to 1."""
    val_size: int = Field(0, ge=0)
    """Images cut from the training split, the same share of each class, to choose by; 0 is no validation split."""
    split_seed: Seed = 0
    """Seed of the validation split: the same images for every run, whatever its own seed."""


class Cifar10(DataOptions):
    """CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images in 10 classes."""

    dataset: Literal["cifar10"] = "cifar10"
    root: str | None = None
    """Folder that holds the archive or receives it; null is `cifar-lab`'s own cache folder."""


class Cifar100(DataOptions):
    """CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test images in 100 classes."""

    dataset: Literal["cifar100"]
    root: str | None = None
    """Folder that holds the archive or receives it; null is `cifar-lab`'s own cache folder."""


class ImageFolder(DataOptions):
    """Images of your own: `train/<class>/…` and `test/<class>/…`, anywhere inside a folder or a zip file."""

    dataset: Literal["imagefolder"]
    root: str
    """The folder or zip file. Images of another size are resized to 32 × 32."""


class Synthetic(DataOptions):
    """Ten made-up classes, 32 × 32 × 3, drawn from a seed: to try the tool, never to draw conclusions."""

    dataset: Literal["synthetic"]
    train_size: int = Field(5_000, ge=10, le=200_000)
    """Training images, before the validation split."""
    test_size: int = Field(1_000, ge=10, le=200_000)
    """Test images."""
    difficulty: float = Field(0.5, ge=0, le=1)
    """0 is easy, 1 is close to chance."""
    data_seed: Seed = 0
    """Seed of the images themselves; the run's seed does not touch them."""


Data = Annotated[Cifar10 | Cifar100 | ImageFolder | Synthetic, Field(discriminator="dataset")]

# --- model ----------------------------------------------------------------------------------------------------------


class ModelOptions(Section):
    """What every built-in model shares."""

    weights: str | None = None
    """Pretrained weights (a state dict, .safetensors or .pt); the last layer is made new. Null: from scratch."""


class Net(ModelOptions):
    """The tutorial network: conv 3→6 5×5, pool, conv 6→16 5×5, pool, linear 400→120→84→classes, ReLU."""

    name: Literal["Net"] = "Net"


class Net1(ModelOptions):
    """Net with BatchNorm after conv1, conv2 and fc1."""

    name: Literal["Net1"]


class Net2(ModelOptions):
    """Net with Kaiming-normal initialisation of its convolutions and linear layers (arXiv:1502.01852)."""

    name: Literal["Net2"]


class Net3(ModelOptions):
    """Net with twice the channels: 12, 32, 240, 168."""

    name: Literal["Net3"]


class ResNet18(ModelOptions):
    """torchvision's ResNet-18 (arXiv:1512.03385), its last layer replaced."""

    name: Literal["ResNet18"]
    pretrained: bool = False
    """Start from torchvision's ImageNet weights (IMAGENET1K_V1)."""


class CustomModel(Section):
    """A `torch.nn.Module` of your own, called as `Class(num_classes=…, **options)`."""

    name: str = Field(pattern=r"^[^:\s][^:]*:[A-Za-z_][A-Za-z0-9_]*$")
    """`package.module:Class`, or `path/to/file.py:Class` with the path relative to the settings file. The id of a run
    names the file and the files beside it that it imports; of a package only the module itself."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the class: numbers, strings, booleans, lists and mappings of them."""


BUILT_IN_MODELS: dict[str, type[Section]] = {
    "Net": Net, "Net1": Net1, "Net2": Net2, "Net3": Net3, "ResNet18": ResNet18,
}  # fmt: skip


def _model_tag(value: Any) -> str:
    """The class of a model section: a built-in name, or custom when it holds a colon."""
    name = value.get("name", "Net") if isinstance(value, dict) else getattr(value, "name", "Net")
    return "custom" if isinstance(name, str) and ":" in name else str(name)


Model = Annotated[
    Annotated[Net, Tag("Net")]
    | Annotated[Net1, Tag("Net1")]
    | Annotated[Net2, Tag("Net2")]
    | Annotated[Net3, Tag("Net3")]
    | Annotated[ResNet18, Tag("ResNet18")]
    | Annotated[CustomModel, Tag("custom")],
    Discriminator(_model_tag),
]

# --- optimizer ------------------------------------------------------------------------------------------------------


class OptimizerOptions(Section):
    """What every optimizer shares."""

    lr: float = Field(0.001, gt=0)
    """Learning rate a step, before the scheduler."""
    weight_decay: float = Field(0.0, ge=0)
    """SGD, Adam: factor of the L2 penalty added to the gradient. AdamW: decoupled decay, times lr a step."""


class SGD(OptimizerOptions):
    """Stochastic gradient descent in torch's form: buf ← momentum · buf + grad; w ← w − lr · buf."""

    name: Literal["sgd"] = "sgd"
    momentum: Probability = 0.9
    """Share of the last update that is kept; 0 is plain SGD."""
    nesterov: bool = False
    """Nesterov's look-ahead; needs momentum above 0."""


class Adam(OptimizerOptions):
    """Adam (arXiv:1412.6980)."""

    name: Literal["adam"]
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.9, 0.999)
    """Decay a step of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""


class AdamW(Adam):
    """Adam with decoupled weight decay (arXiv:1711.05101)."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: float = Field(0.01, ge=0)


Optimizer = Annotated[SGD | Adam | AdamW, Field(discriminator="name")]

# --- scheduler ------------------------------------------------------------------------------------------------------


class WarmUp(Section):
    """What the schedulers without a warm-up of their own share."""

    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs (fractions allowed) in which the learning rate rises linearly from 0 to where the schedule would be."""


class NoSchedule(WarmUp):
    """A constant learning rate."""

    name: Literal["none"] = "none"


class Plateau(WarmUp):
    """torch's ReduceLROnPlateau: the learning rate is cut when a number stops to improve. Decided at epoch ends."""

    name: Literal["plateau"]
    monitor: Literal["train_loss", "val_loss", "val_accuracy"] = "train_loss"
    """The number watched: the epoch's mean training loss, or the validation split's loss or accuracy."""
    factor: float = Field(0.1, gt=0, lt=1)
    """The learning rate is multiplied by this."""
    patience: int = Field(5, ge=0)
    """Epochs without improvement that are let pass."""
    threshold: float = Field(1e-4, ge=0)
    """Relative change that counts as an improvement."""
    cooldown: int = Field(0, ge=0)
    """Epochs after a cut in which nothing is counted."""
    min_lr: float = Field(0.0, ge=0)
    """The learning rate is not cut below this."""


class Step(WarmUp):
    """torch's StepLR: the learning rate is cut every few epochs."""

    name: Literal["step"]
    step_epochs: int = Field(3, ge=1)
    """Epochs between cuts."""
    gamma: float = Field(0.1, gt=0, le=1)
    """The learning rate is multiplied by this at each cut."""


class Cosine(WarmUp):
    """Half a cosine from lr to min_lr over all steps (arXiv:1608.03983, without restarts). Decided at each step."""

    name: Literal["cosine"]
    min_lr: float = Field(0.0, ge=0)
    """Learning rate at the end."""


class OneCycle(Section):
    """torch's OneCycleLR (arXiv:1708.07120, cosine form): up, then far down. Decided at each step."""

    name: Literal["one_cycle"]
    max_lr: float | None = Field(None, gt=0)
    """Learning rate at the peak; null is optimizer.lr."""
    pct_start: float = Field(0.3, gt=0, lt=1)
    """Share of the steps spent on the way up."""
    div_factor: float = Field(25.0, ge=1)
    """First learning rate = max_lr / div_factor."""
    final_div_factor: float = Field(1e4, ge=1)
    """Last learning rate = first learning rate / final_div_factor."""
    cycle_momentum: bool = True
    """Move momentum (SGD) or the first beta (Adam, AdamW) against the learning rate, between base and max momentum."""
    base_momentum: Probability = 0.85
    """Momentum at the peak of the learning rate."""
    max_momentum: Probability = 0.95
    """Momentum at both ends."""


Scheduler = Annotated[NoSchedule | Plateau | Step | Cosine | OneCycle, Field(discriminator="name")]

# --- loss, runtime --------------------------------------------------------------------------------------------------


class Loss(Section):
    """Cross-entropy of the logits against the class, averaged over the batch."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Probability = 0.0
    """Share of the target spread evenly over all classes (arXiv:1512.00567)."""


class Runtime(Section):
    """How to execute. Only `precision` changes a run's numbers beyond rounding, so only it enters a run's id."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU where there is one; `cuda` insists."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16`: forward pass in bfloat16 by autocast, parameters and updates in fp32."""
    compile: bool = False
    """Pass the model through torch.compile: pays after minutes, needs a C++ compiler."""
    deterministic: bool = True
    """Only kernels that give the same bits each time."""
    cohort: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Most runs trained together as one stacked set of parameters. `auto`: of a small model as many as fit into a GPU's
    memory; 1 of a large one, and on the CPU, where processes side by side are faster."""
    threads: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    """CPU threads of one run. `auto`: a share of the free cores, equal for all runs side by side; for the Net family at
    most 2."""


# --- the whole ------------------------------------------------------------------------------------------------------


class Settings(Section):
    """One arm of an experiment: everything that `cifar-lab run` needs to know."""

    label: str = Field("", max_length=200)
    """Name on charts and in tables; empty is the file's name. Not part of a run's id."""
    data: Data = Cifar10()
    model: Model = Net()
    optimizer: Optimizer = SGD()
    scheduler: Scheduler = NoSchedule()
    loss: Loss = Loss()
    epochs: int = Field(10, ge=1, le=100_000)
    """Passes over the training split."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=10_000)] = (0, 1, 2)
    """One run a seed. A seed decides initial weights, data order and augmentation, each from a stream of its own."""
    runtime: Runtime = Runtime()


SECTION_CHOICES: dict[str, tuple[str, dict[str, type[Section]]]] = {
    "data": ("dataset", {"cifar10": Cifar10, "cifar100": Cifar100, "imagefolder": ImageFolder, "synthetic": Synthetic}),
    "model": ("name", BUILT_IN_MODELS),
    "optimizer": ("name", {"sgd": SGD, "adam": Adam, "adamw": AdamW}),
    "scheduler": (
        "name",
        {"none": NoSchedule, "plateau": Plateau, "step": Step, "cosine": Cosine, "one_cycle": OneCycle},
    ),
}
"""Sections with a choice: the key that chooses, and the class of each choice. The first is the default."""
