"""Random loops against a plain Python loop over the NumPy interpreter.

Values and first and second derivatives are compared: interpreted, after every prefix of the
pipeline, after the passes that know sizes, and natively.
"""

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.api import function
from graphc.core.graph import Graph
from graphc.native import NativeProgram
from graphc.passes.pipeline import PIPELINE, optimise
from graphc.program import Options
from graphc.runtime.reference import evaluate

WIDTH = 3
SHAPES = ((), (WIDTH,), (2, WIDTH))
SEQUENCE_TAPS = ([0], [0], [0], [-1, 0], [1, 0], [-2, 1], [-1])
STATE_TAPS = ([-1], [-1], [-1], [-2, -1], [-1, -3], [-2])
H = 1e-5


def one(rng, things):
    return things[rng.randint(len(things))]


# One step ---------------------------------------------------------------------------------------

UNARY = (
    T.tanh, T.sin, T.nnet.sigmoid, T.nnet.softplus, lambda v: 0.3 * v * v, lambda v: 1 - v,
    lambda v: T.exp(-v * v), lambda v: v / (1 + v * v),
)  # fmt: skip
BINARY = (
    T.add, T.sub, T.mul, lambda a, b: a * T.nnet.sigmoid(b), lambda a, b: a + 0.5 * b,
    lambda a, b: T.switch(T.gt(a, 0.1), a, b), T.maximum,
)  # fmt: skip


def unary(rng, pool, fixed):
    return one(rng, UNARY)(one(rng, pool))


def binary(rng, pool, fixed):
    return one(rng, BINARY)(one(rng, pool), one(rng, pool))


def product(rng, pool, fixed):
    wide = [v for v in pool if v.ndim]
    if not wide:
        return None
    return T.dot(one(rng, wide), one(rng, (fixed["W"], fixed["W"].T)))


def reduction(rng, pool, fixed):
    wide = [v for v in pool if v.ndim]
    if not wide:
        return None
    reduce, v = one(rng, (T.mean, T.sum, T.max)), one(rng, wide)
    return 0.5 * (reduce(v, axis=0) if rng.randint(2) else v * reduce(v, axis=-1, keepdims=True))


def shuffled(rng, pool, fixed):
    wide = [v for v in pool if v.ndim]
    if not wide:
        return None
    v = one(rng, wide)
    return one(rng, (
        lambda: v[..., ::-1], lambda: T.nnet.softmax(v, axis=-1),
        lambda: T.concatenate([v[..., 1:], v[..., :1]], axis=-1),
        lambda: T.set_subtensor(v[..., 0], 0.5 * v[..., -1]), lambda: T.cumsum(v, axis=-1),
    ))()  # fmt: skip


def picked(rng, pool, fixed):
    whole = [v for v in fixed["numbers"] if v.ndim == 0]
    if not whole:
        return None
    return fixed["table"][T.mod(one(rng, whole), 4)]


def nested(rng, pool, fixed):
    """A loop in the loop, over a state or over the elements of a vector."""
    v, other = (T.cast(one(rng, pool), "float64") for _ in range(2))
    scale = T.mean(other)
    if v.ndim == 1 and rng.rand() < 0.6:
        found = graphc.scan(lambda r, s: T.tanh(s * scale + r), v, 0.1 * scale,
                            go_backwards=bool(rng.randint(2)))[0]  # fmt: skip
        return found if rng.rand() < 0.5 else found[-1]
    found = graphc.scan(lambda s: T.sin(s) + scale, outputs_info=v, n_steps=rng.randint(1, 4))[0]
    return found[-1] + found.mean(axis=0)


OPS = [unary] * 4 + [binary] * 6 + [product] * 2 + [reduction, shuffled, shuffled, picked]


def fitted(v, like, dtype):
    """A value brought to the rank of another, bounded."""
    while v.ndim > like.ndim:
        v = v.mean(axis=0)
    return T.cast(T.tanh(v) + 0.3 * like, dtype)


# A loop -----------------------------------------------------------------------------------------


