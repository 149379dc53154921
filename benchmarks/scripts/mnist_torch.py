"""The job of mnist.yaml in PyTorch: 784-800-10 on the files in the folder BP_MNIST; the argument is the epochs."""

import gzip
import math
import os
import sys

import numpy as np
import torch
from torch import nn

EPOCHS, BATCH, RATE = int(sys.argv[1]), 128, 1e-3


def read(name: str, header: int) -> np.ndarray:
    with gzip.open(f"{os.environ['BP_MNIST']}/{name}-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def pixels(name: str) -> torch.Tensor:
    return torch.from_numpy(read(name, 16).reshape(-1, 784).astype(np.float32)) / 255


def digits(name: str) -> torch.Tensor:
    return torch.from_numpy(read(name, 8).astype(np.int64))


torch.manual_seed(0)
inputs, labels = pixels("train-images-idx3"), digits("train-labels-idx1")
order = torch.randperm(len(labels))
validation, train = order[: len(labels) // 10], order[len(labels) // 10 :]
splits = {
    "train": (inputs[train], labels[train]),
    "validation": (inputs[validation], labels[validation]),
    "test": (pixels("t10k-images-idx3"), digits("t10k-labels-idx1")),
}
x_train, y_train = splits["train"]

model = nn.Sequential(nn.Linear(784, 800), nn.ReLU(), nn.Linear(800, 10))
loss_of = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)


@torch.no_grad()
def metrics(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    logits = torch.cat([model(part) for part in x.split(1024)])
    return loss_of(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


best = math.inf
for epoch in range(1, EPOCHS + 1):
    total, right = torch.zeros(()), torch.zeros(())
    for batch in torch.randperm(len(x_train)).split(BATCH):
        optimizer.zero_grad()
        wanted = y_train[batch]
        logits = model(x_train[batch])
        loss = loss_of(logits, wanted)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)
        right += (logits.detach().argmax(1) == wanted).sum()
    loss, accuracy = metrics(*splits["validation"])
    shown = f"loss {total.item() / len(x_train):.4f} accuracy {right.item() / len(x_train):.4f}"
    print(f"epoch {epoch} {shown} validation loss {loss:.4f} accuracy {accuracy:.4f}", flush=True)
    if loss < best:
        best = loss
        torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))
for name, split in splits.items():
    loss, accuracy = metrics(*split)
    print(f"{name} loss {loss:.4f} accuracy {accuracy:.4f}")
