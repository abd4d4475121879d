"""What each layer of a model makes, as expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphc.core.graph import toposort
from graphc.core.node import Constant, SharedVariable, Variable
from graphc.nn.layer import Layer, recorded
from graphc.nn.summaries import Call, layer_paths


def layer_outputs(
    model: Layer, *inputs: Any, train: bool = False, containers: bool = False, **options: Any
) -> dict[str, Variable]:
    """Call a model, and give the results of all layers in it.

    Parameters
    ----------
    model : layer
    *inputs, train, **options
        As for a call of the model.
    containers : bool
        Whether layers with others inside are among them.

    Returns
    -------
    dict of variables
        In the order in which they are computed, by the names that ``model.summary()`` has: the
        place and the layer's name. A layer's second call is named ``"0 dense (2)"``. The model's
        own result is the last one. What is inside of loops is left out.

    Examples
    --------
    >>> import numpy as np, graphc, graphc.tensor as T
    >>> from graphc import nn
    >>> model = nn.Sequential(nn.Dense(3, 4, T.tanh, seed=0), nn.Dense(4, 2, seed=1))
    >>> x = T.dmatrix("x")
    >>> outputs = nn.layer_outputs(model, x)
    >>> look = graphc.function([x], outputs, mode="numpy")
    >>> {name: value.shape for name, value in look(np.zeros((5, 3))).items()}
    {'0 dense': (5, 4), '1 dense': (5, 2)}
    """
    with recorded() as calls:
        model(*inputs, train=train, **options)
    given = [x for x in calls[-1].inputs if isinstance(x, Variable)]
    return named_outputs(model, calls, given, containers)


def named_outputs(
    model: Any, calls: Iterable[Call], inputs: Sequence[Variable], containers: bool = False
) -> dict[str, Variable]:
    """The results of recorded calls by name; those that need more than the inputs are left out."""
    paths = layer_paths(model) if isinstance(model, Layer) else {}
    found: dict[str, Variable] = {}
    counts: dict[Any, int] = {}
    for call in calls:
        if call.layer.children and not containers:
            continue
        counts[call.layer] = counts.get(call.layer, 0) + 1
        for suffix, output in _results(call.output):
            if not _depends_on(output, inputs):
                continue
            name = paths.get(call.layer, call.layer.name) + suffix
            name += f" ({counts[call.layer]})" if counts[call.layer] > 1 else ""
            label, k = name, 1
            while label in found:  # layers outside of the model may share a name
                k += 1
                label = f"{name} #{k}"
            found[label] = output
    return found


def _results(output: Any) -> list[tuple[str, Variable]]:
    """A call's results; most layers have one."""
    if isinstance(output, list | tuple):
        return [(f"[{k}]", v) for k, v in enumerate(output) if isinstance(v, Variable)]
    return [("", output)] if isinstance(output, Variable) else []


def _depends_on(output: Variable, inputs: Sequence[Variable]) -> bool:
    """Whether the inputs, shared variables and constants are all that is needed."""
    known = set(inputs)
    return all(
        v.op is not None or v in known or isinstance(v, Constant | SharedVariable)
        for v in toposort([output], leaves=known)
    )
