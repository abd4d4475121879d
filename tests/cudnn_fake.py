"""A stand-in for NVIDIA's package ``cudnn``: checks what it is asked for, and lets NumPy do it."""

from itertools import product
from types import SimpleNamespace

import numpy as np

KINDS = {"HALF": np.float16, "FLOAT": np.float32, "DOUBLE": np.float64}


class Unsupported(Exception):
    pass


class Tensor:
    def __init__(self, dim, stride, data_type, name=""):
        self.dim, self.stride, self.kind, self.name = list(dim), stride, data_type, name
        self.uid, self.output = None, False

    def set_uid(self, uid):
        self.uid = uid
        return self

    def set_output(self, output):
        self.output = output
        return self

    def set_data_type(self, kind):
        self.kind = kind
        return self

    def set_dim(self, dim):
        self.dim = list(dim)
        return self

    def set_stride(self, stride):
        self.stride = list(stride)
        return self

    def in_memory(self, module, address):
        kind = KINDS[self.kind]
        reach = sum((n - 1) * s for n, s in zip(self.dim, self.stride)) + 1
        flat = module.driver.numbers(address, kind, reach)
        steps = [s * flat.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(flat, self.dim, steps)


class Graph:
    """The calls that an operation's graph gets, in the order in which cuDNN wants them."""

    def __init__(self, module, handle, **kinds):
        sums = "FLOAT" if kinds["io_data_type"] == "HALF" else kinds["io_data_type"]
        assert kinds["intermediate_data_type"] == kinds["compute_data_type"] == sums
        assert handle == "handle" and len(kinds) == 3
        self.module, self.tensors, self.done, self.notes = module, [], [], []

    def tensor(self, dim, stride, data_type, name):
        assert len(dim) == len(stride) and all(s > 0 for s in stride) and all(n > 0 for n in dim)
        assert all(type(n) is int for n in (*dim, *stride))
        self.tensors.append(Tensor(dim, stride, data_type, name))
        return self.tensors[-1]

    def conv_fprop(self, image, weight, **options):
        return self._operation("forward", image, weight, options)

    def conv_dgrad(self, loss, filter, **options):
        return self._operation("input", loss, filter, options)

    def conv_wgrad(self, image, loss, **options):
        return self._operation("weight", image, loss, options)

    def _operation(self, kind, a, b, options):
        self.kind, self.options = kind, options
        self.tensors.append(Tensor([], None, None))
        return self.tensors[-1]

    def __getattr__(self, name):
        order = ("validate", "build_operation_graph", "create_execution_plans",
                 "deselect_numeric_notes", "check_support", "build_plans")  # fmt: skip

        def call(*given):
            assert order[len(self.done)] == name, f"{name} after {self.done}"
            self.done.append(name)
            if name == "deselect_numeric_notes":
                self.notes = given[0]
            if name == "check_support" and self.module.refuses:
                raise Unsupported("no engine for it")

        if name not in order:
            raise AttributeError(name)
        return call

    def get_workspace_size(self):
        assert self.done[-1] == "build_plans"
        return 640

    def execute(self, addresses, work, handle):
        assert handle == "handle" and sorted(addresses) == [1, 2, 3]
        assert any(m.address == work and m.size >= 640 for m in self.module.driver.memories)
        assert [t.uid for t in self.tensors] == [1, 2, 3] and self.tensors[2].output
        a, b, c = (t.in_memory(self.module, addresses[t.uid]) for t in self.tensors)
        x, w, g = {"forward": (a, b, c), "input": (c, b, a), "weight": (a, c, b)}[self.kind]
        if "convolution_mode" in self.options:
            w = w[(..., *[slice(None, None, -1)] * (w.ndim - 2))]
        self.module.ran.append(self)
        c[...] = 0
        convolve(self.kind, x, w, g, self.options)


def convolve(kind, x, w, g, options):
    """Adds a convolution to g, or one of its gradients to x or w, as the formula says."""
    before, after = options["pre_padding"], options["post_padding"]
    groups = x.shape[1] // w.shape[1]
    padded = np.zeros((*x.shape[:2], *(n + b + a for n, b, a in zip(x.shape[2:], before, after))))
    inner = (..., *(slice(b, b + n) for n, b in zip(x.shape[2:], before)))
    padded[inner] = x
    split = padded.reshape(len(x), groups, -1, *padded.shape[2:])
    result = g.reshape(len(g), groups, -1, *g.shape[2:]).astype("float64")
    for tap in product(*map(range, w.shape[2:])):
        seen = (..., *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in
                       zip(tap, options["dilation"], g.shape[2:], options["stride"])))  # fmt: skip
        one = w[(..., *tap)].reshape(groups, -1, w.shape[1])
        if kind == "forward":
            result += np.einsum("ngc...,gfc->ngf...", split[seen], one)
        elif kind == "input":
            split[seen] += np.einsum("ngf...,gfc->ngc...", result, one)
        else:
            flat = split[seen].reshape(*split.shape[:3], -1), result.reshape(*result.shape[:3], -1)
            w[(..., *tap)] = np.einsum("ngcp,ngfp->gfc", *flat).reshape(w.shape[:2])
    if kind == "forward":
        g[...] = result.reshape(g.shape)
    elif kind == "input":
        x[...] = padded[inner]


def module_for(driver, refuses=False):
    """The package, for a driver that only writes down; `ran` are the graphs that were executed."""
    names = ("NONDETERMINISTIC", "TENSOR_CORE", "DOWN_CONVERT_INPUTS",
             "REDUCED_PRECISION_REDUCTION")  # fmt: skip
    module = SimpleNamespace(
        driver=driver, refuses=refuses, ran=[], cudnnGraphNotSupportedError=Unsupported,
        data_type=SimpleNamespace(HALF="HALF", FLOAT="FLOAT", DOUBLE="DOUBLE"),
        heur_mode=SimpleNamespace(A="A", FALLBACK="FALLBACK"),
        numerical_note=SimpleNamespace(**{n: n for n in names}),
        convolution_mode=SimpleNamespace(CONVOLUTION="flipped"),
        create_handle=lambda: "handle", set_stream=lambda handle, stream: None,
    )  # fmt: skip
    module.pygraph = lambda handle, **kinds: Graph(module, handle, **kinds)
    return module
