"""The number of the present step, which schedules are functions of."""

from __future__ import annotations

from graphc.core.node import SharedVariable
from graphc.optim.parts import Updates, scalar_state


def counter(name: str = "step") -> tuple[SharedVariable, Updates]:
    """A count of steps from 0, and the update that advances it.

    Parameters
    ----------
    name : str
        Of the shared variable, an int64 scalar.

    Returns
    -------
    step : shared variable
        What `graphc.optim.schedules` take.
    updates : list of (shared variable, expression)
        To be joined with those of the optimiser.

    Examples
    --------
    >>> import graphc
    >>> from graphc.optim import counter, schedules, sgd
    >>> w = graphc.shared(1.0, name="w")
    >>> step, counting = counter()
    >>> rate = schedules.inverse(step, 0.5, decay=1.0)
    >>> train = graphc.function([], rate, updates=sgd(w, [w], rate) + counting)
    >>> float(train()), float(train()), float(w.get_value())
    (0.5, 0.25, 0.25)
    """
    step = scalar_state(name, 0, "int64")
    return step, [(step, step + 1)]
