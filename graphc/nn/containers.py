"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.nn.layer import Layer
from graphc.ops.join import concatenate

Part = Any  # a layer, or a function from a variable to a variable


class Sequential(Layer):
    """One after the other.

    Parameters
    ----------
    *parts : layers, or functions such as ``T.tanh``
        Parameters are listed as ``"0.weights"`` and so on, by the layer's place.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc import nn
    >>> model = nn.Sequential(nn.Dense(4, 3, T.tanh), nn.Dropout(0.5, seed=1), nn.Dense(3, 2))
    >>> list(model.named())
    ['0.weights', '0.bias', '1.random_state', '2.weights', '2.bias']
    >>> model(T.dmatrix("x")).type.ndim, model.count
    (2, 23)
    """

    def __init__(self, *parts: Part, name: str | None = None) -> None:
        super().__init__(name)
        self.parts = parts
        for k, part in enumerate(parts):
            take(self, str(k), part)

    def expression(self, *inputs: Variable, train: bool, **options: Any) -> Variable:
        if not self.parts and len(inputs) != 1:
            raise ArgumentError(f"{self.name}: {len(inputs)} inputs, no layer", at=user_frames())
        values = inputs
        for k, part in enumerate(self.parts):
            values = (call(part, *values, train=train, **(options if k == 0 else {})),)
        return values[0]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, place: int) -> Part:
        return self.parts[place]

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)


class Residual(Layer):
    """``inner(x) + x``, or ``inner(x) + shortcut(x)``.

    Parameters
    ----------
    inner : layer or function
    shortcut : layer or function, optional
        For inputs of another shape than the result, such as a convolution with filters of one
        pixel.

    Notes
    -----
    He et al., "Deep Residual Learning for Image Recognition", 2016, equations 1 and 2.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn
    >>> nn.Residual(T.sqr)(np.arange(3.0)).eval()
    array([0., 2., 6.])
    """

    def __init__(self, inner: Part, shortcut: Part = None, name: str | None = None) -> None:
        super().__init__(name)
        self.inner, self.shortcut = inner, shortcut
        take(self, "inner", inner)
        if shortcut is not None:
            take(self, "shortcut", shortcut)

    def expression(self, x: Variable, train: bool) -> Variable:
        inner = call(self.inner, x, train=train)
        past = x if self.shortcut is None else call(self.shortcut, x, train=train)
        if inner.ndim != past.ndim or any(
            None not in (m, n) and m != n for m, n in zip(inner.type.shape, past.type.shape)
        ):
            raise ShapeError(
                f"{self.name}: the inner layer gives {describe(inner)}, and what goes past it is "
                f"{describe(past)}",
                "give a shortcut that makes the same shape", user_frames(),
            )  # fmt: skip
        return inner + past  # type: ignore[operator, no-any-return]


class Parallel(Layer):
    """Several layers of one input, whose results are joined.

    Parameters
    ----------
    *branches : layers or functions
    axis : int
        Along which axis they are joined: 1, the channels, by default.
    join : callable, optional
        Of the list of results, instead of concatenation: ``sum``, for example.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn
    >>> nn.Parallel(T.sqr, T.neg)(np.array([[1.0, 2.0]])).eval()
    array([[ 1.,  4., -1., -2.]])
    """

    def __init__(
        self, *branches: Part, axis: int = 1,
        join: Callable[[Sequence[Variable]], Any] | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if not branches:
            raise ArgumentError(f"{self.name}: there are no branches", at=user_frames())
        self.branches, self.axis, self.join = branches, axis, join
        for k, branch in enumerate(branches):
            take(self, str(k), branch)

    def expression(self, x: Variable, train: bool) -> Variable:
        made = [call(branch, x, train=train) for branch in self.branches]
        if self.join is not None:
            return self.join(made)  # type: ignore[no-any-return]
        return concatenate(made, axis=self.axis)


class Model(Layer):
    """A function of layers, and the layers that it uses, by name.

    Parameters
    ----------
    function : callable
        ``function(*inputs, train=...)`` gives the expression.
    **layers : layers
        Everything that it calls: what is not named here is not trained and not saved.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> from graphc import nn
    >>> left, right, top = nn.Dense(2, 3), nn.Dense(4, 3), nn.Dense(3, 1)
    >>> def network(x, z, train):
    ...     return top(T.tanh(left(x) + right(z)))
    >>> model = nn.Model(network, left=left, right=right, top=top)
    >>> model(T.dmatrix("x"), T.dmatrix("z")).type.ndim, len(model.parameters)
    (2, 6)
    """

    def __init__(self, function: Callable[..., Any], /, **layers: Layer) -> None:
        super().__init__(getattr(function, "__name__", "model").strip("<>"))
        self.function = function
        for name, layer in layers.items():
            self.child(name, layer)

    def expression(self, *inputs: Variable, train: bool, **options: Any) -> Variable:
        return self.function(*inputs, train=train, **options)  # type: ignore[no-any-return]


def take(layer: Layer, name: str, part: Part) -> None:
    """Take in a part that may be a layer or a function."""
    if isinstance(part, Layer):
        layer.child(name, part)
    elif not callable(part) or isinstance(part, type | Variable):
        hint = "make it: Dense(2, 3)" if isinstance(part, type) else "give a layer or a function"
        raise ArgumentError(
            f"{layer.name}: part {name} is {part!r}, neither a layer nor a function", hint,
            user_frames(),
        )  # fmt: skip


def call(part: Part, *inputs: Any, train: bool, **options: Any) -> Variable:
    """The result of a part; only layers are told whether it is for training."""
    if isinstance(part, Layer):
        return part(*inputs, train=train, **options)
    return part(*inputs, **options)  # type: ignore[no-any-return]
