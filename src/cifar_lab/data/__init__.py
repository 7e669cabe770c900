"""Images as uint8 arrays in memory, prepared once into a checked cache, and the batches cut from them."""

from cifar_lab.data.catalog import (
    DATASETS,
    DatasetCatalog,
    folder_name,
    known,
    load_test,
    load_train,
    prepare,
    read_ahead,
    train_labels,
)
from cifar_lab.data.named_validation import named_indices
from cifar_lab.data.splits import DataInfo, Images, ListedCounts, Progress, Source, Split
from cifar_lab.data.validation import check_val_size, set_aside, split_hash, validation_count, validation_split

__all__ = [
    "DATASETS", "DataInfo", "DatasetCatalog", "Images", "ListedCounts", "Progress", "Source", "Split",
    "check_val_size", "folder_name", "known", "load_test", "load_train", "named_indices", "prepare", "read_ahead",
    "set_aside", "split_hash", "train_labels", "validation_count", "validation_split",
]  # fmt: skip
