"""AdamW for tables of ids: a step costs what the rows in the batch cost, not what the table costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class LazyAdamW(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101) over parameters `[rows, ...]` whose gradients are sparse in their first dimension.

    Only rows that have a gradient move. A row's moments fall, and its bias correction counts, by the steps in which it
    had one (as LazyAdam does, and unlike AdamW, whose rows go on moving by their moments). Decoupled weight decay is
    owed by every row at every step: a row pays what it owes when it is next touched, or in `settle`, with the very
    learning rates of the steps it missed. Where every row is touched in every step, it is AdamW.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    def tables(self) -> Iterable[tuple[dict[str, Any], Tensor, dict[str, Any]]]:
        """Group, parameter and state of every table."""
        for group in self.param_groups:
            for table in group["params"]:
                state = self.state[table]
                if not state:
                    state["mean"], state["square"] = torch.zeros_like(table), torch.zeros_like(table)
                    # How often each row had a gradient; and the sum of ln(1 - lr * decay) until it last paid.
                    state["touched"] = torch.zeros(len(table), device=table.device)
                    state["paid"] = torch.zeros(len(table), device=table.device)
                    state["owed"] = torch.zeros((), device=table.device)
                yield group, table, state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the rows that have a gradient."""
        loss = closure() if closure else None
        for group, table, state in self.tables():
            state["owed"] += math.log1p(-group["lr"] * group["weight_decay"])
            if table.grad is None:
                continue
            gradient = table.grad.coalesce() if table.grad.is_sparse else table.grad.to_sparse(1).coalesce()
            rows, values = gradient.indices()[0], gradient.values()
            if len(rows):
                move(table, state, rows, values, group)
        return loss

    @torch.no_grad()
    def settle(self) -> None:
        """Let every row pay the decay it owes: before weights are looked at or kept."""
        for _, table, state in self.tables():
            factor = torch.exp(state["owed"] - state["paid"])
            table.mul_(factor.view(-1, *[1] * (table.dim() - 1)))
            state["paid"].fill_(state["owed"])


def move(table: Tensor, state: dict[str, Any], rows: Tensor, values: Tensor, group: dict[str, Any]) -> None:
    """One step of the rows; `values [rows, ...]` are their gradients."""
    first, second = group["betas"]
    shape = (-1, *[1] * (table.dim() - 1))
    state["touched"][rows] += 1
    count = state["touched"][rows].view(shape)
    mean = state["mean"][rows].lerp_(values, 1 - first)
    square = state["square"][rows].mul_(second).addcmul_(values, values, value=1 - second)
    state["mean"][rows], state["square"][rows] = mean, square
    decay = torch.exp(state["owed"] - state["paid"][rows]).view(shape)
    state["paid"][rows] = state["owed"]
    spread = (square / (1 - second**count)).sqrt_().add_(group["eps"])
    table[rows] = table[rows] * decay - group["lr"] * (mean / (1 - first**count)) / spread


def clip_sparse(parameters: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients so that their norm together is at most `largest`; sparse ones too. Gives the norm."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    pieces = []
    for gradient in gradients:
        pieces.append((gradient.coalesce().values() if gradient.is_sparse else gradient).norm())
    norm = torch.stack(pieces).norm() if pieces else torch.zeros(())
    scale = float((largest / (norm + 1e-6)).clamp(max=1.0))
    for gradient in gradients:
        gradient.mul_(scale)
    return norm
