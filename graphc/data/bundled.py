"""Real data that come with scikit-learn: no download."""

from __future__ import annotations

from typing import Any

from graphc.core.dtypes import host_float
from graphc.data.problems import optional
from graphc.data.tables import Table, table


def digits(flat: bool = True) -> Table:
    """1,797 handwritten digits, 8 by 8 pixels with values 0 ... 1; ``y`` is 0 ... 9.

    Parameters
    ----------
    flat : bool
        Whether ``x`` is (rows, 64); (rows, 1, 8, 8) otherwise.

    Raises
    ------
    MissingPackageError
        Without scikit-learn.

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998.
    """
    found = _load("digits")
    made = _classified(found)
    x = made.columns["x"] / 16
    columns = {"x": x if flat else x.reshape(-1, 1, 8, 8), "y": made.columns["y"]}
    return table(columns, classes=made.classes)


def iris() -> Table:
    """150 irises of three species by four lengths (Fisher 1936)."""
    return _classified(_load("iris"))


def wine() -> Table:
    """178 wines of three growers by thirteen chemical measurements (UCI, 1991)."""
    return _classified(_load("wine"))


def breast_cancer() -> Table:
    """569 tumours, malignant (0) or benign (1), by thirty measurements (UCI, 1995)."""
    return _classified(_load("breast_cancer"))


def diabetes() -> Table:
    """442 patients by ten measurements; ``y`` is the disease's progress (Efron et al. 2004)."""
    found = _load("diabetes")
    return table({"x": found.data.astype(host_float()), "y": found.target.astype(host_float())})


def linnerud() -> Table:
    """20 men by three exercises; ``y`` is weight, waist and pulse (Tenenhaus 1998)."""
    found = _load("linnerud")
    return table({"x": found.data.astype(host_float()), "y": found.target.astype(host_float())})


def _load(name: str) -> Any:
    datasets = optional("sklearn.datasets", "scikit-learn", f"graphc.data.{name}")
    return getattr(datasets, f"load_{name}")()


def _classified(found: Any) -> Table:
    columns = {"x": found.data.astype(host_float()), "y": found.target.astype("int32")}
    return table(columns, classes=found.target_names)
