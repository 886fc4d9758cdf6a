"""Training of a click model: minibatches, early stopping on the validation part, prediction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from tqdm import tqdm

from plugrank_training.batches import Batcher, Dropping, score_batch
from plugrank_training.catalog import Catalog
from plugrank_training.models.click_model import ClickModel


@dataclass(frozen=True)
class FitOptions:
    """How one model is trained."""

    name: str
    epochs: int
    evaluations: int
    patience: int
    learning_rate: float
    weight_decay: float
    embedding_learning_rate: float
    embedding_weight_decay: float
    dropping: Dropping
    seed: int


@dataclass
class FitResult:
    """What training measured."""

    # Mean loss of the training rows between two evaluations, and the validation loss at each evaluation.
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    rows: int = 0

    def summary(self) -> dict[str, float | list[float]]:
        """For the report."""
        per_million = self.seconds / self.rows * 1e6 if self.rows else 0.0
        return {
            "train_loss": [round(value, 5) for value in self.train_loss],
            "valid_loss": [round(value, 5) for value in self.valid_loss],
            "seconds": round(self.seconds, 2),
            "rows": self.rows,
            "seconds_per_million_rows": round(per_million, 1),
        }


# In the names of vocabularies' tables: ours, DIN's biases, FuxiCTR's.
ID_TABLES = ("embeddings.tables", "item_bias", "embedding_layers.")


def id_tables(model: nn.Module) -> list[nn.Parameter]:
    """Embedding tables of vocabularies: what overfits first, and so has its own learning rate and decay."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and any(part in name for part in ID_TABLES)
    ]


def make_optimizer(model: ClickModel, options: FitOptions) -> torch.optim.Optimizer:
    """AdamW with a group for id tables and one for the rest."""
    tables = id_tables(model)
    known = {id(parameter) for parameter in tables}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    groups = [{"params": rest, "lr": options.learning_rate, "weight_decay": options.weight_decay}]
    if tables:
        groups.append(
            {
                "params": tables,
                "lr": options.embedding_learning_rate,
                "weight_decay": options.embedding_weight_decay,
            }
        )
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)


def batch_loss(logit: Tensor, label: Tensor, there: Tensor) -> Tensor:
    """Mean log loss of the candidates that are there."""
    loss = functional.binary_cross_entropy_with_logits(logit, label, weight=there, reduction="sum")
    return loss / there.sum()


@torch.no_grad()
def predict(model: ClickModel, catalog: Catalog, batcher: Batcher, progress: str = "") -> np.ndarray:
    """Logits of all examples of a batcher, f64 in their order; rounded as the serving side rounds."""
    model.eval()
    logits = np.full(len(batcher.order), np.nan)
    batches: Iterable = batcher.passes(None)
    if progress:
        batches = tqdm(batches, desc=progress, total=len(batcher), unit="batch", leave=False)
    for batch in batches:
        found = score_batch(model, catalog, batch).double().cpu().numpy()
        there = batch.example >= 0
        logits[batch.example[there]] = found[there]
    return logits


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of labels under sigmoid(logits)."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def fit(model: ClickModel, catalog: Catalog, train: Batcher, valid: Batcher, options: FitOptions) -> FitResult:
    """Train in place and leave the weights of the best validation loss.

    The learning rate falls to zero over the run; training ends early when `patience` evaluations in a row were no
    better.
    """
    result = FitResult()
    if options.epochs == 0:
        return result
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    optimizer = make_optimizer(model, options)
    steps = options.epochs * len(train)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 20) * (0.05 + 0.95 * max(0.0, 1.0 - step / steps))
    )
    every = max(1, len(train) // options.evaluations)
    best, best_loss, worse, step = snapshot(model), float("inf"), 0, 0
    recent: list[float] = []
    labels = valid.examples.label.astype(np.float64)
    started = time.perf_counter()
    bar = tqdm(total=steps, desc=options.name, unit="step", leave=False)
    for _ in range(options.epochs):
        for batch in train.passes(random):
            model.train()
            loss = batch_loss(score_batch(model, catalog, batch, options.dropping), batch.label, batch.there)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            recent.append(loss.item())
            result.rows += batch.rows
            step += 1
            bar.update()
            if step % every:
                continue
            result.train_loss.append(float(np.mean(recent)))
            recent.clear()
            result.valid_loss.append(log_loss(predict(model, catalog, valid), labels))
            bar.set_postfix(train=f"{result.train_loss[-1]:.4f}", valid=f"{result.valid_loss[-1]:.4f}")
            if result.valid_loss[-1] < best_loss:
                best, best_loss, worse = snapshot(model), result.valid_loss[-1], 0
            else:
                worse += 1
        if worse >= options.patience:
            break
    bar.close()
    if not np.isfinite(best_loss):
        raise ValueError(f"{options.name}: the validation loss was never finite; lower the learning rate")
    model.load_state_dict(best)
    model.eval()
    result.seconds = time.perf_counter() - started
    return result
