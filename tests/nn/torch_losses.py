"""Write torch_losses.json: PyTorch's losses and their gradients, so that the tests need no PyTorch.

python tests/nn/torch_losses.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

torch.set_default_dtype(torch.float64)
ROWS, CLASSES, POSITIONS = 5, 4, 3


def sigmoid_focal_loss(inputs, targets, alpha, gamma):
    """As in torchvision 0.20, torchvision/ops/focal_loss.py."""
    p = torch.sigmoid(inputs)
    cost = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    cost = cost * (1 - (p * targets + (1 - p) * (1 - targets))) ** gamma
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * cost).mean()


def softmax_focal_loss(x, labels, gamma):
    log_p = F.log_softmax(x, dim=1).gather(1, labels[:, None])[:, 0]
    return -(((1 - log_p.exp()) ** gamma) * log_p).mean()


def by_position(x, labels, **more):
    """PyTorch has the classes on the second axis."""
    return F.cross_entropy(x.transpose(1, 2), labels, ignore_index=-1, **more)


def cases():
    """name: (settings, kind of targets, loss)."""
    return {
        "hinge": ({}, "labels", F.multi_margin_loss),
        "hinge squared": (
            {"margin": 0.5, "power": 2},
            "labels",
            lambda x, t: F.multi_margin_loss(x, t, p=2, margin=0.5),
        ),
        "binary_hinge": ({}, "binary", lambda x, t: F.hinge_embedding_loss(x * (2 * t - 1), -torch.ones_like(x))),
        "kl_divergence": (
            {},
            "probabilities",
            lambda x, t: F.kl_div(F.log_softmax(x, dim=1), t, reduction="batchmean"),
        ),
        "poisson": ({}, "counts", lambda x, t: F.poisson_nll_loss(x, t, log_input=True)),
        "cosine_similarity": ({}, "numbers", lambda x, t: (1 - F.cosine_similarity(x, t)).mean()),
        "focal": ({}, "labels", lambda x, t: softmax_focal_loss(x, t, 2.0)),
        "focal weakly": ({"gamma": 0.5}, "labels", lambda x, t: softmax_focal_loss(x, t, 0.5)),
        "binary_focal": (
            {"gamma": 1.5, "alpha": 0.25},
            "binary",
            lambda x, t: sigmoid_focal_loss(x, t, 0.25, 1.5),
        ),
        "next_token": ({}, "tokens", by_position),
        "next_token smoothed": (
            {"label_smoothing": 0.2},
            "tokens",
            lambda x, t: by_position(x, t, label_smoothing=0.2),
        ),
    }


def targets(generator):
    shares = torch.rand(ROWS, CLASSES, generator=generator)
    shares[0, 1] = 0.0
    labels = torch.randint(0, CLASSES, (ROWS, POSITIONS), generator=generator)
    labels[1, 2] = labels[3] = -1
    return {
        "labels": torch.randint(0, CLASSES, (ROWS,), generator=generator),
        "binary": torch.randint(0, 2, (ROWS, CLASSES), generator=generator).to(torch.float64),
        "probabilities": shares / shares.sum(dim=1, keepdim=True),
        "counts": torch.poisson(torch.full((ROWS, CLASSES), 2.0), generator=generator),
        "numbers": torch.randn(ROWS, CLASSES, generator=generator),
        "tokens": labels,
    }


def main():
    generator = torch.Generator().manual_seed(1)
    x = 2 * torch.randn(ROWS, POSITIONS, CLASSES, generator=generator)
    given, found = targets(generator), {}
    for name, (settings, kind, function) in cases().items():
        outputs = (x if kind == "tokens" else x[:, 0]).clone().requires_grad_()
        value = function(outputs, given[kind])
        value.backward()
        found[name] = {
            "settings": {"type": name.split()[0], **settings},
            "targets": kind,
            "value": value.item(),
            "gradient": outputs.grad.tolist(),
        }
    stored = {"torch": torch.__version__, "outputs": x.tolist(), "targets": {k: t.tolist() for k, t in given.items()}}
    text = json.dumps({**stored, "losses": found})
    Path(__file__).with_suffix(".json").write_text(text.replace('}, "', '},\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
