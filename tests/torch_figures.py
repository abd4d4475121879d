"""What PyTorch's optimisers, schedules, averages and recurrent layers do, on small problems.

`torch_figures.json` beside this file holds the figures, so that tests need no PyTorch. Where
PyTorch is installed, ``python tests/torch_figures.py`` writes it again (last with PyTorch 2.13).

The problem is ``mean((tanh(x W + b) - y)^2)`` with W (3, 2) and b (2,), in float64. The figures of
an optimiser are W and b after each of six steps, flattened to eight numbers.

Recurrent layers read two sequences of five and two steps, in both directions; the figures are the
outputs (zeros behind the end), the last states, and the gradient of the outputs' squares by x.
"""

import json
from pathlib import Path

import numpy as np

FIGURES = Path(__file__).with_suffix(".json")
STEPS = 6
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [-0.2, 0.8, 0.1], [-1.1, -0.6, 0.9]])
Y = np.array([[0.3, -0.5], [0.9, 0.1], [-0.4, 0.6], [0.0, -0.8]])
W = np.array([[0.4, -0.3], [-0.2, 0.7], [0.1, 0.5]])
B = np.array([0.2, -0.1])

# name: (graphc's function, its settings, PyTorch's class, its settings).
# graphc's adagrad and rmsprop add epsilon under the root, PyTorch's after it: it is 0 here.
OPTIMISERS = {
    "sgd": ("sgd", {"learning_rate": 0.3}, "SGD", {"lr": 0.3}),
    "momentum": (
        "momentum", {"learning_rate": 0.3, "momentum": 0.8},
        "SGD", {"lr": 0.3, "momentum": 0.8},
    ),
    "nesterov": (
        "nesterov", {"learning_rate": 0.3, "momentum": 0.8},
        "SGD", {"lr": 0.3, "momentum": 0.8, "nesterov": True},
    ),
    "adagrad": (
        "adagrad", {"learning_rate": 0.2, "epsilon": 0.0},
        "Adagrad", {"lr": 0.2, "eps": 0.0},
    ),
    "adadelta": (
        "adadelta", {"learning_rate": 0.9, "rho": 0.8, "epsilon": 1e-3},
        "Adadelta", {"lr": 0.9, "rho": 0.8, "eps": 1e-3},
    ),
    "rmsprop": (
        "rmsprop", {"learning_rate": 0.05, "rho": 0.8, "epsilon": 0.0},
        "RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 0.0},
    ),
    "rmsprop, centred": (
        "rmsprop", {"learning_rate": 0.05, "rho": 0.8, "epsilon": 0.0, "centred": True},
        "RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 0.0, "centered": True},
    ),
    "adam": (
        "adam", {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2},
        "Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-2},
    ),
    "adam, as it comes": ("adam", {}, "Adam", {}),
    "amsgrad": (
        "amsgrad", {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.5, "epsilon": 1e-2},
        "Adam", {"lr": 0.1, "betas": (0.8, 0.5), "eps": 1e-2, "amsgrad": True},
    ),
    "adamw": (
        "adamw",
        {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2, "weight_decay": 0.3},
        "AdamW", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-2, "weight_decay": 0.3},
    ),
    "adamw, as it comes": ("adamw", {}, "AdamW", {}),
    "adamax": (
        "adamax", {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2},
        "Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-2},
    ),
    "adamax, as it comes": ("adamax", {}, "Adamax", {}),
    "nadam": (
        "nadam",
        {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2, "momentum_decay": 0.1},
        "NAdam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-2, "momentum_decay": 0.1},
    ),
    "nadam, as it comes": ("nadam", {}, "NAdam", {}),
}  # fmt: skip

# name: (settings of graphc's LBFGS, those of PyTorch's); one iteration a step, for both
LBFGS = {
    "lbfgs": (
        {"learning_rate": 0.5, "history": 3, "line_search": False},
        {"lr": 0.5, "history_size": 3, "max_iter": 1},
    ),
}

RATE, LENGTH = 0.5, 12
# name: (graphc's settings after the step, PyTorch's class, its settings); over 16 steps
SCHEDULES = {
    "step_decay": ((RATE, 3, 0.4), "StepLR", {"step_size": 3, "gamma": 0.4}),
    "exponential": ((RATE, 0.8), "ExponentialLR", {"gamma": 0.8}),
    "cosine": ((RATE, LENGTH, 0.1), "CosineAnnealingLR", {"T_max": LENGTH, "eta_min": 0.1}),
    "linear": (
        (RATE * 0.25, RATE, 5),
        "LinearLR", {"start_factor": 0.25, "total_iters": 5},
    ),
    "one_cycle": (
        (RATE, LENGTH), "OneCycleLR", {"max_lr": RATE, "total_steps": LENGTH},
    ),
    "one_cycle_momentum": ((LENGTH,), "OneCycleLR", {"max_lr": RATE, "total_steps": LENGTH}),
}  # fmt: skip

# name: (graphc's layer, its settings, PyTorch's class, gates)
RECURRENT = {
    "rnn": ("RNN", {}, "RNN", 1),
    "lstm": ("LSTM", {}, "LSTM", 4),
    "gru": ("GRU", {"reset_after": True}, "GRU", 3),
}
LENGTHS, INPUTS, UNITS = [5, 2], 3, 2
SEQUENCES = np.sin(np.arange(2.0 * 5 * INPUTS)).reshape(2, 5, INPUTS)  # (batch, time, inputs)


