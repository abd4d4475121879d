"""Layers of units: dense, maxout, embedding, and what goes between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, DTypeError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.initial import xavier_uniform
from graphc.nn.layer import Layer, as_shape
from graphc.ops.elementwise import add, mul
from graphc.ops.index import getitem
from graphc.ops.linalg import dot
from graphc.ops.losses import maxout
from graphc.ops.nnet import relu
from graphc.ops.shape import dim, dimshuffle, flatten, reshape

Activation = Callable[[Variable], Variable]


def bias_of(layer: Layer, bias: Any, size: int, dtype: str | None) -> Any:
    """A layer's bias: none for False, zeros for True, else a first value or a tied variable."""
    if bias is False or bias is None:
        return None
    if isinstance(bias, Variable):
        return layer.parameter("bias", (size,), dtype=dtype, given=bias)
    return layer.parameter("bias", (size,), 0.0 if bias is True else bias, dtype=dtype)


def activation_of(layer: Layer, function: Any) -> Activation | None:
    """A layer's activation, which is a function."""
    if function is not None and not callable(function):
        raise ArgumentError(
            f"{layer.name}: the activation {function!r} is not a function",
            "such as T.tanh or T.nnet.relu", user_frames(),
        )  # fmt: skip
    return function  # type: ignore[no-any-return]


class Dense(Layer):
    """``activation(x W + b)``.

    Parameters
    ----------
    inputs, units : int
        The size of the last axis before and after.
    activation : function, optional
        Such as ``T.tanh``.
    init : function, number or array
        The first value of `weights`; `graphc.initial` has many.
    bias : bool, number, array or variable
        Whether there is one, and its first value; a variable ties it.
    weights : variable, optional
        Another layer's, for tied weights: ``first.weights`` or ``first.weights.T``.
    seed : int, optional
        For `init`.
    dtype : str, optional
        ``floatX`` by default.
    name : str, optional

    Attributes
    ----------
    weights : (inputs, units)
    bias : (units,) or None

    Notes
    -----
    The input is (batch, inputs), or has more axes in front; it may be a sparse matrix.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn
    >>> layer = nn.Dense(3, 2, T.nnet.relu, init=1.0, bias=-1.0)
    >>> layer(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.5]])).eval()
    array([[5., 5.],
           [0., 0.]])
    """

    def __init__(
        self, inputs: int, units: int, activation: Activation | None = None,
        init: Any = xavier_uniform, bias: Any = True, weights: Any = None, seed: Any = None,
        dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.inputs, self.units = inputs, units
        self.activation = activation_of(self, activation)
        self.weights = self.parameter("weights", (inputs, units), init, seed, dtype, weights)
        self.bias = bias_of(self, bias, units, dtype)

    @staticmethod
    def reach(output: Variable) -> Any:
        """Places are features, or lie on axes in front that don't meet."""
        return "all" if output.ndim == 2 else None

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, None, -1, self.inputs, "features")
        z = dot(x, self.weights)
        z = z if self.bias is None else add(z, self.bias)
        return z if self.activation is None else self.activation(z)


class Maxout(Layer):
    """The largest of `pieces` linear functions for each unit (Goodfellow et al., 2013).

    ``out[u] = max over p of (x W + b)[u * pieces + p]``

    Parameters
    ----------
    inputs, units, pieces : int
    init, bias, weights, seed, dtype, name
        As for `Dense`; `weights` is (inputs, units * pieces).

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> layer = nn.Maxout(1, 1, 2, init=np.array([[1.0, -1.0]]))
    >>> layer(np.array([[-3.0], [2.0]])).eval().ravel()
    array([3., 2.])
    """

    reach = staticmethod(Dense.reach)

    def __init__(
        self, inputs: int, units: int, pieces: int = 2, init: Any = xavier_uniform,
        bias: Any = True, weights: Any = None, seed: Any = None, dtype: str | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.inputs, self.units, self.pieces = inputs, units, pieces
        shape = (inputs, units * pieces)
        self.weights = self.parameter("weights", shape, init, seed, dtype, weights)
        self.bias = bias_of(self, bias, units * pieces, dtype)

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, None, -1, self.inputs, "features")
        z = dot(x, self.weights)
        return maxout(z if self.bias is None else add(z, self.bias), self.pieces)


