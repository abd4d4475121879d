"""What a layer is: an object that holds parameters by name, and gives an expression."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.core import dtypes
from graphc.core.errors import ArgumentError, ShapeError
from graphc.core.graph import toposort
from graphc.core.node import Array, SharedVariable, Variable, describe, user_frames
from graphc.core.packed import Packed
from graphc.nn import states
from graphc.nn.summaries import Call, Summary, summarise
from graphc.ops.convert import as_variable
from graphc.sharing import shared


@dataclass(frozen=True)
class Entry:
    """A shared variable of a layer: what optimisers train, or a state (a running average)."""

    variable: SharedVariable
    trained: bool


_calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """The calls of layers inside the block, in the order in which they ended."""
    found: list[Call] = []
    token = _calls.set(found)
    try:
        yield found
    finally:
        _calls.reset(token)


class Layer:
    """What all layers derive from: parameters by name, layers inside by name, an expression.

    A layer of one's own makes its parameters in ``__init__`` with `parameter`, `child` and
    `adopt`, and defines ``expression(self, x, train)``.

    Parameters
    ----------
    name : str, optional
        What its parameters are named after in listings, by default the class in small letters.

    Examples
    --------
    >>> import numpy as np, graphc.tensor as T
    >>> from graphc import nn
    >>> class Scale(nn.Layer):
    ...     def __init__(self, size):
    ...         super().__init__()
    ...         self.factor = self.parameter("factor", (size,), init=2.0)
    ...     def expression(self, x, train):
    ...         return x * self.factor
    >>> layer = Scale(3)
    >>> layer(np.arange(3.0)).eval(), layer.parameters
    (array([0., 2., 4.]), [scale.factor])
    """

    reach: Any = None
    """Which places of its input a place of the result depends on: None for that place alone,
    "all", or (size of the window, stride) for each axis of the last ones."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()
        self._own: dict[str, Entry] = {}
        self._children: dict[str, Layer] = {}

    def _begun(self, name: str) -> None:
        """Refuse parts of a layer whose ``__init__`` has left out that of `Layer`."""
        if "_own" not in vars(self):
            raise ArgumentError(f"{type(self).__name__}: {name!r} is made before the layer is",
                                "call super().__init__() first", user_frames())  # fmt: skip

    # --- the expression ---------------------------------------------------------------

    def __call__(self, *inputs: Any, train: bool = False, **options: Any) -> Variable:
        """The layer's result for an input, as an expression.

        Parameters
        ----------
        *inputs : variables or arrays
            Most layers take one.
        train : bool
            Whether it is for training: dropout draws, batch normalisation takes the
            statistics of the batch. A Python bool, known when the graph is declared.
        **options
            What the layer takes besides, such as an attention's mask.
        """
        if not isinstance(train, bool):
            raise ArgumentError(
                f"{self.name}: train={train!r} is not True or False",
                "declare one expression for training and one for use", user_frames(),
            )  # fmt: skip
        if any(isinstance(x, bool) for x in inputs):
            raise ArgumentError(
                f"{self.name}: True or False is no input", "give the switch by its name: "
                "layer(x, train=True)", user_frames(),
            )  # fmt: skip
        given = tuple(x if isinstance(x, Packed) else as_variable(x) for x in inputs)
        self._check_call(given, options)
        made = self.expression(*given, train=train, **options)
        calls = _calls.get()
        if calls is not None:
            calls.append(Call(self, given, made))
        return made

    def takes(self, option: str) -> bool:
        """Whether a call takes something of that name besides inputs, as attention does ``mask``.

        Containers ask the layers inside.
        """
        return names_option(self.expression, option)

    def _check_call(self, given: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        takes = inspect.signature(self.expression)
        try:
            takes.bind(*given, train=True, **options)
        except TypeError as error:
            raise ArgumentError(
                f"{self.name}: {len(given)} inputs and options {sorted(options)} are not what "
                f"{type(self).__name__} takes: {error}",
                f"expression({', '.join(takes.parameters)}) has to take train and whatever else "
                "is given", user_frames(),
            ) from None  # fmt: skip

    def expression(self, *inputs: Any, train: bool, **options: Any) -> Variable:
        """What a call gives; layers define it."""
        raise NotImplementedError(f"{type(self).__name__} has no expression(self, x, train)")

    # --- what subclasses make ---------------------------------------------------------

    def parameter(
        self, name: str, shape: tuple[int, ...], init: Any = 0.0, seed: Any = None,
        dtype: str | None = None, given: Any = None, trained: bool = True,
    ) -> Any:  # fmt: skip
        """Make a shared variable of this layer, or take over another's.

        Parameters
        ----------
        name : str
            Its name inside the layer.
        shape : tuple of int
        init : function, number or array
            ``init(shape, seed=seed)`` gives the first value; `graphc.initial` has many.
        seed : int, optional
            For `init`.
        dtype : str, optional
            ``floatX`` by default.
        given : variable, optional
            Tied weights: another layer's shared variable, or an expression of one (its
            transpose). Nothing is made then.
        trained : bool
            False for a state, which optimisers leave alone.
        """
        self._begun(name)
        if given is not None:
            return self._tied(name, shape, given, trained)
        kind = dtypes.float_x() if dtype is None else dtypes.canonical(dtype)
        self._check_sizes(name, shape)
        value = self._first(name, shape, init, seed)
        if np.shape(value) != tuple(shape):
            raise ShapeError(
                f"{self.name}.{name}: the initial value has shape {np.shape(value)}, "
                f"not {tuple(shape)}", at=user_frames(),
            )  # fmt: skip
        made = shared(dtypes.convert(value, kind), f"{self.name}.{name}")
        self._enter(name, made, trained)
        return made

    def _check_sizes(self, name: str, shape: tuple[int, ...]) -> None:
        for n in shape:
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise ArgumentError(
                    f"{self.name}.{name}: {n!r} in the shape {tuple(shape)} is no size",
                    "sizes are positive integers, and given for each layer", user_frames(),
                )  # fmt: skip

    def _first(self, name: str, shape: tuple[int, ...], init: Any, seed: Any) -> Array:
        """The first value."""
        if isinstance(init, Variable | str) or init is None:
            hint = "init is a function, a number or an array"
            if isinstance(init, Variable):
                hint += "; a variable of another layer is given as weights="
            raise ArgumentError(f"{self.name}.{name}: init={init!r}", hint, user_frames())
        value = np.asarray(init(shape, seed=seed) if callable(init) else init)
        return np.broadcast_to(value, shape) if value.ndim == 0 else value

    def _enter(self, name: str, variable: SharedVariable, trained: bool) -> None:
        if name in self._own:
            raise ArgumentError(f"{self.name}: there are two {name!r}", at=user_frames())
        self._own[name] = Entry(variable, trained)

    def _tied(self, name: str, shape: tuple[int, ...], given: Any, trained: bool) -> Any:
        leaves = [v for v in toposort([given]) if isinstance(v, SharedVariable)] if isinstance(
            given, Variable
        ) else []  # fmt: skip
        if len(leaves) != 1:
            label = describe(given) if isinstance(given, Variable) else repr(given)
            raise ArgumentError(
                f"{self.name}: {name}={label} is not made of one shared variable",
                "give another layer's, other.weights or other.weights.T; for a first value, "
                "give init an array", user_frames(),
            )  # fmt: skip
        found = leaves[0].get_value(borrow=True).shape if given is leaves[0] else given.type.shape
        if len(found) != len(shape) or any(
            n is not None and n != m for n, m in zip(found, shape)
        ):  # fmt: skip
            raise ShapeError(
                f"{self.name}: {name}={describe(given)} of shape {tuple(found)} stands for a "
                f"parameter of shape {tuple(shape)}", at=user_frames(),
            )  # fmt: skip
        self._enter(name, leaves[0], trained)
        return given

    def adopt(self, name: str, variable: SharedVariable) -> SharedVariable:
        """Count a shared variable as a state of this layer, to be saved with it."""
        self._begun(name)
        self._enter(name, variable, False)
        return variable

    def child(self, name: str, layer: Layer) -> Layer:
        """Take in a layer, whose parameters are listed as ``name.weights`` and so on."""
        self._begun(name)
        if not isinstance(layer, Layer):
            raise ArgumentError(
                f"{self.name}: {name}={layer!r} is not a layer", at=user_frames()
            )
        if name in self._children:
            raise ArgumentError(f"{self.name}: there are two layers {name!r}", at=user_frames())
        self._children[name] = layer
        return layer

    # --- listings ---------------------------------------------------------------------

    @property
    def children(self) -> dict[str, Layer]:
        """The layers inside, by name."""
        return dict(self._children)

    def _entries(self) -> dict[str, Entry]:
        """Everything by its path, in order, each variable once."""
        found: dict[str, Entry] = {}
        seen: set[SharedVariable] = set()
        stack: list[tuple[str, Layer]] = [("", self)]
        while stack:
            prefix, layer = stack.pop()
            for name, entry in layer._own.items():
                if entry.variable not in seen:
                    seen.add(entry.variable)
                    found[prefix + name] = entry
            inner = [(f"{prefix}{name}.", child) for name, child in layer._children.items()]
            stack.extend(reversed(inner))
        return found

    def named(self) -> dict[str, SharedVariable]:
        """All shared variables by path, such as ``"0.weights"``: parameters, frozen ones too,
        and states. One that is tied has the first of its paths."""
        return {path: entry.variable for path, entry in self._entries().items()}

    @property
    def all_parameters(self) -> list[SharedVariable]:
        """What `named` names."""
        return list(self.named().values())

    @property
    def parameters(self) -> list[SharedVariable]:
        """What is to be trained: all parameters that are not frozen, and no states."""
        return [
            e.variable for e in self._entries().values() if e.trained and not is_frozen(e.variable)
        ]

    @property
    def count(self) -> int:
        """How many numbers the parameters hold, frozen ones too; states don't count."""
        return sum(
            e.variable.get_value(borrow=True).size for e in self._entries().values() if e.trained
        )

    def freeze(self) -> Layer:
        """Leave this layer's parameters out of `parameters`, here and wherever they are tied."""
        for entry in self._entries().values():
            entry.variable.tag.frozen = True
        return self

    def unfreeze(self) -> Layer:
        """Undo `freeze`."""
        for entry in self._entries().values():
            entry.variable.tag.frozen = False
        return self

    # --- values -----------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
        """Copies of all values by path."""
        return {path: v.get_value() for path, v in self.named().items()}

    def load_state(self, values: Mapping[str, Any]) -> None:
        """Set all values; `values` must have exactly the names and shapes of `state`.

        Raises
        ------
        ArgumentError
            With all names that are missing or too many, and all shapes and dtypes that differ;
            nothing is changed then.
        """
        states.assign(self.name, self.named(), values)

    def save(self, path: str | Path) -> Path:
        """Write all values to a file, whose path is returned.

        ``.safetensors`` and ``.npz`` choose the format. Without one of them, it is safetensors
        where that package is there and NPZ where not, and the ending is added.
        """
        return states.write(path, self.state())

    def load(self, path: str | Path) -> None:
        """Set all values from a file that `save` wrote; errors are those of `load_state`."""
        self.load_state(states.read(path))

    # --- what it looks like -----------------------------------------------------------

    def summary(self, *input_shapes: Any, dtype: str | None = None) -> Summary:
        """A table of the layers: names, output shapes, parameters, multiply-adds, and the
        receptive field.

        Parameters
        ----------
        *input_shapes : tuple of int
            The shape of one example for each input, without the batch.
        dtype : str, optional
            Of the inputs, ``floatX`` by default.

        Returns
        -------
        Summary
            Printed, it is the table; its `rows` and totals are data.

        Examples
        --------
        >>> from graphc import nn
        >>> print(nn.Dense(3, 2, seed=0).summary((3,)))
        layer             output  parameters  multiply-adds  field
        dense             (2,)             8              6    all
        1 layer                            8              6
        """
        with recorded() as calls:
            return summarise(self, calls, input_shapes, dtype or dtypes.float_x())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.count:,} parameters>"


