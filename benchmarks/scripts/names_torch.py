"""The job of configs/names_gru.yaml in PyTorch: given names letter by letter; arguments are the file and the epochs."""

import math
import sys

import torch
from torch import nn
from torch.nn import functional

EPOCHS, BATCH, RATE, CONTEXT, WARMUP = int(sys.argv[2]), 64, 3e-3, 16, 100
END, NONE = 0, -100

torch.manual_seed(0)
with open(sys.argv[1]) as file:  # noqa: PTH123 - as such a script is written
    names = [name for name in file.read().splitlines() if name]
letters = {letter: number for number, letter in enumerate(sorted(set("".join(names))), start=1)}
inputs = torch.full((len(names), CONTEXT), END)
targets = torch.full((len(names), CONTEXT), NONE)
for row, name in enumerate(names):
    tokens = torch.tensor([END, *(letters[letter] for letter in name), END])[: CONTEXT + 1]
    inputs[row, : len(tokens) - 1], targets[row, : len(tokens) - 1] = tokens[:-1], tokens[1:]
order, held_out = torch.randperm(len(names)), len(names) // 10
test, validation, train = order[:held_out], order[held_out : 2 * held_out], order[2 * held_out :]


class Network(nn.Module):
    def __init__(self, tokens: int):
        super().__init__()
        self.embedding, self.gru = nn.Embedding(tokens, 32), nn.GRU(32, 160, batch_first=True)
        self.dense = nn.Linear(160, tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.gru(self.embedding(x))[0])


model = Network(len(letters) + 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
steps = EPOCHS * math.ceil(len(train) / BATCH)


def factor(step: int) -> float:
    return (step + 1) / WARMUP if step < WARMUP else (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))) / 2


schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def loss_of(rows: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    logits = model(inputs[rows])
    return functional.cross_entropy(logits.flatten(0, 1), targets[rows].flatten(), reduction=reduction)


@torch.no_grad()
def measured(rows: torch.Tensor) -> float:
    total = sum(loss_of(part, "sum") for part in rows.split(1024))
    return (total / (targets[rows] != NONE).sum()).item()


best = math.inf
for epoch in range(1, EPOCHS + 1):
    total = torch.zeros(())
    for batch in train[torch.randperm(len(train))].split(BATCH):
        optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(batch)
    loss = measured(validation)
    print(f"epoch {epoch} loss {total.item() / len(train):.4f} validation loss {loss:.4f}", flush=True)
    if loss < best:
        best = loss
        torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))
for name, rows in (("train", train), ("validation", validation), ("test", test)):
    loss = measured(rows)
    print(f"{name} loss {loss:.4f} perplexity {math.exp(loss):.4f} bits {loss / math.log(2):.4f}")
