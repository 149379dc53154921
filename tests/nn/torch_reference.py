"""Write torch_reference.json: PyTorch's numbers, so that the tests need no PyTorch.

python tests/nn/torch_reference.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
import warnings
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
STEPS = 20


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. (2023), which PyTorch does not have."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                beta1, beta2 = group["betas"]
                c = beta1 * m + (1 - beta1) * p.grad
                p.sub_(group["lr"] * (c.sign() + group["weight_decay"] * p))
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


class Lamb(torch.optim.Optimizer):
    """Algorithm 2 of You et al. (2020), which PyTorch does not have, with the identity for its function phi."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                state["t"] = t = state.get("t", 0) + 1
                m, v = (state.setdefault(name, torch.zeros_like(p)) for name in "mv")
                m.copy_(beta1 * m + (1 - beta1) * p.grad)
                v.copy_(beta2 * v + (1 - beta2) * p.grad**2)
                r = (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + group["eps"]) + group["weight_decay"] * p
                ratio = p.norm() / r.norm() if p.norm() > 0 and r.norm() > 0 else 1.0
                p.sub_(group["lr"] * ratio * r)


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}, {}),
    "sgd momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, {"learning_rate": 0.1, "momentum": 0.9}),
    "sgd nesterov": (
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
        {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True},
    ),
    "adagrad": (torch.optim.Adagrad, {}, {}),
    "adagrad started": (
        torch.optim.Adagrad,
        {"lr": 0.1, "initial_accumulator_value": 0.1},
        {"learning_rate": 0.1, "initial_accumulator": 0.1},
    ),
    "rmsprop": (torch.optim.RMSprop, {}, {}),
    "rmsprop momentum": (
        torch.optim.RMSprop,
        {"alpha": 0.9, "momentum": 0.5},
        {"alpha": 0.9, "momentum": 0.5},
    ),
    "rmsprop centered": (
        torch.optim.RMSprop,
        {"centered": True, "momentum": 0.5, "eps": 1e-3},
        {"centered": True, "momentum": 0.5, "epsilon": 1e-3},
    ),
    "adam": (torch.optim.Adam, {}, {}),
    "adam betas": (
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-4},
        {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-4},
    ),
    "adamw": (torch.optim.AdamW, {}, {}),
    "adamw decay": (
        torch.optim.AdamW,
        {"lr": 0.05, "weight_decay": 0.5},
        {"learning_rate": 0.05, "weight_decay": 0.5},
    ),
    "adam amsgrad": (
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.8, 0.9), "amsgrad": True},
        {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "amsgrad": True},
    ),
    "adamw amsgrad": (
        torch.optim.AdamW,
        {"lr": 0.2, "betas": (0.8, 0.7), "amsgrad": True},
        {"learning_rate": 0.2, "beta1": 0.8, "beta2": 0.7, "amsgrad": True},
    ),
    "adadelta": (torch.optim.Adadelta, {}, {}),
    "adadelta rho": (
        torch.optim.Adadelta,
        {"lr": 2.0, "rho": 0.6, "eps": 1e-3},
        {"learning_rate": 2.0, "rho": 0.6, "epsilon": 1e-3},
    ),
    "adamax": (torch.optim.Adamax, {}, {}),
    "adamax betas": (
        torch.optim.Adamax,
        {"lr": 0.05, "betas": (0.8, 0.7), "eps": 1e-3},
        {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.7, "epsilon": 1e-3},
    ),
    "radam": (torch.optim.RAdam, {}, {}),
    "radam betas": (
        torch.optim.RAdam,
        {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3},
        {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3},
    ),
    "lion": (Lion, {}, {}),
    "lion decay": (
        Lion,
        {"lr": 0.01, "betas": (0.7, 0.9), "weight_decay": 0.5},
        {"learning_rate": 0.01, "beta1": 0.7, "beta2": 0.9, "weight_decay": 0.5},
    ),
    "nadam": (torch.optim.NAdam, {}, {}),
    "nadam decay": (
        torch.optim.NAdam,
        {"lr": 0.05, "betas": (0.7, 0.99), "momentum_decay": 0.1},
        {"learning_rate": 0.05, "beta1": 0.7, "beta2": 0.99, "momentum_decay": 0.1},
    ),
}


def of_biases(model):
    biases = [p for p in model.parameters() if p.ndim == 1]
    return biases, [p for p in model.parameters() if p.ndim != 1]


def adamw_groups(model):
    """Biases do not decay; the last layer's weight has another rate."""
    biases, (first, last) = of_biases(model)
    groups = [{"params": biases, "weight_decay": 0.0}, {"params": [last], "lr": 0.01}, {"params": [first]}]
    return [torch.optim.AdamW(groups, lr=0.05, weight_decay=0.5)]


def muon(**arguments):
    """Muon for the matrices, AdamW for the rest. PyTorch's iterates in bfloat16: here it keeps float64."""
    torch.Tensor.bfloat16 = lambda tensor: tensor.clone()

    def make(model):
        biases, matrices = of_biases(model)
        return [torch.optim.Muon(matrices, **arguments), torch.optim.AdamW(biases, lr=0.01)]

    return make


