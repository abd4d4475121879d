"""Loops, captured graphs and many calls at once on the CUDA target, for Numba's simulator.

The simulator can't capture. A driver that notes launches and makes them at a replay stands for
one that does: what it is given is what a graph holds, so order and arguments are proved.
"""

import contextlib

import numpy as np

import graphc
import graphc.tensor as T
from graphc.core.errors import BadIndexError, HostError
from graphc.runtime.cuda import loops, schedule
from graphc.runtime.cuda.driver import current_driver, use_driver

rng = np.random.RandomState(3)
X = rng.uniform(-1, 1, (6, 3))


def capturing_driver():
    """The simulator's driver, with graphs that are lists of calls."""
    driver = current_driver()

    class Capturing(type(driver)):
        open_graph, counts = None, {"captured": 0, "replayed": 0, "launched": 0}

        def launch(self, *given):
            if self.open_graph is None:
                self.counts["launched"] += 1
                super().launch(*given)
            else:
                self.open_graph.append((super().launch, given))

        def multiply(self, *given):
            if self.open_graph is None:
                super().multiply(*given)
            else:
                self.open_graph.append((super().multiply, given))

        def allocate(self, *given):
            assert self.open_graph is None, "memory can't be had while a stream is captured"
            return super().allocate(*given)

        def capture(self, launches):
            nodes = self.open_graph = []
            try:
                launches()
            finally:
                self.open_graph = None
            self.counts["captured"] += 1

            def replay():
                self.counts["replayed"] += 1
                for run, given in nodes:
                    run(*given)

            return replay

    if not driver.simulated:
        return driver
    made = Capturing(driver._cuda, simulated=True)
    made.lacks_products = driver.lacks_products
    return made


@contextlib.contextmanager
def captures():
    before, used = current_driver(), capturing_driver()
    use_driver(used)
    try:
        yield getattr(used, "counts", {})
    finally:
        use_driver(before)


@contextlib.contextmanager
def limited(nodes):
    """Graphs of at most so many nodes."""
    before = loops.LIMIT
    loops.LIMIT = schedule.LIMIT = nodes
    try:
        yield
    finally:
        loops.LIMIT = schedule.LIMIT = before


def both(build, *arrays, calls=1, target="cuda", **options):
    """The function on the device, after calls that agree with NumPy mode."""
    inputs = [T.TensorType(a.dtype.name, a.shape)(f"x{k}") for k, a in enumerate(arrays)]
    outputs = build(*inputs)
    device = graphc.function(inputs, outputs, target=target, **options)
    plain = graphc.function(inputs, outputs, mode="numpy")
    for turn in range(calls):
        given = [a + turn if a.dtype == "int64" else a * (1 - 0.1 * turn) for a in arrays]
        for x, y in zip(device(*given), plain(*given), strict=True):
            assert x.dtype == y.dtype and x.shape == y.shape, (x, y)
            np.testing.assert_allclose(x, y, 1e-9, 1e-12)
    return device


def recurrent(x, w):
    h, _ = graphc.scan(lambda v, s: T.tanh(v + T.dot(s, w)), sequences=x,
                       outputs_info=T.zeros((3,)))  # fmt: skip
    return [h, T.grad((h**2).sum(), w)]


def growing(k):
    found, _ = graphc.scan(lambda s: (s * 2, graphc.until(s * 2 > k)),
                           outputs_info=T.constant(1.0), n_steps=50)  # fmt: skip
    return [found, graphc.ifelse(k > 5, found.sum(), -found[-1])]


def nested(x):
    def outer(row, s):
        h, _ = graphc.scan(lambda v, u: T.tanh(u + v), sequences=T.concatenate([row] * 4),
                           outputs_info=s)  # fmt: skip
        return h[-1]

    return [graphc.scan(outer, sequences=x, outputs_info=T.constant(0.1))[0]]


