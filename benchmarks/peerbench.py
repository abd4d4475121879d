"""graphc's versions of the workloads that the peers are measured on.

`TASKS` maps a workload's name to a function ``(data, peer) -> harness.Task``; the benchmark's
runner loads this file when `PEERBENCH_GRAPHC` names it. The arithmetic and the check values
are those of the peers' versions.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from harness import Task  # type: ignore[import-not-found]

import graphc
import graphc.tensor as T
from graphc import optim

graphc.config.floatX = "float32"


def shared(array: Any, name: str | None = None) -> Any:
    return graphc.shared(array, name=name)


def symbolic(array: Any, name: str | None = None) -> Any:
    return T.tensor(str(array.dtype), (None,) * array.ndim, name=name)


def nll(logits: Any, labels: Any) -> Any:
    return T.nnet.categorical_crossentropy(T.nnet.softmax(logits), labels).mean()


def updates_for(loss: Any, params: list[Any], opt: dict[str, Any]) -> list[Any]:
    grads = graphc.grad(loss, params)
    if opt.get("clip"):
        norm = T.sqrt(sum(T.sqr(g).sum() for g in grads))
        scale = T.minimum(opt["clip"] / (norm + 1e-6), 1.0)
        grads = [g * scale for g in grads]
    if opt["kind"] == "adam":
        return optim.adam(grads, params, opt["lr"], *opt["betas"], opt["eps"])
    if opt["kind"] == "sgd":
        return [(p, p - opt["lr"] * g) for p, g in zip(params, grads)]
    updates = []
    for p, g in zip(params, grads):
        v = shared(np.zeros_like(p.get_value()))
        new = opt["mu"] * v + g
        updates += [(v, new), (p, p - opt["lr"] * new)]
    return updates


def trainer(
    loss_fn: Any, params: list[Any], batches: list[Any], opt: dict[str, Any], carry: Any = ()
) -> Task:
    """One optimiser step on the next batch per call.

    With `carry`, arrays that live on from step to step, the loss is of
    ``(params, carry, *batch)`` and comes with their new values.
    """
    variables = [shared(p, f"p{k}") for k, p in enumerate(params)]
    inputs = [symbolic(a, f"in{k}") for k, a in enumerate(batches[0])]
    state = [shared(c, f"carry{k}") for k, c in enumerate(carry)]
    if state:
        loss, new = loss_fn(variables, state, *inputs)
    else:
        loss, new = loss_fn(variables, *inputs), []
    updates = [*updates_for(loss, variables, opt), *zip(state, new)]
    function = graphc.function(inputs, loss, updates=updates)
    count = [0]

    def step() -> Any:
        batch = batches[count[0] % len(batches)]
        count[0] += 1
        return function(*batch)

    return Task(step, lambda loss: [float(loss)])


def scalar_call(data: Any, peer: str) -> Task:
    a, b = T.dscalars("a", "b")
    f = graphc.function([a, b], a + b)
    x, y = data["a"], data["b"]
    if data["native"]:
        x, y = np.asarray(x), np.asarray(y)
    return Task(lambda: f(x, y), lambda r: [float(r)])


def elementwise(data: Any, peer: str) -> Task:
    x, z = T.fvectors("x", "z")
    f = graphc.function([x, z], T.exp(x * x * -0.5) * T.tanh(z) + T.nnet.sigmoid(x * z))

    def read(y: Any) -> list[float]:
        return [float(y.mean(dtype=np.float64)), float(np.abs(y).max()), float(y[0]), float(y[-1])]

    return Task(lambda: f(data["x"], data["z"]), read)


def softmax_xent(data: Any, peer: str) -> Task:
    logits, labels = symbolic(data["logits"]), symbolic(data["labels"])
    loss = nll(logits, labels)
    f = graphc.function([logits, labels], [loss, graphc.grad(loss, logits)])

    def read(handle: Any) -> list[float]:
        loss, grad = handle
        norm = float(np.linalg.norm(grad.astype(np.float64)))
        return [float(loss), 1e3 * norm, 1e3 * float(np.abs(grad).max())]

    return Task(lambda: f(data["logits"], data["labels"]), read)


def layernorm(data: Any, peer: str) -> Task:
    values = [data[k] for k in ("x", "gamma", "beta", "dy")]
    x, gamma, beta, dy = inputs = [symbolic(v) for v in values]
    centred = x - x.mean(axis=1, keepdims=True)
    var = (centred * centred).mean(axis=1, keepdims=True)
    y = centred / T.sqrt(var + 1e-5) * gamma + beta
    grads = graphc.grad((y * dy).sum(), [x, gamma, beta])
    f = graphc.function(inputs, [y, *grads])
    return Task(
        lambda: f(*values), lambda r: [float(np.linalg.norm(a.astype(np.float64))) for a in r]
    )


def logreg_step(data: Any, peer: str) -> Task:
    return trainer(
        lambda p, x, y: nll(T.dot(x, p[0]) + p[1], y), data["params"], data["batches"],
        {"kind": "sgd", "lr": 0.13},
    )  # fmt: skip


def mlp_loss(data: Any) -> Any:
    act = {"tanh": T.tanh, "relu": T.nnet.relu}[data["act"]]

    def loss_fn(params: list[Any], x: Any, y: Any) -> Any:
        h = x
        for w, b in zip(params[:-2:2], params[1:-2:2]):
            h = act(T.dot(h, w) + b)
        loss = nll(T.dot(h, params[-2]) + params[-1], y)
        if data["l2"]:
            loss = loss + data["l2"] * sum((w * w).sum() for w in params[::2])
        return loss

    return loss_fn


def mlp_step(data: Any, peer: str) -> Task:
    return trainer(mlp_loss(data), data["params"], data["batches"], data["opt"])


def lenet_step(data: Any, peer: str) -> Task:
    def loss_fn(params: list[Any], x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4 = params
        h = T.tanh(pooled(T.nnet.conv2d(x, w1, filter_flip=False), b1))
        h = T.tanh(pooled(T.nnet.conv2d(h, w2, filter_flip=False), b2))
        h = T.tanh(T.dot(h.flatten(2), w3) + b3)
        return nll(T.dot(h, w4) + b4, y)

    def pooled(image: Any, bias: Any) -> Any:
        return max_pool(image) + bias.dimshuffle("x", 0, "x", "x")

    return trainer(loss_fn, data["params"], data["batches"], {"kind": "sgd", "lr": 0.05})


def max_pool(image: Any) -> Any:
    return T.signal.pool.pool_2d(image, ws=(2, 2), ignore_border=True)


def cifar_cnn_step(data: Any, peer: str) -> Task:
    from workloads import cifar_cnn_step as workload  # type: ignore[import-not-found]

    def loss_fn(params: list[Any], x: Any, y: Any) -> Any:
        h = x
        for i in range(0, 9, 3):
            w, gamma, beta = params[i : i + 3]
            h = T.nnet.conv2d(h, w, border_mode="half", filter_flip=False)
            h, *_ = T.nnet.bn.batch_normalization_train(
                h, gamma, beta, "spatial", epsilon=workload.EPS
            )
            h = max_pool(T.nnet.relu(h))
        return nll(T.dot(h.flatten(2), params[-2]) + params[-1], y)

    return trainer(loss_fn, data["params"], data["batches"], workload.OPT)


def lstm_step(data: Any, peer: str) -> Task:
    from workloads import lstm_step as workload  # type: ignore[import-not-found]

    hidden = data["carry"][0].shape[1]

    def loss_fn(params: list[Any], carry: list[Any], tokens: Any, targets: Any) -> Any:
        emb, wx, wh, b, wo, bo = params

        def cell(x: Any, h: Any, c: Any, wh: Any) -> Any:
            z = x + T.dot(h, wh)
            i, f, g, o = (z[:, k * hidden : (k + 1) * hidden] for k in range(4))
            c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
            return T.nnet.sigmoid(o) * T.tanh(c), c

        (hs, cs), _ = graphc.scan(
            cell, sequences=T.dot(emb[tokens], wx) + b, outputs_info=list(carry),
            non_sequences=[wh], strict=True,
        )  # fmt: skip
        rows = hs.reshape((-1, hidden))
        return nll(T.dot(rows, wo) + bo, targets.flatten()), [hs[-1], cs[-1]]

    return trainer(loss_fn, data["params"], data["batches"], workload.OPT, data["carry"])


def autoencoder_step(data: Any, peer: str) -> Task:
    def loss_fn(params: list[Any], x: Any) -> Any:
        w, b, c = params
        h = T.nnet.sigmoid(T.dot(x, w) + b)
        a = T.dot(h, w.T) + c
        return (T.nnet.softplus(a) - x * a).sum() / x.shape[0]

    return trainer(loss_fn, data["params"], data["batches"], {"kind": "sgd", "lr": 0.1})


def epoch(data: Any, peer: str) -> Task:
    count = len(data["batches"])
    batch = len(data["x"]) // count
    params = [shared(p) for p in data["params"]]
    xs, ys = shared(data["x"]), shared(data["y"])
    index = T.lscalar("index")
    x, y = T.fmatrix("x"), T.lvector("y")
    loss = mlp_loss(data)(params, x, y)
    span = slice(index * batch, (index + 1) * batch)
    f = graphc.function(
        [index], loss, updates=updates_for(loss, params, data["opt"]),
        givens={x: xs[span], y: ys[span]},
    )  # fmt: skip
    return Task(lambda: np.mean([f(i) for i in range(count)]), lambda r: [float(r)])


def big_graph(data: Any, peer: str) -> Task:
    start = time.perf_counter()
    x = symbolic(data["x"], "x")
    weights = [symbolic(w, f"w{k}") for k, w in enumerate(data["weights"])]
    values = [x]
    binary = {"add": T.add, "sub": T.sub, "mul": T.mul, "maximum": T.maximum}
    for op, a, b in data["program"]:
        if op == "tanh":
            values.append(T.tanh(values[a]))
        elif op == "matmul":
            values.append(T.dot(values[a], weights[b]))
        else:
            values.append(binary[op](values[a], values[b]))
    total = values[-1]
    for v in values[100:-1:100]:
        total = total + v
    y = total.sum() * np.float32(1 / 64)
    outputs = [y, graphc.grad(y, x)] if data["grad"] else [y]
    built = time.perf_counter()
    f = graphc.function([x, *weights], outputs)

    def step() -> Any:
        return f(data["x"], *data["weights"])

    step()
    done = time.perf_counter()

    def read(handle: Any) -> list[float]:
        if len(handle) == 2:
            return [float(handle[0]), float(np.linalg.norm(handle[1]))]
        return [float(handle[0])]

    return Task(step, read, phases={"build": built - start, "compile": done - built})


TASKS = {
    "scalar_call": scalar_call,
    "elementwise": elementwise,
    "softmax_xent": softmax_xent,
    "layernorm": layernorm,
    "logreg_step": logreg_step,
    "mlp_step": mlp_step,
    "lenet_step": lenet_step,
    "cifar_cnn_step": cifar_cnn_step,
    "lstm_step": lstm_step,
    "autoencoder_step": autoencoder_step,
    "epoch": epoch,
    "big_graph": big_graph,
    "memory": mlp_step,
}

# The memory workload brings a peer's compiler into memory through the peers' own table.
from workloads import mlp_step as _mlp_workload  # type: ignore[import-not-found]  # noqa: E402

_mlp_workload.PEERS.setdefault("graphc", mlp_step)