PARTS = {
    "lamb": (lambda model: [Lamb(model.parameters())], {"type": "lamb"}),
    "lamb decay": (
        lambda model: [Lamb(model.parameters(), 0.05, (0.8, 0.9), 1e-3, 0.5)],
        {"type": "lamb", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.5},
    ),
    "muon": (
        muon(lr=0.02, weight_decay=0.0),
        {"type": "muon", "fallback": {"type": "adamw", "learning_rate": 0.01}},
    ),
    "muon decay": (
        muon(lr=0.1, weight_decay=0.2, momentum=0.5, nesterov=False, ns_steps=3),
        {
            "type": "muon",
            "learning_rate": 0.1,
            "weight_decay": 0.2,
            "momentum": 0.5,
            "nesterov": False,
            "iterations": 3,
            "fallback": {"type": "adamw", "learning_rate": 0.01},
        },
    ),
    "adamw groups": (
        adamw_groups,
        {
            "type": "adamw",
            "learning_rate": 0.05,
            "weight_decay": 0.5,
            "groups": [
                {"parameters": "*.bias", "weight_decay": 0.0},
                {"parameters": ["dense_2.*"], "learning_rate": 0.01},
            ],
        },
    ),
}


def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def flat(parameters):
    return torch.cat([p.detach().reshape(-1) for p in parameters]).tolist()


def train(make, start, x, t):
    """``make``: the optimizers of a model's parameters."""
    model = network()
    torch.nn.utils.vector_to_parameters(start.clone(), model.parameters())
    optimizers, losses = make(model), []
    for _ in range(STEPS):
        model.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), t)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses, flat(model.parameters())


def rates(make, steps, observe=None):
    """Learning rates of steps 1, 2, ... for a learning rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*(() if observe is None else (observe[step],)))
    return found


PLATEAU = [3.0, 2.0, 2.0, 2.5, 2.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.6, 0.6, 0.6]
ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "elu": torch.nn.functional.elu,
    "selu": torch.selu,
    "gelu": torch.nn.functional.gelu,
    "gelu tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=1e9),
}
POINTS = [-1000.0, -800.0, -40.0, -10.0, -3.0, -1.0, -0.5, -1e-8, 0.0, 1e-8, 0.5, 1.0, 3.0, 10.0, 40.0, 600.0]


def activations():
    found = {}
    for name, function in ACTIVATIONS.items():
        x = torch.tensor(POINTS, requires_grad=True)
        out = function(x)
        out.sum().backward()
        found[name] = {"value": out.tolist(), "slope": x.grad.tolist()}
    return {"points": POINTS, "functions": found}


def cross_entropies(logits, labels, targets):
    f = torch.nn.functional
    weight = torch.tensor([0.5, 1.0, 3.0])
    each = f.cross_entropy(logits, labels, label_smoothing=0.2, reduction="none")
    return {
        "logits": logits.tolist(),
        "labels": labels.tolist(),
        "targets": targets.tolist(),
        "cross_entropy": f.cross_entropy(logits, labels).item(),
        "cross_entropy smoothed": each.mean().item(),
        "cross_entropy weighted": f.cross_entropy(logits, labels, weight=weight, reduction="none").mean().item(),
        "binary_cross_entropy": f.binary_cross_entropy_with_logits(logits, targets).item(),
        "mean_squared_error": f.mse_loss(logits, targets).item(),
        "mean_absolute_error": f.l1_loss(logits, targets).item(),
        "huber": f.huber_loss(logits, targets, delta=0.7).item(),
    }


def schedules():
    s = torch.optim.lr_scheduler
    return {
        "cosine": rates(lambda o: s.CosineAnnealingLR(o, 40, eta_min=0.1), 40),
        "linear": rates(lambda o: s.LinearLR(o, 1.0, 0.2, 40), 40),
        "one_cycle": rates(lambda o: s.OneCycleLR(o, 1.0, total_steps=40, cycle_momentum=False), 40),
        "step": rates(lambda o: s.StepLR(o, 3, 0.5), 10),
        "exponential": rates(lambda o: s.ExponentialLR(o, 0.9), 10),
        "plateau": {
            "observed": PLATEAU,
            "rates": rates(
                lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.0, min_lr=0.1, eps=0.0),
                len(PLATEAU),
                PLATEAU,
            ),
        },
    }


def main():
    generator = torch.Generator().manual_seed(0)
    x, t = torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator)
    start = torch.randn(26, generator=generator) * 0.5
    runs = {}
    for name, (kind, arguments, settings) in OPTIMIZERS.items():
        losses, end = train(lambda model, k=kind, a=arguments: [k(model.parameters(), **a)], start, x, t)
        runs[name] = {"settings": {"type": name.split()[0], **settings}, "losses": losses, "end": end}
    parts = {}
    for name, (make, settings) in PARTS.items():
        losses, end = train(make, start, x, t)
        parts[name] = {"settings": settings, "losses": losses, "end": end}
    logits = torch.randn(5, 3, generator=generator) * 3
    labels = torch.randint(0, 3, (5,), generator=generator)
    targets = torch.randint(0, 2, (5, 3), generator=generator).to(torch.float64)
    warnings.simplefilter("ignore")
    reference = {
        "torch": torch.__version__,
        "optimizers": {"x": x.tolist(), "t": t.tolist(), "start": start.tolist(), "runs": runs, "parts": parts},
        "losses": cross_entropies(logits, labels, targets),
        "schedules": schedules(),
        "activations": activations(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
