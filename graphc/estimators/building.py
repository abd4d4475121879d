"""From a function and its options to a model, and the models that are there without one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.core.errors import ArgumentError
from graphc.core.node import Variable, user_frames
from graphc.nn import Dense, Dropout, Layer, Sequential
from graphc.nn.layer import derived
from graphc.ops.elementwise import sigmoid, softplus, tanh
from graphc.ops.nnet import elu, relu
from graphc.optim import OPTIMISERS

ACTIVATIONS: Mapping[str, Any] = {
    "identity": None, "relu": relu, "elu": elu, "tanh": tanh, "sigmoid": sigmoid,
    "softplus": softplus,
}  # fmt: skip


class ParameterError(ArgumentError, ValueError):
    """A parameter of an estimator that can't be what it is."""


def wrong(what: str, hint: str = "") -> ParameterError:
    """An error at the user's line."""
    return ParameterError(what, hint, user_frames())


def activation_of(given: Any) -> Callable[[Variable], Variable] | None:
    """A function, by its name or as it is."""
    if given is None or (callable(given) and not isinstance(given, type)):
        return given  # type: ignore[no-any-return]
    if isinstance(given, str) and given in ACTIVATIONS:
        return ACTIVATIONS[given]  # type: ignore[no-any-return]
    raise wrong(f"activation={given!r} is neither a function nor one of {', '.join(ACTIVATIONS)}")


def optimiser_of(given: Any) -> Callable[..., Any]:
    """An optimiser, by its name or as it is."""
    if isinstance(given, str) and given in OPTIMISERS:
        return OPTIMISERS[given]  # type: ignore[no-any-return]
    if callable(given) and not isinstance(given, type):
        return given  # type: ignore[no-any-return]
    raise wrong(
        f"optimiser={given!r} is neither a function nor one of {', '.join(OPTIMISERS)}",
        "functools.partial(optim.momentum, momentum=0.95) gives one its options",
    )


def sizes_of(hidden: Any) -> list[int]:
    """Sizes of layers; a number is one layer."""
    found = [hidden] if isinstance(hidden, int) else hidden
    try:
        sizes = [int(n) for n in found]
    except (TypeError, ValueError):
        sizes = [0]
    if any(n < 1 for n in sizes):
        raise wrong(f"hidden={hidden!r} has no sizes of layers", "such as (100,) or (64, 32)")
    return sizes


def multilayer(
    inputs: int, outputs: int, hidden: Sequence[int] = (100,), activation: Any = "relu",
    dropout: float = 0.0, seed: int | None = None,
) -> Sequential:  # fmt: skip
    """Dense layers, one after the other.

    Parameters
    ----------
    inputs, outputs : int
        Features, and what is predicted.
    hidden : sequence of int
        The sizes of the layers between; none makes it linear.
    activation : str or function
        Behind each of these: "relu", "elu", "tanh", "sigmoid", "softplus" or "identity".
    dropout : float
        The part of the hidden units that is left out while training.
    seed : int, optional

    Returns
    -------
    nn.Sequential

    Examples
    --------
    >>> from graphc.estimators import multilayer
    >>> multilayer(4, 3, hidden=(5,), seed=0).count
    43
    """
    function = activation_of(activation)
    parts: list[Layer] = []
    size = inputs
    for k, units in enumerate(sizes_of(hidden)):
        parts.append(Dense(size, units, function, seed=derived(seed, 2 * k)))
        if dropout:
            parts.append(Dropout(dropout, seed=derived(seed, 2 * k + 1)))
        size = units
    return Sequential(*parts, Dense(size, outputs, seed=derived(seed, 2 * len(parts))))


def autoencoder(
    inputs: int, outputs: int, hidden: Sequence[int] = (), activation: Any = "relu",
    dropout: float = 0.0, seed: int | None = None,
) -> tuple[Sequential, Sequential]:  # fmt: skip
    """Two multilayer perceptrons, the second one with the hidden layers of the first in reverse.

    Parameters
    ----------
    inputs, outputs : int
        Features, and numbers in the code.
    hidden, activation, dropout, seed
        As for `multilayer`. Without hidden layers the code is that of a principal component
        analysis, but for a rotation and a scale.

    Returns
    -------
    pair of nn.Sequential
        From features to the code, and back.

    Examples
    --------
    >>> from graphc.estimators import autoencoder
    >>> [part.count for part in autoencoder(4, 2, hidden=(3,), seed=0)]
    [23, 25]
    """
    sizes = sizes_of(hidden)
    options: dict[str, Any] = {"activation": activation, "dropout": dropout}
    return (
        multilayer(inputs, outputs, sizes, seed=derived(seed, 0), **options),
        multilayer(outputs, inputs, sizes[::-1], seed=derived(seed, 1), **options),
    )


def built(
    build: Callable[..., Any], sizes: tuple[int, int], options: Mapping[str, Any], seed: int,
    asked: bool,
) -> Any:  # fmt: skip
    """What a user's function makes of sizes and options.

    Parameters
    ----------
    build : callable
        ``build(inputs, outputs, **options)``; it is given a seed where it takes one.
    sizes : pair of int
    options : mapping
    seed : int
    asked : bool
        Whether someone relies on the seed.
    """
    if not callable(build) or isinstance(build, Layer):
        raise wrong(f"build={build!r} is not a function",
                    "give one that makes a new model: build(inputs, outputs, seed)")  # fmt: skip
    signature = inspect.signature(build)
    parameters = signature.parameters.values()
    takes_seed = any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in parameters)
    label = f"{getattr(build, '__name__', 'build')}({', '.join(signature.parameters)})"
    if takes_seed:
        options = {"seed": seed, **options}
    elif asked:
        raise wrong(
            f"random_state is given, and {label} takes no seed",
            "give it a parameter seed, and that to its layers; or leave out random_state",
        )
    try:
        signature.bind(*sizes, **options)
    except TypeError as error:
        raise wrong(
            f"{label} is given inputs, outputs and {', '.join(options)}: {error}",
            "options={...} of the estimator names what else it is given",
        ) from None
    return build(*sizes, **options)
