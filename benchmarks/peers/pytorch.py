"""PyTorch: eager with plain or fused Adam, and compiled (loss and optimizer, each as one graph)."""

from __future__ import annotations

import logging

import torch
from torch.nn import functional

from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE, Batches
from benchmarks.peers.torch_networks import network


class Torch:
    def __init__(self, data: Batches, variant: str):
        self.data, self.threads = data, torch.get_num_threads()
        self.model = network(data)
        fused = {"fused": True} if variant == "fused" else {}
        optimizer = torch.optim.Adam(
            self.model.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, **fused
        )
        self.zero_grad, self.update, self.objective = optimizer.zero_grad, optimizer.step, self._objective
        if variant == "compile":
            torch._logging.set_logs(all=logging.ERROR)
            self.update, self.objective = torch.compile(optimizer.step), torch.compile(self._objective)
        self.batches = self._batches()

    def _objective(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.model(x).flatten(0, -2), labels.flatten())

    def _batches(self):
        size = self.data.case.batch
        for inputs, labels in self.data.epochs:
            yield from zip(torch.from_numpy(inputs).split(size), torch.from_numpy(labels).split(size), strict=True)

    def use_threads(self, count: int) -> None:
        torch.set_num_threads(count)

    def run(self, steps: int) -> int:
        for _ in range(steps):
            x, labels = next(self.batches)
            self.zero_grad()
            self.objective(x, labels).backward()
            self.update()
        return steps

    def loss(self) -> float:
        self.model.eval()
        with torch.no_grad():
            loss = self._objective(torch.from_numpy(self.data.inputs), torch.from_numpy(self.data.labels)).item()
        self.model.train()
        return loss


def build(data: Batches, variant: str) -> Torch:
    return Torch(data, variant)