def recurrent_values(gates, way):
    """Weights, recurrent weights, bias and, for a GRU, c of the layer that reads one way."""
    shapes = [(INPUTS, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,), (UNITS,)]
    shapes = shapes if gates == 3 else shapes[:3]
    return [np.cos(np.arange(np.prod(s)) * 1.7 + k + 5.0 * way).reshape(s) * 0.8
            for k, s in enumerate(shapes)]  # fmt: skip


def main():
    import torch

    torch.set_default_dtype(torch.float64)

    def problem():
        weights, bias = (torch.tensor(v, requires_grad=True) for v in (W, B))

        def loss():
            error = torch.tanh(torch.tensor(X) @ weights + bias) - torch.tensor(Y)
            return (error**2).mean()

        return (weights, bias), loss

    def flat(params):
        return [float(v) for p in params for v in p.detach().numpy().ravel()]

    def descend(params, loss, optimiser, before=lambda: None):
        """The parameters after each step."""
        found = []

        def closure():
            optimiser.zero_grad()
            value = loss()
            value.backward()
            before()
            return value

        for _ in range(STEPS):
            optimiser.step(closure)
            found.append(flat(params))
        return found

    def optimised(kind, settings):
        params, loss = problem()
        return descend(params, loss, getattr(torch.optim, kind)(params, **settings))

    def clipped(clip):
        params, loss = problem()
        optimiser = torch.optim.SGD(params, lr=1.0)
        return descend(params, loss, optimiser, lambda: clip(params))

    def scheduled(name, kind, settings):
        optimiser = torch.optim.SGD([torch.zeros(1)], lr=RATE, momentum=0.9)
        schedule = getattr(torch.optim.lr_scheduler, kind)(optimiser, **settings)
        found = []
        for _ in range(LENGTH):
            group = optimiser.param_groups[0]
            found.append(group["momentum" if name == "one_cycle_momentum" else "lr"])
            optimiser.step()
            if len(found) < LENGTH:
                schedule.step()
        return found

    def averaged(**settings):
        params, loss = problem()
        model = torch.nn.ParameterList(params)
        average = torch.optim.swa_utils.AveragedModel(model, **settings)
        optimiser, found = torch.optim.SGD(model.parameters(), lr=1.0), []
        for _ in range(STEPS):
            optimiser.zero_grad()
            error = torch.tanh(torch.tensor(X) @ model[0] + model[1]) - torch.tensor(Y)
            (error**2).mean().backward()
            optimiser.step()
            average.update_parameters(model)
            found.append(flat(average.module))
        return found

    def read(kind, gates):
        layer = getattr(torch.nn, kind)(INPUTS, UNITS, batch_first=True, bidirectional=True)
        for way, end in enumerate(("", "_reverse")):
            W, U, b, *c = (torch.tensor(v) for v in recurrent_values(gates, way))
            second = torch.cat([torch.zeros_like(b[: 2 * UNITS]), *c]) if c else torch.zeros_like(b)
            values = {"weight_ih": W.T, "weight_hh": U.T, "bias_ih": b, "bias_hh": second}
            for name, value in values.items():
                getattr(layer, f"{name}_l0{end}").data.copy_(value)
        x = torch.tensor(SEQUENCES, requires_grad=True)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True)
        found, last = layer(packed)
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(found, batch_first=True)
        (outputs**2).sum().backward()
        last = last[0] if isinstance(last, tuple) else last
        return [flat([v]) for v in (outputs, last.transpose(0, 1), x.grad)]

    clips, rule = torch.nn.utils, torch.optim.swa_utils.get_ema_multi_avg_fn
    figures = {
        "optimisers": {n: optimised(kind, s) for n, (_, _, kind, s) in OPTIMISERS.items()},
        "lbfgs": {n: optimised("LBFGS", s) for n, (_, s) in LBFGS.items()},
        "clipping": {
            "clip_by_value": clipped(lambda p: clips.clip_grad_value_(p, 0.05)),
            "clip_by_norm": clipped(lambda p: [clips.clip_grad_norm_([q], 0.1) for q in p]),
            "clip_by_global_norm": clipped(lambda p: clips.clip_grad_norm_(p, 0.1)),
        },
        "averages": {"polyak": averaged(), "ema": averaged(multi_avg_fn=rule(0.7))},
        "schedules": {n: scheduled(n, kind, s) for n, (_, kind, s) in SCHEDULES.items()},
        "recurrent": {n: read(kind, gates) for n, (_, _, kind, gates) in RECURRENT.items()},
    }
    rounded = json.loads(json.dumps(figures), parse_float=lambda text: float(f"{float(text):.13g}"))
    lines = [
        f' "{part}": {{\n'
        + ",\n".join(f'  "{name}":\n   {json.dumps(rows)}' for name, rows in cases.items())
        + "\n }"
        for part, cases in rounded.items()
    ]
    FIGURES.write_text("{\n" + ",\n".join(lines).replace("], [", "],\n    [") + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
