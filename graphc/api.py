"""From graphs to functions: `function`, `clone`, and `eval` of variables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.arguments import In, Out, Parameter, downcast_policy, read_input
from graphc.compiled import Declaration, Function
from graphc.core.config import config
from graphc.core.errors import ArgumentError, MissingInputError, UnusedInputError
from graphc.core.graph import Graph, ancestors, substitute, toposort
from graphc.core.node import Constant, SharedVariable, Variable, describe, user_frames
from graphc.core.packed import Packed, flat, regrouped
from graphc.modes import compile_program, read_mode, read_target
from graphc.program import Options
from graphc.updating import default_updates, fit_update, read_givens, read_updates


def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    mode: str | None = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: bool | None = None,
    on_unused_input: str | None = None,
    target: str | None = None,
) -> Function:
    """Compile a graph to a function of arrays.

    Parameters
    ----------
    inputs : list of variables or In
        What the function takes, by position or by name.
    outputs : variable, list, dict, or None
        What it returns: one array, a list, a dict, or None. `Out` marks what may share
        memory, and what stays on a device.
    mode : {'native', 'numpy'}, optional
        Compiled, or interpreted with NumPy; ``config.mode`` by default.
    updates : dict or list of pairs, optional
        Shared variables and the values that they get after the outputs are computed, all
        from the values before.
    givens : dict or list of pairs, optional
        Variables to replace, and by what.
    no_default_updates : bool or list
        Whether, or of which shared variables, ``default_update`` is left out.
    name : str, optional
        For listings and messages.
    rebuild_strict : bool
        Whether givens must have the dtype of what they replace; else they are cast.
    allow_input_downcast : bool, optional
        Whether arguments may lose precision; by default, Python numbers may.
    profile : bool, optional
        Whether to time every step; ``config.profile`` by default.
    on_unused_input : {'raise', 'warn', 'ignore'}, optional
        What an input that nothing depends on leads to; ``config.on_unused_input`` by default.
    target : {'cpu', 'cuda', 'cuda:1', ...}, optional
        The device on which a compiled function runs; ``config.device`` by default.

    Returns
    -------
    Function

    Raises
    ------
    ArgumentError, MissingInputError, UnusedInputError, DTypeError, ShapeError
        With the user's line of the variable that is to blame.
    TargetError
        Without a CUDA device or what drives it, or for what the CUDA target doesn't have yet.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x = T.dvector("x")
    >>> total = graphc.shared(0.0, name="total", allow_downcast=True)
    >>> f = graphc.function([x], (x**2).sum(), updates=[(total, total + x.sum())])
    >>> float(f([1, 2, 3])), float(total.get_value())
    (14.0, 6.0)
    """
    parameters, states = _read_inputs(inputs, downcast_policy(allow_input_downcast))
    structure, found, borrow, device = _read_outputs(outputs)
    results, packed = flat(found), any(isinstance(v, Packed) for v in found)
    explicit = read_updates(updates)
    replace = read_givens(givens, rebuild_strict)
    roots = substitute([*results, *states.values()], replace)
    new = substitute(list(explicit.values()), replace)
    pairs = default_updates(roots, dict(zip(explicit, new)), replace, no_default_updates)
    inputs = tuple(part for p in parameters for part in p.parts)
    graph = Graph(inputs, tuple(roots), tuple(pairs.items()))
    _check_leaves(graph, name)
    _check_unused(parameters, graph, states, on_unused_input or config.on_unused_input)
    chosen = read_mode(mode)
    runs_on = read_target(target, chosen)
    if any(device) and runs_on == "cpu":
        raise ArgumentError(
            "function: Out(device=True) is for functions of the target 'cuda', and this one is "
            f"for {runs_on!r}" + (" in mode 'numpy'" if chosen == "numpy" else ""),
            "add target='cuda', or leave out device=True", user_frames(),
        )  # fmt: skip
    options = Options(
        mode=chosen,
        target=runs_on,
        name=name,
        returns="list" if states or packed else {"one": "one", None: "none"}.get(structure, "list"),
        borrow_inputs=tuple(p.borrow for p in parameters for _ in p.parts),
        borrow_outputs=(*borrow, *(False for _ in states)),
        device_outputs=(*(runs_on if d else "" for d in device), *("" for _ in states)),
        cuda_products=config.cuda_products,
        cuda_solvers=config.cuda_solvers,
        cuda_convolutions=config.cuda_convolutions,
        cuda_deterministic=config.cuda_deterministic,
        cuda_graphs=config.cuda_graphs,
        profile=config.profile if profile is None else bool(profile),
    )
    declaration = Declaration(
        tuple(p.in_graph(graph) for p in parameters), graph, structure, options, tuple(states),
        tuple(v if isinstance(v, Packed) else None for v in found) if packed else (),
    )  # fmt: skip
    return Function(declaration, compile_program(graph, options))


def _read_inputs(inputs: Any, downcast: bool | None) -> tuple[list[Parameter], dict[int, Variable]]:
    """The parameters, and by position the updates of inputs with a state."""
    if not isinstance(inputs, list | tuple):
        label = describe(inputs) if isinstance(inputs, Variable) else repr(inputs)
        raise ArgumentError(
            f"function: inputs must be a list of variables, not {label}",
            "graphc.function([x], ...), or [] for none",
            user_frames(),
        )
    parameters, states = [], {}
    seen: dict[Variable, int] = {}
    for k, entry in enumerate(inputs):
        parameter, update = read_input(entry, k, downcast)
        first = seen.setdefault(parameter.variable, k)
        if first != k:
            raise ArgumentError(
                f"function: {describe(parameter.variable)} is given twice, as inputs number "
                f"{first} and {k}",
                "each variable is passed once",
                parameter.variable.where,
            )
        parameters.append(parameter)
        if update is not None:
            states[k] = fit_update(parameter.variable, update, "In(update=)")
    return parameters, states


def _read_outputs(outputs: Any) -> tuple[Any, list[Any], list[bool], list[bool]]:
    """The form of the results, the expressions, and of their parts which may be borrowed, and
    which stay on the device."""
    if outputs is None:
        return None, [], [], []
    structure: Any = "list"
    entries = outputs
    if isinstance(outputs, Mapping):
        structure, entries = tuple(outputs), outputs.values()
    elif not isinstance(outputs, list | tuple):
        structure, entries = "one", [outputs]
    variables: list[Any] = []
    borrow: list[bool] = []
    device: list[bool] = []
    for k, entry in enumerate(entries):
        variable = entry.variable if isinstance(entry, Out) else entry
        if not isinstance(variable, Variable | Packed):
            label = "the output" if structure == "one" else f"output number {k}"
            raise ArgumentError(
                f"function: {label} is {variable!r} of type {type(variable).__name__}, not a "
                "variable",
                "outputs are one flat list of expressions; wrap numbers in T.constant",
                user_frames(),
            )
        variables.append(variable)
        parts = len(flat([variable]))
        borrow += [isinstance(entry, Out) and entry.borrow] * parts
        stays = isinstance(entry, Out) and entry.device
        if stays and isinstance(variable, Packed):
            raise ArgumentError(
                f"function: output number {k} is sparse, and sparse results don't stay on a device",
                "leave out device=True", user_frames(),
            )  # fmt: skip
        device += [stays] * parts
    return structure, variables, borrow, device


def _check_leaves(graph: Graph, name: str | None) -> None:
    known = set(graph.inputs)
    for variable in graph.nodes():
        if variable.op is not None or variable in known:
            continue
        if isinstance(variable, Constant | SharedVariable):
            continue
        label = f"`{variable.name}`" if variable.name else "an unnamed variable"
        raise MissingInputError(
            f"{f'function {name!r}: ' if name else ''}the graph depends on {label}: "
            f"{variable.type}, which is neither an input nor shared",
            "add it to the inputs, make it shared, or replace it with givens",
            variable.where,
        )


def _check_unused(
    parameters: Sequence[Parameter], graph: Graph, states: Mapping[int, Any], action: str
) -> None:
    if action not in ("raise", "warn", "ignore"):
        raise ArgumentError(
            f"function: on_unused_input is 'raise', 'warn' or 'ignore', not {action!r}",
            at=user_frames(),
        )
    if action == "ignore":
        return
    used = ancestors(graph.roots)
    for parameter in parameters:
        if parameter.position in states or any(p in used for p in parameter.parts):
            continue
        what = (
            f"function: input {parameter.label}: {parameter.variable.type} is not used: no "
            "output or update depends on it"
        )
        if action == "warn":
            warnings.warn(what, stacklevel=3)
            continue
        hint = "leave it out, or pass on_unused_input='ignore'"
        raise UnusedInputError(what, hint, parameter.variable.where)


def clone(
    output: Any,
    replace: Any = None,
    strict: bool = True,
    share_inputs: bool = True,
    copy_inputs: Any = None,
) -> Any:
    """The same expressions over other variables.

    Parameters
    ----------
    output : variable or list of variables
        What to copy.
    replace : dict or list of pairs, optional
        Variables inside, and what stands in their places in the copy.
    strict : bool
        Whether replacements must have the dtype of what they replace; else they are cast.
    share_inputs : bool
        Whether the copy has the same leaves, or inputs and shared variables of its own.

    Examples
    --------
    >>> import graphc, graphc.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> float(graphc.clone(x + 1, replace={x: 2 * y}).eval({y: 3.0}))
    7.0
    """
    if copy_inputs is not None:
        share_inputs = copy_inputs
    roots = list(output) if isinstance(output, list | tuple) else [output]
    pairs = read_givens(replace, strict)
    if not share_inputs:
        for variable in toposort(substitute(flat(roots), pairs)):
            if isinstance(variable, SharedVariable):
                own = SharedVariable(variable.get_value(), variable.name, variable.broadcastable)
                own.default_update = variable.default_update
                pairs.setdefault(variable, own)
    like = [r if isinstance(r, Packed) else None for r in roots]
    copies = regrouped(
        like, substitute(flat(roots), pairs, copy_leaves=not share_inputs), "with_parts"
    )
    if isinstance(output, list | tuple):
        return type(output)(copies)
    return copies[0]


def evaluate(
    self: Variable, inputs_to_values: Mapping[Variable, Any] | None = None, mode: Any = None
) -> Any:
    """The value of an expression: compiled once for each set of inputs, then called.

    Parameters
    ----------
    inputs_to_values : dict, optional
        The values of the inputs that the expression depends on.

    Returns
    -------
    numpy.ndarray

    Notes
    -----
    Values of variables that the expression doesn't depend on are ignored. Shared variables
    that have a ``default_update`` are updated.

    Examples
    --------
    >>> import graphc.tensor as T
    >>> x = T.dscalar("x")
    >>> float((x + 1).eval({x: 2.0}))
    3.0
    """
    given = dict(inputs_to_values or {})
    for variable in given:
        if not isinstance(variable, Variable | Packed):
            raise ArgumentError(
                f"eval takes a dict from variables to values; {variable!r} is no variable",
                "x.eval({y: 1.0}), with the variable itself and not its name",
                user_frames(),
            )
    made = self.__dict__.setdefault("_compiled", {})
    key = (tuple(given), mode if mode is not None else config.mode)
    if key not in made:
        made[key] = function(list(given), self, mode=mode, on_unused_input="ignore")
    return made[key](*given.values())


def install() -> None:
    """Give variables their method ``eval``."""
    Variable.eval = evaluate  # type: ignore[attr-defined]
    Packed.eval = evaluate  # type: ignore[attr-defined]


install()

__all__ = ["Function", "In", "Out", "clone", "evaluate", "function"]
