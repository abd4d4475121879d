"""Layers made of layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.node import Variable, describe, user_frames
from graphc.nn.layer import Layer, names_option
from graphc.ops.join import concatenate

Part = Any  # a layer, or a function from a variable to a variable


class Sequential(Layer):
    """One after the other.

    Parameters
    ----------
    *parts : layers, or functions such as ``T.tanh``
        Parameters are listed as ``"0.weights"`` and so on, by the layer's place.

    Notes
    -----
    What a call is given besides goes to the parts that take it: ``mask=`` and ``lengths=``, which
    say where sequences end, to all of them, everything else to the only one.

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
        for part, given in zip(self.parts, routed(self, self.parts, options)):
            values = (call(part, *values, train=train, **given),)
        return values[0]

    def takes(self, option: str) -> bool:
        return any(takes(part, option) for part in self.parts)

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

    def takes(self, option: str) -> bool:
        return takes(self.inner, option) or takes(self.shortcut, option)

    def expression(self, x: Variable, train: bool, **options: Any) -> Variable:
        first, second = routed(self, (self.inner, self.shortcut), options)
        inner = call(self.inner, x, train=train, **first)
        past = x if self.shortcut is None else call(self.shortcut, x, train=train, **second)
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

    NAMES: ClassVar[Sequence[str] | None] = None  # of the branches, else by their place

    def __init__(
        self, *branches: Part, axis: int = 1,
        join: Callable[[Sequence[Variable]], Any] | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if not branches:
            raise ArgumentError(f"{self.name}: there are no branches", at=user_frames())
        self.branches, self.axis, self.join = branches, axis, join
        for k, branch in enumerate(branches):
            take(self, self.NAMES[k] if self.NAMES else str(k), branch)

    def takes(self, option: str) -> bool:
        return any(takes(branch, option) for branch in self.branches)

    def expression(self, x: Variable, train: bool, **options: Any) -> Variable:
        given = routed(self, self.branches, options)
        made = [call(b, x, train=train, **more) for b, more in zip(self.branches, given)]
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

    def takes(self, option: str) -> bool:
        return names_option(self.function, option)

    def expression(self, *inputs: Variable, train: bool, **options: Any) -> Variable:
        return self.function(*inputs, train=train, **options)  # type: ignore[no-any-return]


def take(layer: Layer, name: str, part: Part) -> None:
    """Take in a part that may be a layer or a function."""
    if isinstance(part, Layer):
        layer.child(name, part)
    elif not callable(part) or isinstance(part, type | Variable):
        hint = "make it: Dense(2, 3)" if isinstance(part, type) else "give a layer or a function"
        hint += ": a star takes a list apart, *layers" if isinstance(part, list | tuple) else ""
        raise ArgumentError(
            f"{layer.name}: part {name} is {part!r}, neither a layer nor a function", hint,
            user_frames(),
        )  # fmt: skip


def call(part: Part, *inputs: Any, train: bool, **options: Any) -> Variable:
    """The result of a part; only layers are told whether it is for training."""
    if isinstance(part, Layer):
        return part(*inputs, train=train, **options)
    return part(*inputs, **options)  # type: ignore[no-any-return]


EVERYWHERE = ("mask", "lengths")
"""Options that all parts get which take them; others are for one part."""


def takes(part: Part, option: str) -> bool:
    """Whether a part can be called with an option."""
    if isinstance(part, Layer):
        return part.takes(option)
    try:
        return part is not None and option in inspect.signature(part).parameters
    except (TypeError, ValueError):  # a built-in function that doesn't tell
        return False


def routed(
    layer: Layer, parts: Sequence[Part], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """For each part, the options of a call that are for it."""
    found: list[dict[str, Any]] = [{} for _ in parts]
    for option, value in options.items():
        takers = [k for k, part in enumerate(parts) if takes(part, option)]
        if not takers or (len(takers) > 1 and option not in EVERYWHERE):
            who = f"{len(takers)} parts take" if takers else "no part takes"
            raise ArgumentError(
                f"{layer.name}: {who} {option}=", "call the parts one by one, in a function for "
                "nn.Model" if takers else None, user_frames(),
            )  # fmt: skip
        for k in takers:
            found[k][option] = value
    return found
