"""The job of configs/california_housing.yaml in PyTorch: read, fill in, standardize, train 40 epochs, keep the best."""

import csv
import math
import sys

import numpy as np
import torch
from torch import nn

EPOCHS, BATCH, RATE = 40, 128, 1e-2
TARGET, CATEGORY = "median_house_value", "ocean_proximity"

torch.manual_seed(0)
with open(sys.argv[1], newline="") as file:  # noqa: PTH123 - as such a script is written
    header, *rows = csv.reader(file)
columns = dict(zip(header, zip(*rows, strict=True), strict=True))
targets = torch.tensor([float(cell) for cell in columns.pop(TARGET)])
categories = np.array(columns.pop(CATEGORY))
one_hot = torch.from_numpy((categories[:, None] == np.unique(categories)).astype(np.float32))
numbers = torch.tensor([[float(cell or "nan") for cell in column] for column in columns.values()]).T

order, held_out = torch.randperm(len(rows)), len(rows) * 15 // 100
test, validation, train = order[:held_out], order[held_out : 2 * held_out], order[2 * held_out :]
numbers = torch.where(numbers.isnan(), numbers[train].nanmedian(0).values, numbers)
numbers = (numbers - numbers[train].mean(0)) / numbers[train].std(0, correction=0)
inputs = torch.cat([numbers, one_hot], 1)
mean, deviation = targets[train].mean(), targets[train].std(correction=0)
targets = ((targets - mean) / deviation)[:, None]

model = nn.Sequential(
    *(nn.Linear(inputs.shape[1], 64), nn.ReLU()),
    *(nn.Linear(64, 32), nn.ReLU()),
    nn.Linear(32, 1),
)
loss_of = nn.HuberLoss(delta=1.0)
optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
steps = EPOCHS * math.ceil(len(train) / BATCH)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.01 * RATE)


@torch.no_grad()
def metrics(rows: torch.Tensor) -> dict[str, float]:
    predictions, wanted = model(inputs[rows]), targets[rows]
    errors = predictions - wanted
    return {
        "loss": loss_of(predictions, wanted).item(),
        "r2": (1 - errors.square().mean() / wanted.var(correction=0)).item(),
        "rmse": (errors.square().mean().sqrt() * deviation).item(),
        "mae": (errors.abs().mean() * deviation).item(),
    }


def shown(figures: dict[str, float]) -> str:
    return " ".join(f"{name} {figure:.4g}" for name, figure in figures.items())


best = math.inf
for epoch in range(1, EPOCHS + 1):
    total = torch.zeros(())
    for batch in train[torch.randperm(len(train))].split(BATCH):
        optimizer.zero_grad()
        loss = loss_of(model(inputs[batch]), targets[batch])
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(batch)
    figures = metrics(validation)
    print(f"epoch {epoch} loss {total.item() / len(train):.4f} validation {shown(figures)}", flush=True)
    if figures["loss"] < best:
        best = figures["loss"]
        torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))
for name, rows in (("train", train), ("validation", validation), ("test", test)):
    print(f"{name} {shown(metrics(rows))}")