def captured_loops():
    """Loops whose length is known are in the graph; others replay the graph of a step."""
    w = rng.uniform(-1, 1, (3, 3))
    with captures() as counts:
        device = both(recurrent, X, w, calls=3)
        if counts:
            assert counts["captured"] == 1 and counts["replayed"] == 2, counts
        assert "loop" in {s.routine for s in device.plan.steps}
        both(growing, np.array(4), calls=4)
        both(nested, X[:2], calls=2)
        with limited(10):
            if counts:
                counts.update(captured=0, replayed=0, launched=0)
            both(recurrent, X, w)
            both(nested, X[:3])
            if counts:
                assert counts["replayed"] > 10 > counts["captured"] > 2, counts


def host_steps_in_loops():
    """A body may do what NumPy does, also where its rows move in a loop around it."""

    def ordered(x):
        h, _ = graphc.scan(lambda v, s: T.sort(s * v)[::-1] + v, sequences=x,
                           outputs_info=T.ones((3,)))  # fmt: skip
        return [h, h[-1].sum()]

    def stops(x):
        h, _ = graphc.scan(
            lambda v, s: (T.sort(s + v), graphc.until(T.sort(s + v)[2] > 1)), sequences=x,
            outputs_info=T.zeros((3,)),
        )  # fmt: skip
        return [h]

    def inside(x):
        def outer(row, s):
            rows = T.stack([row, row * 2, row * 3, row * 4])
            h, _ = graphc.scan(lambda v, u: T.sort(v * u), sequences=rows, outputs_info=s)
            return h[-1]

        return [graphc.scan(outer, sequences=x, outputs_info=T.ones((3,)))[0]]

    def chosen(x):
        return [graphc.ifelse(x.sum() > 100, x[0], T.sort(x, axis=0)[0])]

    x = abs(X) + 0.5
    for build in (ordered, stops, inside):
        f = both(build, x)
        assert any(s.routine == "host" for n, s in f.plan.all_steps() if len(n) > 1), f.plan
        assert any("in every step of a loop" in note for note in f.plan.notes)
    both(chosen, x)
    with captures():
        both(ordered, x, calls=2)

    @graphc.as_op([T.dvector], [T.dvector], infer_shape=lambda node, shapes: shapes)
    def choosy(v):
        if v[0] > 1:
            raise ValueError("too much")
        return v

    xs = T.dmatrix("xs")
    w = graphc.shared(np.zeros(3), name="w")
    h, _ = graphc.scan(lambda v: choosy(v * 2), sequences=xs)
    f = graphc.function([xs], h, updates=[(w, w + h[-1])], target="cuda")
    f(np.zeros((5, 3)))
    try:
        f(np.arange(15.0).reshape(5, 3))
    except HostError as error:
        assert "too much" in str(error)
    else:
        raise AssertionError("no error")
    assert not w.get_value().any()


def sgd(target, until=None):
    """A training step over batches of shared data, as many as it takes."""
    data = graphc.shared(np.arange(36.0).reshape(12, 3) % 5, name="data")
    w, i, scale = graphc.shared(np.zeros(3), name="w"), T.lscalar("i"), T.dscalar("scale")
    picks = T.lvector("picks")
    rows = data[i * 4 : (i + 1) * 4]
    loss = ((T.dot(rows, w) - rows.sum(axis=1)) ** 2).mean() * scale
    outputs = [loss, w[picks].sum()] + ([loss < until] if until is not None else [])
    f = graphc.function([i, scale, picks], outputs, target=target,
                        updates=[(w, w - 0.02 * T.grad(loss, w))])  # fmt: skip
    return f, w


