"""The job of configs/shakespeare.yaml in PyTorch: a transformer of letters; arguments are the file and the steps."""

import math
import sys

import torch
from torch import nn
from torch.nn import functional

STEPS, BATCH, RATE, CONTEXT, WARMUP, EVERY = int(sys.argv[2]), 12, 2e-3, 64, 100, 500
WIDTH, HEADS, BLOCKS = 128, 4, 4

torch.manual_seed(0)
with open(sys.argv[1]) as file:  # noqa: PTH123 - as such a script is written
    text = file.read()
letters = {letter: number for number, letter in enumerate(sorted(set(text)))}
tokens = torch.tensor([letters[letter] for letter in text])
held_out = len(tokens) // 10
train, validation = tokens[:-held_out], tokens[-held_out:]
places = torch.arange(CONTEXT + 1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        parts = self.project(x).view(batch, time, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.attention, self.norm_2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.dense = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.dense(self.norm_2(x))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(len(letters), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(letters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.tokens(x) + self.positions.weight)))


model = Network()
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.1, fused=True)


def factor(step: int) -> float:
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def loss_of(part: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    windows = part[starts[:, None] + places]
    return functional.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def measured(part: torch.Tensor) -> float:
    starts = torch.arange(0, len(part) - CONTEXT, CONTEXT)
    return (sum(loss_of(part, few) * len(few) for few in starts.split(128)) / len(starts)).item()


best = math.inf
for step in range(1, STEPS + 1):
    optimizer.zero_grad()
    loss = loss_of(train, torch.randint(len(train) - CONTEXT, (BATCH,)))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    if step % EVERY == 0 or step == STEPS:
        figure = measured(validation)
        print(f"step {step} loss {loss.item():.4f} validation loss {figure:.4f}", flush=True)
        if figure < best:
            best = figure
            torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))
for name, part in (("train", train), ("validation", validation)):
    print(f"{name} loss {measured(part):.4f}")