class Case:
    """A random loop: its operands, its body, and which of its features are used."""

    def __init__(self, seed, dtypes=("float64",), depth=1):
        self.seed, self.rng = seed, np.random.RandomState(seed)
        rng = self.rng
        self.depth = depth
        self.length = int(one(rng, (3, 4, 5, 7)))
        self.sequences, self.states, self.inputs, self.values = [], [], [], []
        for _ in range(rng.randint(3)):
            taps = list(one(rng, SEQUENCE_TAPS))
            span = max(0, *taps) - min(0, *taps)
            longer = rng.randint(3) if self.sequences else 0
            x = self.leaf(one(rng, dtypes), (self.length + span + longer, *one(rng, SHAPES)))
            self.sequences.append((x, taps))
        for _ in range(rng.randint(1, 4)):
            taps = list(one(rng, STATE_TAPS))
            shape, back = one(rng, SHAPES), -min(taps)
            rows = () if taps == [-1] else (back,)
            self.states.append((self.leaf(one(rng, dtypes), (*rows, *shape)), taps))
        self.numbers = self.leaf("int64", (self.length,)) if rng.rand() < 0.5 else None
        self.counts = rng.rand() < 0.3
        self.extra = rng.randint(3)  # outputs that aren't fed back
        self.backwards = bool(rng.rand() < 0.3)
        self.fixed_steps = not self.sequences and self.numbers is None or rng.rand() < 0.3
        self.until = rng.rand() < 0.2
        self.W = self.leaf(dtypes[0], (WIDTH, WIDTH))
        self.table = self.leaf(dtypes[0], (4, WIDTH))
        self.steps = self.length - 1 if self.fixed_steps and self.length > 3 else self.length

    def leaf(self, dtype, shape):
        v = T.TensorType(dtype, (None,) * len(shape))(f"x{len(self.inputs)}")
        draw = self.rng.randint if dtype == "int64" else self.rng.uniform
        value = draw(*((0, 9) if dtype == "int64" else (-1, 1)), shape)
        self.inputs.append(v)
        self.values.append(np.asarray(value).astype(dtype))
        return v

    @property
    def leaves(self):
        return [v for v in self.inputs if v.dtype == "float64"]

    def step(self, *args):
        """The body: the same operations whenever it is called."""
        rng = np.random.RandomState(self.seed + 1)
        args = list(args)
        W, table = args[-2:]
        count = len(args) - 2 - self.counts
        numbers = [v for v in args[:-2] if v.dtype == "int64"]
        pool = [v for v in args[:count] if v.dtype != "int64"]
        reads = pool[sum(len(t) for _, t in self.sequences) :]
        fixed = {"W": W, "table": table, "numbers": numbers}
        ops = OPS + [nested] * 2 * self.depth
        for _ in range(rng.randint(2, 9)):
            made = one(rng, ops)(rng, pool[-8:], fixed)
            if made is not None and made.ndim <= 2:
                pool.append(made)
        outputs = []
        for _, taps in self.states:
            like = reads[0]
            del reads[: len(taps)]
            outputs.append(fitted(one(rng, pool[-4:]), like, like.dtype))
        outputs += [one(rng, pool) for _ in range(self.extra)]
        if self.counts:
            outputs.append(T.mod(3 * args[count] + 1, 11))
        if not self.until:
            return outputs
        return outputs, graphc.until(T.sum(outputs[0]) > 0.4)

    def scan(self):
        given = [self.numbers] if self.numbers is not None else []
        states = [dict(initial=x, taps=taps) for x, taps in self.states]
        found, updates = graphc.scan(
            self.step, [*(dict(input=x, taps=taps) for x, taps in self.sequences), *given],
            [*states, *[None] * self.extra, *([3] if self.counts else [])], [self.W, self.table],
            n_steps=self.steps if self.fixed_steps else None, go_backwards=self.backwards,
            return_list=True,
        )  # fmt: skip
        assert not updates
        return found

    def loop(self, values):
        """What `scan` gives, by a loop in Python."""
        value_of = dict(zip(self.inputs, values))
        sequences = []
        for x, taps in self.sequences:
            first, last = min(0, *taps), max(0, *taps)
            array = value_of[x]
            for tap in taps:
                part = array[tap - first : len(array) - (last - tap)]
                sequences.append(part[::-1] if self.backwards else part)
        if self.numbers is not None:
            part = value_of[self.numbers]
            sequences.append(part[::-1] if self.backwards else part)
        steps = self.steps if self.fixed_steps else min(len(s) for s in sequences)
        history = []
        for x, taps in self.states:
            array = value_of[x]
            history.append([array] if taps == [-1] else list(array[: -min(taps)]))
        taps_of = [taps for _, taps in self.states]
        if self.counts:
            history.append([np.array(3, "int64")])
            taps_of.append([-1])
        rows = None
        leaves = None
        for t in range(steps):
            args = [s[t] for s in sequences]
            args += [h[tap] for h, taps in zip(history, taps_of) for tap in taps]
            args += [value_of[self.W], value_of[self.table]]
            if leaves is None:
                leaves = [T.TensorType(a.dtype.name, a.shape)() for a in map(np.asarray, args)]
                returned = self.step(*leaves)
                outputs, end = returned if self.until else (returned, None)
                roots = outputs if end is None else [*outputs, end.condition]
                rows = [[] for _ in outputs]
            made = evaluate(roots, dict(zip(leaves, map(np.asarray, args))))
            for found, value in zip(rows, made):
                found.append(value)
            for k, h in enumerate(history):
                h.append(made[k if k < len(self.states) else len(outputs) - 1])
            if self.until and made[-1]:
                break
        return [np.stack(r) for r in rows]