def many_calls():
    """`graphc.loop` gives what calls one after the other give."""
    order, scales = np.arange(6) % 3, np.linspace(0.5, 1.5, 6)
    with captures() as counts:
        found = {}
        for target in ("cuda", "cpu"):
            f, w = sgd(target)
            given = graphc.each(order), graphc.each(scales), np.array([0, -1])
            if counts:
                counts.update(captured=0, replayed=0, launched=0)
            first = graphc.loop(f, *given)
            again = graphc.loop(f, graphc.each(order), 1.0, np.array([0, 1]), n_steps=4)
            last = f(1, 1.0, np.array([2]))  # a call by itself, after them
            found[target] = [*first, *again, *last, w.get_value()]
            if counts and target == "cuda" and current_driver().lacks_products:
                assert counts["replayed"] >= 4 + 2 and counts["captured"] <= 3, counts
        for x, y in zip(found["cuda"], found["cpu"], strict=True):
            assert x.dtype == y.dtype and x.shape == y.shape
            np.testing.assert_allclose(x, y, 1e-9)


def many_calls_that_end():
    """By a condition, and by a bad index: what is launched behind them does nothing."""
    order, pick = np.arange(10) % 3, np.array([0])
    with captures():
        found = {}
        for target in ("cuda", "cpu"):
            f, w = sgd(target, until=2.0)
            rows = graphc.loop(f, graphc.each(order), 1.0, pick, until=2)
            found[target] = [*rows, w.get_value()]
            assert 2 < len(rows[0]) < 8 and rows[2][-1] and not rows[2][:-1].any()
            bad = np.zeros((8, 1), "int64")
            bad[6] = 7
            try:
                graphc.loop(f, graphc.each(order), 1.0, graphc.each(bad))
            except BadIndexError as error:
                assert "in call 6 of the loop" in str(error), error
            else:
                raise AssertionError("no error")
            found[target].append(w.get_value())
        for x, y in zip(found["cuda"], found["cpu"], strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, 1e-9)


def many_products():
    """Products of rows that move, with results that move, and updates that add products."""
    drawn = np.random.RandomState(3)
    rows, start = drawn.uniform(0, 1, (5, 4, 3)), drawn.uniform(0.5, 1, (3, 3))
    bound = 5.0
    with captures():
        found = {}
        for target in ("cuda", "cpu"):
            x, w = T.dmatrix("x"), graphc.shared(start.copy(), name="w")
            y = T.dot(x, w)
            stack = T.matmul(T.stack([x, x * 2]), w)  # made where results move
            f = graphc.function([x], [y, T.dot(y.T, x), y.sum() < bound, stack], target=target,
                                updates=[(w, w - 0.1 * T.dot(x.T, y))])  # fmt: skip
            few = graphc.loop(f, graphc.each(rows), until=2)
            assert len(few[0]) == 4 and not few[2][:3].any()
            found[target] = [*graphc.loop(f, graphc.each(rows)), w.get_value(), *few,
                             f(rows[1])[0]]  # fmt: skip
        for a, b in zip(found["cuda"], found["cpu"], strict=True):
            np.testing.assert_allclose(a, b, 1e-9)


def many_calls_with_loops():
    """What a call does may be a loop that ends early, or a choice."""
    total = {t: graphc.shared(np.array(0.0), name="total") for t in ("cuda", "cpu")}
    found = {}
    for target in total:
        k = T.dscalar("k")
        numbers, grown = growing(k)
        f = graphc.function([k], [grown, numbers[-1]], target=target,
                            updates=[(total[target], total[target] + grown)])  # fmt: skip
        rows = graphc.loop(f, graphc.each(np.array([3.0, 30, 3, 9, 2, 60])))
        found[target] = [*rows, total[target].get_value()]
    for x, y in zip(found["cuda"], found["cpu"], strict=True):
        np.testing.assert_allclose(x, y, 1e-12)
    x, y = T.dmatrix("x"), T.dvector("y")
    there = graphc.function([x], graphc.Out(x * 2, device=True), target="cuda")(X)
    f = graphc.function([x, y], (x * y).sum(axis=1), target="cuda")
    for value in (there, graphc.each(np.stack([X * 2] * 6))):
        np.testing.assert_allclose(graphc.loop(f, value, graphc.each(X)), 2 * X @ X.T, 1e-9)


CASES = (captured_loops, host_steps_in_loops, many_calls, many_calls_that_end,
         many_calls_with_loops, many_products)  # fmt: skip
