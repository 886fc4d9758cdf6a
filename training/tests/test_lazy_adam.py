"""AdamW that touches only the rows of a batch."""

from __future__ import annotations

import copy

import torch
from torch import nn

from plugrank_training.config import Config
from plugrank_training.fit.batches import Dropping
from plugrank_training.fit.lazy_adam import LazyAdamW, clip_sparse
from plugrank_training.fit.train import FitOptions, Optimizers, id_tables
from plugrank_training.models.build import make_idrec
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import Schema

RATE, DECAY = 0.05, 0.3


def steps(table: nn.Embedding, optimizer: torch.optim.Optimizer, batches: list[list[int]], rate: list[float]) -> None:
    for rows, lr in zip(batches, rate, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        chosen = torch.tensor(rows)
        (table(chosen) * (chosen.unsqueeze(1) - 1.3)).sin().sum().backward()
        optimizer.step()


def tables(rows: int = 5) -> tuple[nn.Embedding, nn.Embedding]:
    torch.manual_seed(0)
    lazy = nn.Embedding(rows, 3, sparse=True)
    dense = nn.Embedding(rows, 3)
    dense.load_state_dict(copy.deepcopy(lazy.state_dict()))
    return lazy, dense


def test_lazy_adamw_equals_adamw_where_every_row_is_touched() -> None:
    lazy, dense = tables()
    batches, rate = [[0, 1, 2, 3, 4, 1]] * 12, [RATE * (1 - step / 20) for step in range(12)]
    steps(lazy, LazyAdamW([lazy.weight], RATE, DECAY), batches, rate)
    steps(dense, torch.optim.AdamW(dense.parameters(), RATE, (0.9, 0.99), weight_decay=DECAY), batches, rate)
    assert torch.allclose(lazy.weight, dense.weight, atol=1e-6)


def test_skipped_rows_catch_up_on_weight_decay() -> None:
    lazy, _ = tables()
    before = lazy.weight.detach().clone()
    optimizer = LazyAdamW([lazy.weight], RATE, DECAY)
    rate = [RATE * (1 - step / 10) for step in range(8)]
    steps(lazy, optimizer, [[1, 2]] * 8, rate)
    # Not looked at yet: nothing of the others moved.
    assert torch.equal(lazy.weight[[0, 3, 4]], before[[0, 3, 4]])
    optimizer.settle()
    owed = torch.tensor([1 - lr * DECAY for lr in rate]).prod()
    assert torch.allclose(lazy.weight[[0, 3, 4]], before[[0, 3, 4]] * owed, atol=1e-6)
    settled = lazy.weight.detach().clone()
    optimizer.settle()
    assert torch.equal(lazy.weight, settled)
    # A row alone moves as if its table were of that row, whatever the others do.
    alone, _ = tables()
    other = LazyAdamW([alone.weight], RATE, DECAY)
    steps(alone, other, [[1]] * 8, rate)
    assert torch.allclose(alone.weight[1], settled[1], atol=1e-6)


def test_clipping_covers_sparse_and_dense_gradients() -> None:
    lazy, dense = tables()
    rest = nn.Linear(3, 1)
    norms = []
    for table in (lazy, dense):
        rest.zero_grad()
        table.zero_grad()
        rest(table(torch.tensor([0, 1, 1, 4]))).square().sum().mul(40).backward()
        parameters = [table.weight, *rest.parameters()]
        norms.append((clip_sparse if table is lazy else nn.utils.clip_grad_norm_)(parameters, 0.5))
    assert torch.isclose(norms[0], norms[1])
    assert norms[0] > 1
    assert torch.allclose(lazy.weight.grad.to_dense(), dense.weight.grad, atol=1e-6)


def test_lazy_adamw_trains_id_tables_and_resumes_from_a_checkpoint() -> None:
    item = (Feature.of("item_id", (f"i{n}" for n in range(50))), Feature.of("categories", ("a", "b")))
    schema = Schema(item, (Feature.of("user_id", ("u1", "u2")),), (("text", 4),), 5, 5)
    options = FitOptions("x", 1, 1, 1, 1e-2, 1e-3, 1e-2, 0.5, Dropping(), 0, sparse=True)
    models = [make_idrec(schema, Config(), 0) for _ in range(2)]
    optimizers = [Optimizers(model, options) for model in models]
    assert optimizers[0].lazy is not None
    lazy = {id(p) for group in optimizers[0].lazy.param_groups for p in group["params"]}
    assert lazy == {id(parameter) for parameter in id_tables(models[0])}
    assert len(lazy) > 2

    def train(which: int, count: int) -> None:
        table = next(m for m in models[which].modules() if isinstance(m, nn.Embedding) and m.num_embeddings == 52)
        for step in range(count):
            optimizers[which].zero_grad()
            table(torch.tensor([3, 4 + step])).square().sum().backward()
            assert table.weight.grad is not None
            assert table.weight.grad.is_sparse
            optimizers[which].step()

    train(0, 4)
    models[1].load_state_dict(copy.deepcopy(models[0].state_dict()))
    optimizers[1].restore(copy.deepcopy(optimizers[0].state()))
    for which in (0, 1):
        train(which, 3)
        optimizers[which].settle()
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, models[1].state_dict()[name]), name