def cost_of(rows):
    """A smooth number of all that a loop gives."""
    smooth = [v for v in rows if v.dtype != "int64"]
    return sum(
        T.sum(T.sin(v) * (0.5 + 0.2 * k)) + T.sum(T.cast(v[-1], "float64") ** 2)
        for k, v in enumerate(smooth)
    )


def cost_number(rows):
    smooth = [v for v in rows if v.dtype != "int64"]
    return sum(
        np.sum(np.sin(v) * (0.5 + 0.2 * k)) + np.sum(v[-1].astype("float64") ** 2)
        for k, v in enumerate(smooth)
    )


def compare(found, expected, tolerance=1e-9):
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype, f"value {k}"
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=f"value {k}")


def derivatives(case):
    """Outputs, their cost, its gradients, and the gradients of a sum of these."""
    rows = case.scan()
    cost = cost_of(rows)
    slopes = T.grad(cost, case.leaves, disconnected_inputs="ignore")
    turned = sum(T.sum(g * d) for g, d in zip(slopes, directions(case)))
    return rows, cost, slopes, T.grad(turned, case.leaves, disconnected_inputs="ignore")


def directions(case):
    rng = np.random.RandomState(case.seed + 2)
    return [rng.uniform(-1, 1, v.shape) for v, x in zip(case.values, case.inputs)
            if x.dtype == "float64"]  # fmt: skip


def moved(case, h):
    pending = iter(directions(case))
    return [v + h * next(pending) if x.dtype == "float64" else v
            for x, v in zip(case.inputs, case.values)]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_values_of_random_loops(seed):
    case = Case(seed, ("float64", "float32"))
    found = case.scan()
    f = function(case.inputs, found, mode="numpy", on_unused_input="ignore")
    compare(f(*case.values), case.loop(case.values), 1e-5)


@pytest.mark.parametrize("seed", range(100, 130))
def test_derivatives_of_random_loops(seed):
    """First order against differences of the Python loop, second against those of the first."""
    case = Case(seed)
    rows, cost, slopes, seconds = derivatives(case)
    f = function(case.inputs, [*rows, cost, *slopes, *seconds], mode="numpy",
                 on_unused_input="ignore")  # fmt: skip
    found = f(*case.values)
    compare(found[: len(rows)], case.loop(case.values))
    high, low = (cost_number(case.loop(moved(case, h))) for h in (H, -H))
    first, count = len(rows) + 1, len(slopes)
    along = sum((g * d).sum() for g, d in zip(found[first:], directions(case)))
    assert along == pytest.approx((high - low) / (2 * H), rel=1e-5, abs=1e-6)
    high, low = (f(*moved(case, h))[first : first + count] for h in (H, -H))
    for second, p, q in zip(found[first + count :], high, low):
        np.testing.assert_allclose(second, (p - q) / (2 * H), 1e-4, 1e-5)


@pytest.mark.parametrize("seed", range(200, 208))
def test_every_prefix_of_the_pipeline_keeps_random_loops(seed):
    case = Case(seed)
    rows, cost, slopes, seconds = derivatives(case)
    outputs = [*rows, cost, *slopes, *seconds]
    given = dict(zip(case.inputs, case.values))
    expected = evaluate(outputs, given)
    graph = Graph(tuple(case.inputs), tuple(outputs))
    for count in range(1, len(PIPELINE) + 1):
        found = optimise(graph, PIPELINE[:count]).graph
        compare(evaluate(found.outputs, given), expected, 1e-8)
    if case.until:
        return  # a program in two stages
    program = NativeProgram(graph, Options("native"))
    sized = program._sized(case.values, program.numbers.values(case.values)).graph
    compare(evaluate(sized.outputs, dict(zip(sized.inputs, case.values))), expected, 1e-8)


@pytest.mark.parametrize("seed", range(300, 308))
def test_random_loops_natively(seed):
    case = Case(seed)
    rows, cost, slopes, _ = derivatives(case)
    f = function(case.inputs, [*rows, cost, *slopes], mode="native", on_unused_input="ignore")
    g = function(case.inputs, [*rows, cost, *slopes], mode="numpy", on_unused_input="ignore")
    for values in (case.values, moved(case, 0.01)):
        compare(f(*values), g(*values), 1e-8)
