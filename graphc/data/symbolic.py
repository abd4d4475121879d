"""Data in shared variables, and symbolic mini-batches of them: epochs without Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.core.node import Array, SharedVariable, Variable
from graphc.data.order import permutation, read_count, read_seed
from graphc.data.problems import problem
from graphc.data.tables import Table
from graphc.sharing import shared as make_shared


class SharedData:
    """What `shared` returns.

    Attributes
    ----------
    variables : dict of str to shared variable
        The fields.
    order : shared variable or None
        Row numbers in the order of the epoch, where rows are shuffled.
    """

    def __init__(self, dataset: Table, seed: int | None) -> None:
        self.rows, self.as_dict, self.seed = len(dataset), dataset.as_dict, seed
        self.variables: dict[str, Any] = {
            name: make_shared(dataset[name], name=name, borrow=True) for name in dataset.names
        }
        self.order: SharedVariable | None = None
        if seed is not None:
            order = permutation(self.rows, seed, 0)
            self.order = make_shared(order, name="order")  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.rows

    def batch(self, index: Variable, size: int) -> Any:
        """Mini-batch number `index`, as expressions: a tuple, or a dict.

        Parameters
        ----------
        index : integer scalar
            From 0 to the last of `numbers`.
        size : int
            Rows in a batch; the last one may have fewer.
        """
        self._check(size)
        part = slice(index * size, (index + 1) * size)
        where = part if self.order is None else self.order[part]  # type: ignore[index]
        found = {name: v[where] for name, v in self.variables.items()}
        return found if self.as_dict else tuple(found.values())

    def numbers(self, size: int, drop_last: bool = False) -> Array:
        """The numbers of an epoch's batches, for ``graphc.each``."""
        self._check(size)
        return np.arange(self.rows // size if drop_last else -(-self.rows // size))

    def start_epoch(self, epoch: int) -> None:
        """Bring rows into the order of an epoch, that of ``dataset.batches``."""
        if self.order is None or self.seed is None:
            raise problem("start_epoch: rows are not shuffled", "shared(dataset, shuffle=True)")
        self.order.set_value(permutation(self.rows, self.seed, read_count(epoch, "epoch", 0)))

    def _check(self, size: int) -> None:
        if read_count(size, "size") > self.rows:
            raise problem(f"a batch of {size} rows is larger than the data, {self.rows} rows",
                          f"size={self.rows} is the full batch")  # fmt: skip


def shared(dataset: Table, shuffle: bool = False, seed: int | None = 0) -> SharedData:
    """Shared variables with all rows, of which functions take mini-batches by number.

    Parameters
    ----------
    dataset : Table
        Its rows, transformed, are held in memory once more.
    shuffle : bool
        Whether batches gather rows by an order that `SharedData.start_epoch` changes. Without
        it they are parts of the variables, which costs no copy.
    seed : int or None
        Of the orders.

    Returns
    -------
    SharedData

    Raises
    ------
    DataError
        For data of a generator, and for random transforms, which are not symbolic.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc import data
    >>> rows = data.shared(data.from_arrays(np.arange(6.0)))
    >>> i = T.lscalar("i")
    >>> x, = rows.batch(i, size=4)
    >>> step = graphc.function([i], x.sum())
    >>> graphc.loop(step, graphc.each(rows.numbers(4)))
    array([6., 9.])
    """
    if not isinstance(dataset, Table):
        raise problem(
            f"shared: {type(dataset).__name__} is not held in memory",
            "use its batches(), or from_arrays",
        )
    random = [step for step in dataset.steps if hasattr(step.transform, "draw")]
    if random:
        raise problem(
            f"shared: {random[0]} is random, and rows are transformed once only",
            "use batches(), or draw in the graph with graphc.random",
        )
    return SharedData(dataset, read_seed(seed) if shuffle else None)
