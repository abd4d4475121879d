"""Data: where rows come from, what is done to them, and how they become mini-batches.

One idea: a data set has named fields, `map` puts transforms on their way out, and `batches`
yields tuples or dicts of arrays that a compiled function takes as they are.
"""

from graphc.data.archives import from_npy, from_npz
from graphc.data.augment import Augmentation, CentreCrop, Crop, Flip, Noise, Shift
from graphc.data.bundled import breast_cancer, diabetes, digits, iris, linnerud, wine
from graphc.data.checks import check_finite, check_labels
from graphc.data.dataset import Dataset
from graphc.data.fitting import MeanImage, PerChannel, Standardise
from graphc.data.idx import from_idx, read_idx, write_idx
from graphc.data.loader import Batches
from graphc.data.order import permutation
from graphc.data.pictures import from_folder
from graphc.data.places import cifar10, cifar100, data_folder, mnist
from graphc.data.problems import DataError, MissingDataError, MissingPackageError
from graphc.data.scaling import OneHot, Scale, one_hot
from graphc.data.splits import kfold, split
from graphc.data.streams import Stream, from_generator
from graphc.data.symbolic import SharedData, shared
from graphc.data.tables import Table, from_arrays
from graphc.data.text import from_csv
from graphc.data.whitening import Whiten

__all__ = [
    "Augmentation", "Batches", "CentreCrop", "Crop", "DataError", "Dataset", "Flip", "MeanImage",
    "MissingDataError", "MissingPackageError", "Noise", "OneHot", "PerChannel", "Scale",
    "SharedData", "Shift", "Standardise", "Stream", "Table", "Whiten", "breast_cancer",
    "check_finite", "check_labels", "cifar10", "cifar100", "data_folder", "diabetes", "digits",
    "from_arrays", "from_csv", "from_folder", "from_generator", "from_idx", "from_npy",
    "from_npz", "iris", "kfold", "linnerud", "mnist", "one_hot", "permutation", "read_idx",
    "shared", "split", "wine", "write_idx",
]  # fmt: skip