def is_frozen(variable: SharedVariable) -> bool:
    """Whether a layer with this parameter was frozen."""
    return bool(getattr(variable.tag, "frozen", False))


def names_option(function: Any, option: str) -> bool:
    """Whether a function has an argument of that name, or takes all names."""
    arguments = inspect.signature(function).parameters
    return option in arguments or any(a.kind is a.VAR_KEYWORD for a in arguments.values())


def derived(seed: Any, place: int) -> Any:
    """A seed for one of several parameters, from that of their layer; a generator goes on."""
    if seed is None or isinstance(seed, np.random.Generator):
        return seed
    return int(np.random.SeedSequence([int(seed), place]).generate_state(1)[0])


def as_shape(label: str, x: Variable, axes: int | None, axis: int, size: int, what: str) -> None:
    """Raise unless an input has a rank, where that is given, and a size along an axis."""
    if isinstance(x, Packed):
        return  # its product with weights says what is wrong
    least = axis + 1 if axis >= 0 else -axis
    if (axes is not None and x.ndim != axes) or x.ndim < least:
        wanted = f"{axes}" if axes is not None else f"{least} or more"
        raise ShapeError(
            f"{label}: the input {describe(x)} has {x.ndim} axes, not {wanted}",
            "x.reshape, x.dimshuffle and nn.Flatten change axes", user_frames(),
        )  # fmt: skip
    known = x.type.shape[axis]
    if known is not None and known != size:
        raise ShapeError(
            f"{label}: the input {describe(x)} has {known} {what}, and the layer is for {size}",
            at=user_frames(),
        )
