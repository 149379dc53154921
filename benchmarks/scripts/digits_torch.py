"""The job of configs/digits.yaml in PyTorch: read, split, train 40 epochs, keep the best, print its metrics."""

import math
import sys

import numpy as np
import torch
from torch import nn

EPOCHS, BATCH, RATE = 40, 32, 2e-3

torch.manual_seed(0)
table = torch.from_numpy(np.loadtxt(sys.argv[1], delimiter=",", skiprows=1, dtype=np.float32))
inputs, labels = table[:, :-1] / 16, table[:, -1].long()
order, held_out = torch.randperm(len(table)), len(table) * 15 // 100
test, validation, train = order[:held_out], order[held_out : 2 * held_out], order[2 * held_out :]

model = nn.Sequential(
    *(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.3)),
    *(nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3)),
    nn.Linear(128, 10),
)
loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
steps = EPOCHS * math.ceil(len(train) / BATCH)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.01 * RATE)


@torch.no_grad()
def metrics(rows: torch.Tensor) -> tuple[float, float]:
    model.eval()
    logits = model(inputs[rows])
    model.train()
    return loss_of(logits, labels[rows]).item(), (logits.argmax(1) == labels[rows]).float().mean().item()


best = math.inf
for epoch in range(1, EPOCHS + 1):
    total, right = torch.zeros(()), torch.zeros(())
    for batch in train[torch.randperm(len(train))].split(BATCH):
        optimizer.zero_grad()
        logits = model(inputs[batch])
        loss = loss_of(logits, labels[batch])
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(batch)
        right += (logits.detach().argmax(1) == labels[batch]).sum()
    loss, accuracy = metrics(validation)
    shown = f"loss {total.item() / len(train):.4f} accuracy {right.item() / len(train):.4f}"
    print(f"epoch {epoch} {shown} validation loss {loss:.4f} accuracy {accuracy:.4f}", flush=True)
    if loss < best:
        best = loss
        torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))
for name, rows in (("train", train), ("validation", validation), ("test", test)):
    loss, accuracy = metrics(rows)
    print(f"{name} loss {loss:.4f} accuracy {accuracy:.4f}")
