"""Images as uint8 arrays in memory, prepared once into a checked cache, and the batches cut from them."""

from cifar_lab.data.catalog import DATASETS, DatasetCatalog, folder_name, known, load_test, load_train, prepare
from cifar_lab.data.splits import DataInfo, Images, Progress, Source, Split
from cifar_lab.data.validation import check_val_size, split_hash, validation_split

__all__ = [
    "DATASETS", "DataInfo", "DatasetCatalog", "Images", "Progress", "Source", "Split",
    "check_val_size", "folder_name", "known", "load_test", "load_train", "prepare", "split_hash", "validation_split",
]  # fmt: skip