class PReLU(Layer):
    """``x`` where it is positive, else ``alpha x`` with an `alpha` that is learnt.

    He et al., "Delving Deep into Rectifiers", 2015.

    Parameters
    ----------
    size : int
        One `alpha` for each unit or channel; 1 for one in all.
    axis : int
        Where units or channels are: 1 by default.
    init : function, number or array
        0.25 by default.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.PReLU(2)(np.array([[-4.0, 4.0]])).eval()
    array([[-1.,  4.]])
    """

    def __init__(
        self, size: int = 1, axis: int = 1, init: Any = 0.25, dtype: str | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.size, self.axis = size, axis
        self.alpha = self.parameter("alpha", (size,), init, dtype=dtype)

    def expression(self, x: Variable, train: bool) -> Variable:
        if self.size == 1:
            return relu(x, getitem(self.alpha, 0))
        as_shape(self.name, x, None, self.axis, self.size, "channels")
        return relu(x, along(self.alpha, x, self.axis))


def along(vector: Variable, x: Variable, axis: int) -> Variable:
    """A vector with the axes of `x`, its own in the place of one."""
    place = axis % x.ndim
    return dimshuffle(vector, *("x",) * place, 0, *("x",) * (x.ndim - place - 1))


class Embedding(Layer):
    """A row of a table for each integer.

    Parameters
    ----------
    entries, size : int
        How many rows, and how long they are.
    init, weights, seed, dtype, name
        As for `Dense`; `weights` is (entries, size).

    Notes
    -----
    The result has one axis more than the input. An integer outside the table is an error when
    the function runs; those below 0 count from its end, as indices do. Gradients of rows that are
    named several times add up.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> table = nn.Embedding(3, 2, init=np.arange(6.0).reshape(3, 2))
    >>> table(np.array([2, 0])).eval()
    array([[4., 5.],
           [0., 1.]])
    """

    def __init__(
        self, entries: int, size: int, init: Any = xavier_uniform, weights: Any = None,
        seed: Any = None, dtype: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.entries, self.size = entries, size
        self.weights = self.parameter("weights", (entries, size), init, seed, dtype, weights)

    def expression(self, x: Variable, train: bool) -> Variable:
        if not dtypes.is_integer(x.dtype):
            raise DTypeError(
                f"{self.name}: {describe(x)} names no rows", "give integers: T.imatrix, or "
                "x.astype('int32')", user_frames(),
            )  # fmt: skip
        return getitem(self.weights, x)


class Flatten(Layer):
    """All axes but the first as one: (batch, channels, height, width) becomes (batch, features).

    Parameters
    ----------
    axes : int
        How many axes are left, 2 by default.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Flatten()(np.zeros((5, 2, 3, 3))).eval().shape
    (5, 18)
    """

    def __init__(self, axes: int = 2, name: str | None = None) -> None:
        super().__init__(name)
        self.axes = axes

    def expression(self, x: Variable, train: bool) -> Variable:
        if x.ndim < self.axes:
            raise ShapeError(
                f"{self.name}: {describe(x)} has fewer than {self.axes} axes", at=user_frames()
            )
        return flatten(x, self.axes)


class Reshape(Layer):
    """Each example in another shape.

    Parameters
    ----------
    *shape : int
        Of one example, without the batch; one size may be -1.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Reshape(1, 2, 2)(np.zeros((5, 4))).eval().shape
    (5, 1, 2, 2)
    """

    def __init__(self, *shape: int, name: str | None = None) -> None:
        super().__init__(name)
        self.shape = shape

    def expression(self, x: Variable, train: bool) -> Variable:
        return reshape(x, [dim(x, 0), *self.shape])


class Scale(Layer):
    """``x * gain + bias`` with one learnt number each for every channel.

    Parameters
    ----------
    size : int
        How many channels.
    axis : int
        Where they are: 1 by default.

    Examples
    --------
    >>> import numpy as np
    >>> from graphc import nn
    >>> nn.Scale(2)(np.array([[3.0, 4.0]])).eval()
    array([[3., 4.]])
    """

    def __init__(
        self, size: int, axis: int = 1, bias: Any = True, dtype: str | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.size, self.axis = size, axis
        self.gain = self.parameter("gain", (size,), 1.0, dtype=dtype)
        self.bias = bias_of(self, bias, size, dtype)

    def expression(self, x: Variable, train: bool) -> Variable:
        as_shape(self.name, x, None, self.axis, self.size, "channels")
        y = mul(x, along(self.gain, x, self.axis))
        return y if self.bias is None else add(y, along(self.bias, x, self.axis))
