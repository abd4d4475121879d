"""The compiled function: what `function` returns and what calls go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from graphc.arguments import PackedParameter, Parameter
from graphc.core.errors import ArgumentError, GraphError
from graphc.core.graph import Graph, substitute
from graphc.core.node import Array, SharedVariable, Storage, Variable, describe, user_frames
from graphc.core.packed import Packed, regrouped
from graphc.core.packed import describe as describe_packed
from graphc.core.plan import FAILED, Outcome
from graphc.modes import compile_program
from graphc.program import Options, Program, results_of


@dataclass(frozen=True, eq=False)
class Declaration:
    """All that a function is made from: what its pickle holds.

    Parameters
    ----------
    parameters : tuple of Parameter
        The inputs.
    graph : Graph
        After givens; its last outputs are the new values of inputs with a state.
    structure : None, "one", "list" or tuple of keys
        In which form results are returned.
    packed : tuple of Packed or None
        For each output whether, and as what, several results of the graph are one; empty where
        none is.
    states : tuple of int
        The positions of inputs that an update follows.
    """

    parameters: tuple[Parameter, ...]
    graph: Graph
    structure: Any
    options: Options
    states: tuple[int, ...] = ()
    packed: tuple[Packed | None, ...] = ()


class Function:
    """A graph compiled to something that can be called.

    Made by `graphc.function`. Call it with arrays, by position or by name.

    Attributes
    ----------
    name : str or None
        Its name.
    graph : Graph
        The declared graph, after givens and with all updates.
    """

    def __init__(self, declaration: Declaration, program: Program | None = None) -> None:
        self._declaration = declaration
        self._program = program
        self._entry: Any = None
        self.name = declaration.options.name

    # --- calling ----------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and self._entry is not None:
            result = self._entry(*args)
            if result.__class__ is not Outcome:
                return result
            if result is FAILED:
                self._report()
        return self._call(args, kwargs)

    def _report(self) -> None:
        """Raise what stopped a native call, unless it only asks for another plan."""
        error = self.program.failure()
        if error is not None:
            if isinstance(error, GraphError):
                self._add_context(error)
            raise error

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call with all checks and conversions."""
        declared, program = self._declaration, self.program
        arrays = self._arrange(args, kwargs)
        try:
            values = program.call(arrays)
        except GraphError as error:
            self._add_context(error)
            raise
        count = len(values) - len(declared.states)
        for k, new in zip(declared.states, values[count:]):
            storage = declared.parameters[k].default
            assert storage is not None
            storage.replace(new)
        results = values[:count]
        if declared.packed:
            results = regrouped(declared.packed, results, "put_together")
        elif not declared.states and declared.structure in ("one", "list"):
            if not any(isinstance(p, PackedParameter) for p in declared.parameters):
                self._take_entry(program.entry)
        return results_of(declared.structure, results)

    def _take_entry(self, entry: Any) -> None:
        """Let calls go straight to the program, until a shared variable's array moves."""
        if entry is not None and self._entry is None:
            for variable in self.get_shared():
                variable.storage.watchers.add(self)
        self._entry = entry

    def storage_moved(self) -> None:
        """A shared variable has another array: the next call looks up addresses again."""
        self._entry = None

    def _arrange(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Array]:
        """Arguments and defaults as arrays, in the order of the inputs."""
        parameters, target = self._declaration.parameters, self._declaration.options.target
        if len(args) > len(parameters):
            raise ArgumentError(
                f"{self._label} takes {len(parameters)} arguments "
                f"({self._signature}), and {len(args)} came",
                at=user_frames(),
            )
        named = self._by_name(kwargs, len(args)) if kwargs else {}
        arrays = []
        for k, parameter in enumerate(parameters):
            if k < len(args):
                arrays += parameter.arrays(args[k], target)
            elif k in named:
                arrays += parameter.arrays(named[k], target)
            elif parameter.default is not None:
                arrays += parameter.arrays(parameter.default.array)
            else:
                raise ArgumentError(
                    f"{self._label} is missing its argument {parameter.label}, declared "
                    f"{parameter.variable.type}",
                    f"it takes ({self._signature})",
                    parameter.variable.where,
                )
        return arrays

    def _by_name(self, kwargs: dict[str, Any], given: int) -> dict[int, Any]:
        found = {}
        for name, value in kwargs.items():
            places = [k for k, p in enumerate(self._declaration.parameters) if p.name == name]
            if not places:
                raise ArgumentError(
                    f"{self._label} has no input named `{name}`",
                    f"it takes ({self._signature})",
                    user_frames(),
                )
            if len(places) > 1:
                raise ArgumentError(
                    f"{self._label} has {len(places)} inputs named `{name}`",
                    "pass them by position, or give them names of their own", user_frames(),
                )  # fmt: skip
            if places[0] < given:
                raise ArgumentError(
                    f"{self._label} got its argument `{name}` twice: by position and by name",
                    at=user_frames(),
                )
            found[places[0]] = value
        return found

    def _add_context(self, error: GraphError) -> None:
        if self.name and self.name not in error.what:
            error.what = f"{error.what} (in {self._label})"

    @property
    def _label(self) -> str:
        return f"function {self.name!r}" if self.name else "the function"

    @property
    def _signature(self) -> str:
        return ", ".join(
            f"{p.name or '?'}: {p.variable.type}" + (" = ..." if p.default is not None else "")
            for p in self._declaration.parameters
        )

    # --- what it consists of ----------------------------------------------------------

    @property
    def program(self) -> Program:
        """What runs it; made when first needed."""
        if self._program is None:
            declared = self._declaration
            self._program = compile_program(declared.graph, declared.options)
        return self._program

    @property
    def graph(self) -> Graph:
        """The declared graph, after givens and with all updates."""
        return self._declaration.graph

    @property
    def inputs(self) -> list[Variable]:
        """The input variables, in order."""
        return [p.variable for p in self._declaration.parameters]

    @property
    def outputs(self) -> list[Variable]:
        """The output expressions, in order."""
        graph, packed = self.graph, self._declaration.packed
        found = list(graph.outputs[: len(graph.outputs) - len(self._declaration.states)])
        return regrouped(packed, found, "with_parts") if packed else found

    @property
    def updates(self) -> dict[SharedVariable, Variable]:
        """The shared variables that a call updates, and their new values."""
        return dict(self.graph.updates)

    def get_shared(self) -> list[SharedVariable]:
        """The shared variables that the function reads or updates."""
        return self.graph.shared()

    def __getitem__(self, key: Any) -> Array:
        """The present default of an input, given by name or variable."""
        return self._state(key).array.copy()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Give an input with a default another one."""
        parameter = self._parameter(key)
        self._state(key).replace(parameter.convert(value).copy())

    def _parameter(self, key: Any) -> Parameter:
        for p in self._declaration.parameters:
            if p.variable is key or (isinstance(key, str) and p.name == key):
                return p
        raise KeyError(f"{self._label} has no input {key!r}; it takes ({self._signature})")

    def _state(self, key: Any) -> Storage:
        default = self._parameter(key).default
        if default is None:
            raise KeyError(f"input {key!r} has no default: declare it In(x, value=...)")
        return default

    # --- inspection, forwarded to the program -----------------------------------------

    def _inspect(self, what: str) -> Any:
        try:
            return getattr(self.program, what)
        except AttributeError:
            mode = self._declaration.options.mode
            raise AttributeError(
                f"{self._label} has no {what}: mode {mode!r} interprets the graph as declared"
            ) from None

    @property
    def plan(self) -> Any:
        """The steps and buffers of the last bound sizes."""
        return self._inspect("plan")

    @property
    def kernels(self) -> Any:
        """The kernels of the last bound sizes."""
        return self._inspect("kernels")

    @property
    def profile(self) -> Any:
        """Where the time went, of functions compiled with ``profile=True``."""
        return _inspection().profile_of(self)

    def explain(self, full: bool = False) -> Any:
        """Which rules fired on which lines, and what became of the graph."""
        return _inspection().explain(self, full)

    def dprint(self, *args: Any, **kwargs: Any) -> Any:
        """The graph as an indented listing; see `graphc.dprint`."""
        return _inspection().dprint(self, *args, **kwargs)

    def to_networkx(self, declared: bool = False) -> Any:
        """The optimised or the declared graph as a ``networkx.DiGraph``."""
        return _inspection().to_networkx(self, declared)

    def to_dot(self, declared: bool = False) -> str:
        """The optimised or the declared graph in the DOT language."""
        return str(_inspection().to_dot(self, declared))

    def __repr__(self) -> str:
        label = f" {self.name}" if self.name else ""
        outputs = ", ".join(
            describe_packed(o) if isinstance(o, Packed) else describe(o) for o in self.outputs
        )
        outputs = outputs or "nothing"
        updates = f", updates {len(self.graph.updates)}" if self.graph.updates else ""
        return f"<Function{label}({self._signature}) -> {outputs}{updates}>"

    # --- copying ----------------------------------------------------------------------

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
        profile: bool | None = None,
    ) -> Function:
        """The same function, perhaps on other shared variables or without updates.

        Parameters
        ----------
        share_memory : bool
            Taken for the sake of programs written for Theano; memory is shared anyway
            where that can't be noticed.
        swap : mapping, optional
            Shared variables and what replaces them; the types must agree.
        delete_updates : bool
            Whether the copy updates nothing.
        name : str, optional
            The copy's name; this function's by default.
        """
        declared = self._declaration
        graph = declared.graph
        if delete_updates:
            graph = Graph(graph.inputs, graph.outputs)
        if swap:
            graph = _swapped(graph, dict(swap))
        options = replace(declared.options, name=name if name is not None else self.name)
        if profile is not None:
            options = replace(options, profile=profile)
        parameters = tuple(
            p if p.default is None else replace(p, default=Storage(p.default.array.copy()))
            for p in declared.parameters
        )
        return Function(replace(declared, graph=graph, options=options, parameters=parameters))

    def __copy__(self) -> Function:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return Function, (self._declaration,)


def _inspection() -> ModuleType:
    """What shows the insides; it knows all rules, and is imported when it is asked."""
    import graphc.inspect as inspection

    return inspection


def _swapped(graph: Graph, swap: dict[SharedVariable, SharedVariable]) -> Graph:
    present = set(graph.shared())
    for old, new in swap.items():
        if old not in present:
            raise ArgumentError(f"swap: the function does not use {old!r}", at=user_frames())
        if not isinstance(new, SharedVariable) or not old.type.accepts(new.type):
            label = describe(new) if isinstance(new, Variable) else repr(new)
            raise ArgumentError(
                f"swap: {describe(old)} can't be replaced by {label}",
                "it takes a shared variable of the same type", user_frames(),
            )  # fmt: skip
    replaced: dict[Variable, Variable] = {old: new for old, new in swap.items()}
    moved = graph.with_roots(substitute(graph.roots, replaced))
    updates = tuple((swap.get(target, target), new) for target, new in moved.updates)
    return Graph(moved.inputs, moved.outputs, updates)
