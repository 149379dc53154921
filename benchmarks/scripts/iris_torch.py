"""The job of configs/iris.yaml in PyTorch: read, standardize, split, train 50 epochs, print the test accuracy."""

import csv
import sys

import torch
from torch import nn

EPOCHS, BATCH, RATE = 50, 16, 1e-2

torch.manual_seed(0)
with open(sys.argv[1], newline="") as file:  # noqa: PTH123 - as such a script is written
    rows = list(csv.reader(file))[1:]
names = sorted({row[-1] for row in rows})
inputs = torch.tensor([[float(cell) for cell in row[:-1]] for row in rows])
labels = torch.tensor([names.index(row[-1]) for row in rows])

order = torch.randperm(len(rows))
test, train = order[: len(rows) * 15 // 100], order[len(rows) * 30 // 100 :]
mean, deviation = inputs[train].mean(0), inputs[train].std(0, correction=0)
inputs = (inputs - mean) / deviation

model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, len(names)))
loss_of = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
for _ in range(EPOCHS):
    for batch in train[torch.randperm(len(train))].split(BATCH):
        optimizer.zero_grad()
        loss_of(model(inputs[batch]), labels[batch]).backward()
        optimizer.step()

with torch.no_grad():
    accuracy = (model(inputs[test]).argmax(1) == labels[test]).float().mean().item()
print(f"test accuracy {accuracy:.3f}")
