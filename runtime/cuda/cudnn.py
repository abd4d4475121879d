"""Convolutions by NVIDIA's library: which it can take, and how it wants to be asked.

cuDNN takes a convolution as a graph of one operation, with the sizes and strides of its tensors,
makes a plan of it for the device, and runs the plan on addresses. Its Python interface is the
package ``nvidia-cudnn-frontend`` (module ``cudnn``), the library itself ``nvidia-cudnn-cu12`` or
``nvidia-cudnn-cu13``. What it is asked for here follows NVIDIA's documentation and tests; no device
has run it yet, so :mod:`graphc.runtime.cuda.convolutions` does convolutions unless
``graphc.config.cuda_convolutions`` says otherwise.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.core.dtypes import is_half, wide
from graphc.core.plan import Address, Plan, Step, WordAddress
from graphc.runtime.cuda.pixels import OPERANDS
from graphc.runtime.cuda.tiles import itemsize

INSTALL = "pip install 'graphc[cudnn12]' or 'graphc[cudnn13]', as the driver's version says"
DATA = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT", "float64": "DOUBLE"}
ALLOWED = {
    "float32": (), "tf32": ("TENSOR_CORE",), "bfloat16": ("TENSOR_CORE", "DOWN_CONVERT_INPUTS"),
    "float16": ("TENSOR_CORE", "DOWN_CONVERT_INPUTS"), "halves": ("TENSOR_CORE",),
}  # fmt: skip
"""By what float32 factors may be rounded to, the ways of computing that aren't ruled out. Factors
that are halves need no rounding: tensor cores multiply them exactly."""
ROUNDING = ("TENSOR_CORE", "DOWN_CONVERT_INPUTS", "REDUCED_PRECISION_REDUCTION")
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Tensor:
    """An array of a convolution: its sizes and its strides in elements."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """One convolution, or a gradient of one, as cuDNN is asked for it.

    Attributes
    ----------
    kind : "forward", "input" or "weight", as of :class:`graphc.passes.implicit.Implicit`.
    dtype : of the operands and the result; halves are added up in float32.
    rounded : what float32 factors may be rounded to.
    operands, result : the arrays.
    before, after : zeros before and after each axis of an image.
    flipped : whether filters lie in memory from their last tap to the first; `shift` are then the
        bytes from the address of their first tap to the lowest one.
    """

    kind: str
    dtype: str
    rounded: str
    operands: tuple[Tensor, Tensor]
    result: Tensor
    before: tuple[int, ...]
    after: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    flipped: bool = False
    shift: int = 0


def convolution_of(
    step: Step, plan: Plan, number: int, rounded: str, in_loop: bool, after_failures: bool
) -> Convolution | str:
    """The call for a step of a plan, or why there is none.

    Parameters
    ----------
    rounded : what float32 factors may be rounded to.
    in_loop : whether the plan is the body of a loop, which moves its pointers.
    after_failures : whether a step before this one may fail.
    """
    p: Any = step.extra
    axes = len(p.kernel)
    moved = any(isinstance(w, WordAddress) and w.step == number
                for s in plan.steps for w in s.words)  # fmt: skip
    if moved or in_loop:
        return "its addresses are computed on the device"
    result = step.words[2 * (3 + axes)]
    if after_failures and (not isinstance(result, Address) or result.place.kind == "shared"):
        return "what it overwrites has to stay where a step before it fails"
    images = int(step.words[-1])  # type: ignore[arg-type]
    sizes = {
        "x": (images, p.channels, *p.size),
        "w": (p.filters, p.channels // p.groups, *p.kernel),
        "g": (images, p.filters, *p.made),
    }
    if max(max(s) for s in sizes.values()) > LARGEST:
        return "it is larger than 32-bit numbers tell"
    found, flipped, shift = [], False, 0
    for k, name in enumerate(OPERANDS[p.kind]):
        first = 1 + k * (3 + axes)
        strides = [int(w) for w in step.words[first : first + 2 + axes]]  # type: ignore[arg-type]
        taps = [s for s, n in zip(strides[2:], p.kernel) if n > 1]
        if name == "w" and taps and max(taps) < 0:
            flipped = True
            shift = sum((n - 1) * s for n, s in zip(p.kernel, strides[2:])) * itemsize(p.stored)
            strides[2:] = [-s for s in strides[2:]]
        if any(s <= 0 for s, n in zip(strides, sizes[name]) if n > 1):
            return f"strides of its operand {k + 1} are negative or 0"
        found.append(Tensor(sizes[name], tuple(max(s, 1) for s in strides)))
    made = {"forward": "g", "input": "x", "weight": "w"}[p.kind]
    ends = [
        max(0, (n - 1) * s + d * (t - 1) + 1 - extent - b)
        for n, s, d, t, extent, b in zip(p.made, p.stride, p.dilation, p.kernel, p.size, p.pad)
    ]
    return Convolution(
        p.kind, p.stored, rounded if p.stored == "float32" else p.stored, (found[0], found[1]),
        Tensor(sizes[made], _packed(sizes[made])), p.pad, tuple(ends), p.stride, p.dilation,
        flipped, shift,
    )  # fmt: skip


def address_words(c: Convolution) -> tuple[int, int, int]:
    """Which words of a step are the addresses of both operands and of the result."""
    size = 1 + len(c.result.sizes)
    return 0, size, 2 * size


def _packed(sizes: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for n in reversed(sizes):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def library() -> str | None:
    """Why there is no cuDNN to be called; None where there is."""
    if importlib.util.find_spec("cudnn") is None:
        return "the package nvidia-cudnn-frontend isn't installed"
    try:
        import cudnn

        cudnn.backend_version()
    except Exception as error:  # what is missing may be a library of NVIDIA's
        return " ".join(str(error).split()) or type(error).__name__
    return None


class Cudnn:
    """cuDNN on a stream.

    Parameters
    ----------
    stream : the stream's address.
    module : the package ``cudnn``; tests give one that writes down what it is asked for.
    """

    def __init__(self, stream: int, module: Any = None) -> None:
        if module is None:
            import cudnn as module
        self.cudnn = module
        self.handle = module.create_handle()
        module.set_stream(handle=self.handle, stream=stream)
        self.plans: dict[Convolution, Any] = {}

    def room(self, c: Convolution) -> int | str:
        """The bytes of the work area that a convolution wants, or why cuDNN doesn't do it."""
        if c not in self.plans:
            try:
                self.plans[c] = self._plan(c)
            except (self.cudnn.cudnnGraphNotSupportedError, NotImplementedError) as error:
                self.plans[c] = " ".join(str(error).split()) or "cuDNN has no plan for it"
        found = self.plans[c]
        return found if isinstance(found, str) else int(found.get_workspace_size())

    def run(self, c: Convolution, first: int, second: int, result: int, work: int) -> None:
        """Put a convolution on the stream; `room` has said that it can be."""
        addresses = {1: first, 2: second + (c.shift if c.flipped else 0), 3: result}
        self.plans[c].execute(addresses, work, handle=self.handle)

    def _plan(self, c: Convolution) -> Any:
        """A graph of one operation, planned. Tensors are known by numbers: 1, 2, and the result 3.

        Plans whose sums have no fixed order are ruled out, and those that round factors unless
        that was asked for.
        """
        cudnn = self.cudnn
        kind, sums = (getattr(cudnn.data_type, DATA[d]) for d in (c.dtype, wide(c.dtype)))
        graph = cudnn.pygraph(io_data_type=kind, intermediate_data_type=sums,
                              compute_data_type=sums, handle=self.handle)  # fmt: skip
        a, b = (
            graph.tensor(dim=list(t.sizes), stride=list(t.strides), data_type=kind, name=name)
            for t, name in zip(c.operands, OPERANDS[c.kind])
        )
        a.set_uid(1)
        b.set_uid(2)
        options: dict[str, Any] = {
            "pre_padding": list(c.before), "post_padding": list(c.after),
            "stride": list(c.stride), "dilation": list(c.dilation),
        }  # fmt: skip
        if c.flipped:
            # Releases differ in where they keep it.
            modes = getattr(cudnn, "convolution_mode", None) or getattr(
                getattr(cudnn, "_pybind_module", None), "convolution_mode", None
            )
            if modes is None:
                raise NotImplementedError("this release of cudnn has no flipped filters")
            options["convolution_mode"] = modes.CONVOLUTION
        if c.kind == "forward":
            made = graph.conv_fprop(image=a, weight=b, **options)
        elif c.kind == "input":
            made = graph.conv_dgrad(loss=a, filter=b, **options)
        else:
            made = graph.conv_wgrad(image=a, loss=b, **options)
        made.set_output(True).set_data_type(kind).set_uid(3)
        made.set_dim(list(c.result.sizes)).set_stride(list(c.result.strides))
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        notes = ["NONDETERMINISTIC"]
        if wide(c.dtype) == "float32":
            allowed = ALLOWED["halves" if is_half(c.dtype) else c.rounded]
            notes += [n for n in ROUNDING if n not in allowed]
        graph.deselect_numeric_notes([getattr(cudnn.numerical_note, n) for n in notes])
        graph.check_support()
        graph.build_plans()
        return graph
