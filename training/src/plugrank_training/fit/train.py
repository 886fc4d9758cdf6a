"""Training of a click model: minibatches, early stopping on the validation part, prediction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.examples import Examples
from plugrank_training.distributed import is_main, total, world, wrap
from plugrank_training.fit.batches import (
    Batch,
    Batcher,
    DrawnItems,
    Dropping,
    EncodedBatch,
    encode_batch,
    score_batch,
    score_drawn,
    score_encoded,
)
from plugrank_training.fit.checkpoint import Checkpoint
from plugrank_training.fit.lazy_adam import LazyAdamW, clip_sparse
from plugrank_training.fit.list_loss import BLOCKED, list_loss, list_losses, retrieval_loss, retrieval_query
from plugrank_training.fit.ranking_loss import ranking_log_loss, ranking_loss
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.cut_model import CutModel
from plugrank_training.progress_bar import progress_bar


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
    # Share of the in-user ranking loss in what is trained and judged by; the rest is log loss.
    ranking: float = 0.0
    # Share of the list loss, where the batchers draw items; the rest is the loss above.
    lists: float = 0.0
    # Weight of the loss of item vectors for retrieval, and its temperature; of a model with PPM only.
    retrieval: float = 0.0
    temperature: float = 0.1
    # Of the losses of the model's further tasks, beside that of the main one; 1 where a task is not named.
    task_weights: Mapping[str, float] = field(default_factory=dict)
    # Whether id tables move by the rows of a batch alone; see `lazy_adam.py`.
    sparse: bool = False
    # After how many evaluations to stop and keep what there is; None: where the validation part says.
    stop_after: int | None = None


@dataclass
class FitResult:
    """What training measured."""

    # Mean loss of the training rows between two evaluations, and the validation loss at each evaluation.
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    # Of all threads of this process: what other work on the machine hardly changes.
    cpu_seconds: float = 0.0
    rows: int = 0

    def summary(self) -> dict[str, float | list[float]]:
        """For the report."""
        millions = self.rows / 1e6 if self.rows else float("inf")
        return {
            "train_loss": [round(value, 5) for value in self.train_loss],
            "valid_loss": [round(value, 5) for value in self.valid_loss],
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "rows": self.rows,
            "seconds_per_million_rows": round(self.seconds / millions, 1),
            "cpu_seconds_per_million_rows": round(self.cpu_seconds / millions, 1),
        }


class Stopwatch:
    """Counts what a fit takes on top of what its `result` has already, as after a checkpoint."""

    def __init__(self, result: FitResult) -> None:
        self.result = result
        self.wall = result.seconds - time.perf_counter()
        self.cpu = result.cpu_seconds - time.process_time()

    def note(self) -> None:
        """Write it into the result."""
        self.result.seconds = self.wall + time.perf_counter()
        self.result.cpu_seconds = self.cpu + time.process_time()


# In the names of vocabularies' tables: ours, DIN's biases, FuxiCTR's.
ID_TABLES = ("embeddings.tables", "item_bias", "embedding_layers.")


def id_tables(model: nn.Module) -> list[nn.Parameter]:
    """Embedding tables of vocabularies: what overfits first, and so has its own learning rate and decay."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and any(part in name for part in ID_TABLES)
    ]


def sparse_tables(model: nn.Module) -> list[nn.Parameter]:
    """Id tables whose gradients are made sparse from now on: those that are looked up by `nn.Embedding`."""
    wanted = {id(parameter): parameter for parameter in id_tables(model)}
    found = []
    for module in model.modules():
        if isinstance(module, nn.Embedding) and id(module.weight) in wanted:
            module.sparse = True
            found.append(wanted[id(module.weight)])
    return found


class Optimizers:
    """AdamW for most parameters, and for id tables where they are to move by the rows of a batch alone."""

    def __init__(self, model: nn.Module, options: FitOptions) -> None:
        lazy = sparse_tables(model) if options.sparse and world() == 1 else []
        apart = {id(parameter) for parameter in lazy}
        tables = [parameter for parameter in id_tables(model) if id(parameter) not in apart]
        apart |= {id(parameter) for parameter in tables}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
        groups = [{"params": rest, "lr": options.learning_rate, "weight_decay": options.weight_decay}]
        rate, decay = options.embedding_learning_rate, options.embedding_weight_decay
        if tables:
            groups.append({"params": tables, "lr": rate, "weight_decay": decay})
        self.dense = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
        self.lazy = LazyAdamW(lazy, rate, decay, (0.9, 0.99)) if lazy else None
        self.parameters = list(model.parameters())
        self.all = [self.dense, *([self.lazy] if self.lazy else [])]

    def zero_grad(self) -> None:
        """Forget gradients."""
        for optimizer in self.all:
            optimizer.zero_grad()

    def step(self) -> None:
        """Clip gradients to a norm of 5 together and move."""
        if self.lazy:
            clip_sparse(self.parameters, 5.0)
        else:
            nn.utils.clip_grad_norm_(self.parameters, 5.0)
        for optimizer in self.all:
            optimizer.step()

    def settle(self) -> None:
        """Bring all rows up to date before weights are looked at."""
        if self.lazy:
            self.lazy.settle()

    def state(self) -> list[dict[str, Any]]:
        """Of every optimizer."""
        return [optimizer.state_dict() for optimizer in self.all]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Go on from what `state` gave."""
        for optimizer, state in zip(self.all, states, strict=True):
            optimizer.load_state_dict(state)


def batch_loss(logit: Tensor, label: Tensor, there: Tensor) -> Tensor:
    """Mean log loss of the candidates that are there, in the batches of all processes together.

    Gradients are averaged over processes, so each one's sum is divided by the mean number of candidates.
    """
    loss = functional.binary_cross_entropy_with_logits(logit, label, weight=there, reduction="sum")
    # Of a further task no label may be known.
    return loss * world() / total(there.sum()).clamp(min=1.0)


def logged_loss(logit: Tensor, batch: Batch, ranking: float) -> Tensor:
    """Of logged impressions: log loss and, for `ranking` of it, the in-user ranking loss."""
    loss = batch_loss(logit, batch.label, batch.there)
    if ranking == 0.0:
        return loss
    there = batch.there > 0
    user = batch.users.unsqueeze(1).expand_as(batch.there)[there]
    return (1.0 - ranking) * loss + ranking * ranking_loss(logit[there], batch.label[there], user)


class Scorer(nn.Module):
    """A click model's scores of a batch, as one forward pass; with `retrieval`, the loss of its item vectors too."""

    def __init__(self, model: ClickModel, catalog: Catalog, options: FitOptions) -> None:
        super().__init__()
        self.model, self.catalog, self.options = model, catalog, options

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits by task `[G, C, tasks]`; mean loss of lists and of item vectors, 0 without one."""
        encoded = encode_batch(self.model, self.catalog, batch, self.options.dropping)
        logits = score_encoded(self.model, encoded, batch)
        logit = logits[..., self.model.list_place]
        # Where lists have an output of their own it is part of every step, as several processes want it.
        lists = logit.sum() * 0.0 if self.model.list_place else logit.new_zeros(())
        vectors = logit.new_zeros(())
        if self.options.lists > 0.0 and batch.drawn is not None:
            losses = drawn_losses(self.model, encoded, batch.drawn, logit)
            lists = list_loss(losses, (batch.label * batch.there).index_select(0, batch.drawn.lists))
        if self.options.retrieval > 0.0:
            vectors = self.retrieval(encoded, batch)
        return logits, lists, vectors

    def retrieval(self, encoded: EncodedBatch, batch: Batch) -> Tensor:
        """The loss of item vectors as nearest neighbours of what was clicked."""
        if batch.log_popularity is None:
            raise ValueError("retrieval.share: the batcher knows no popularity")
        clicked = batch.history_mask * batch.history_label.to(batch.history_mask.dtype)
        query = retrieval_query(encoded.history["item_vector"], clicked)
        known = (clicked.sum(1, keepdim=True) > 0) & (batch.label * batch.there > 0)
        row, column = known.nonzero(as_tuple=True)
        places = batch.candidates[row, column]
        target = functional.embedding(places, encoded.items["item_vector"])
        return retrieval_loss(
            functional.embedding(row, query),
            target,
            batch.items[places],
            batch.users[row],
            batch.log_popularity[places],
            self.options.temperature,
        )


def drawn_losses(model: ClickModel, encoded: EncodedBatch, drawn: DrawnItems, logit: Tensor) -> Tensor:
    """`list_losses` of a batch's lists with clicks, `[D, C]`.

    `logit [G, C]` are the candidates', of the task that lists are ordered by.
    """
    against = score_drawn(model, encoded, drawn)
    candidates = logit.index_select(0, drawn.lists)
    return list_losses(candidates, against, drawn.log_chance_candidates, drawn.log_chance, drawn.blocked)


def task_loss(logit: Tensor, label: Tensor) -> Tensor:
    """Mean log loss of a further task where its label, `[G, C]`, is known (not NaN), as `batch_loss`."""
    known = (~label.isnan()).to(logit.dtype)
    return batch_loss(logit, label.nan_to_num(0.0), known)


def combined_loss(
    scored: tuple[Tensor, Tensor, Tensor], batch: Batch, options: FitOptions, tasks: Sequence[str]
) -> Tensor:
    """All that is trained by: log loss, the in-user ranking loss, the list loss, the loss of item vectors, and the
    losses of the further `tasks` that have labels."""
    logits, lists, vectors = scored
    loss = (1.0 - options.lists) * logged_loss(logits[..., 0], batch, options.ranking)
    for place, task in enumerate(tasks, 1):
        loss = loss + options.task_weights.get(task, 1.0) * task_loss(logits[..., place], batch.further[task])
    return loss + options.lists * lists + options.retrieval * vectors


@torch.no_grad()
def predict(model: CutModel, catalog: Catalog, batcher: Batcher, progress: str = "") -> np.ndarray:
    """Logits of the main task of all examples of a batcher, f64 in their order; rounded as the serving side rounds."""
    return predict_tasks(model, catalog, batcher, progress)[:, 0]


@torch.no_grad()
def predict_tasks(model: CutModel, catalog: Catalog, batcher: Batcher, progress: str = "") -> np.ndarray:
    """The same of all tasks, f64 `[examples, tasks]`."""
    model.eval()
    logits = np.full((len(batcher.examples), len(model.tasks)), np.nan)
    batches: Iterable = batcher.passes(None)
    if progress:
        batches = progress_bar(batches, desc=progress, total=len(batcher), unit="batch")
    for batch in batches:
        found = score_batch(model, catalog, batch).double().cpu().numpy()
        there = batch.example >= 0
        logits[batch.example[there]] = found[there]
    return logits


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of labels under sigmoid(logits)."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def valid_loss(logits: np.ndarray, examples: Examples, ranking: float) -> float:
    """What `logged_loss` is, over a whole part."""
    loss = log_loss(logits, examples.label.astype(np.float64))
    if ranking == 0.0:
        return loss
    return (1.0 - ranking) * loss + ranking * ranking_log_loss(examples.user, examples.label, logits)


@torch.no_grad()
def list_level(model: CutModel, catalog: Catalog, batcher: Batcher) -> float:
    """What has to be taken off the logits of lists, so that those of the whole catalog are logarithms of shares: the
    mean over lists of the logarithm of their sum, estimated from the drawn items. The list loss leaves it open.

    0 where no list has a click.
    """
    model.eval()
    levels = []
    for batch in batcher.passes(None):
        if batch.drawn is None:
            continue
        encoded = encode_batch(model, catalog, batch, Dropping())
        weighed = score_drawn(model, encoded, batch.drawn) - batch.drawn.log_chance
        weighed = torch.where(batch.drawn.blocked, torch.full_like(weighed, BLOCKED), weighed)
        levels.append(torch.logsumexp(weighed, dim=1) - np.log(weighed.shape[1]))
    return float(torch.cat(levels).double().mean()) if levels else 0.0


@torch.no_grad()
def judged(model: ClickModel, catalog: Catalog, batcher: Batcher, options: FitOptions) -> float:
    """What `combined_loss` is over a whole part but for the item vectors; drawn items are the same every time."""
    model.eval()
    logits = np.full(len(batcher.examples), np.nan)
    summed, clicks = 0.0, 0.0
    # Of each further task: the sum of its losses, and how many there are.
    tasks = np.zeros((len(model.labelled_tasks), 2))
    for batch in batcher.passes(None):
        encoded = encode_batch(model, catalog, batch, Dropping())
        every = score_encoded(model, encoded, batch)
        logit = every[..., 0]
        for place, task in enumerate(model.labelled_tasks):
            label = batch.further[task]
            known = float((~label.isnan()).sum())
            tasks[place] += float(task_loss(every[..., place + 1], label)) * known, known
        there = batch.example >= 0
        logits[batch.example[there]] = logit.double().cpu().numpy()[there]
        if batch.drawn is not None and options.lists > 0.0:
            losses = drawn_losses(model, encoded, batch.drawn, every[..., model.list_place])
            clicked = (batch.label * batch.there).index_select(0, batch.drawn.lists)
            summed, clicks = summed + float((losses * clicked).sum()), clicks + float(clicked.sum())
    loss = valid_loss(logits, batcher.examples, options.ranking)
    weights = [options.task_weights.get(task, 1.0) for task in model.labelled_tasks]
    further = float(np.dot(weights, tasks[:, 0] / np.maximum(tasks[:, 1], 1.0)))
    if options.lists == 0.0 or not clicks:
        return loss + further
    return (1.0 - options.lists) * loss + options.lists * summed / clicks + further


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


class Fit:
    """A training run that can be stopped and gone on with between any two steps."""

    def __init__(self, model: ClickModel, steps: int, options: FitOptions) -> None:
        self.model = model
        self.optimizers = Optimizers(model, options)

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / 20) * (0.05 + 0.95 * max(0.0, 1.0 - step / steps))

        self.schedules = [torch.optim.lr_scheduler.LambdaLR(one, rate) for one in self.optimizers.all]
        self.random = np.random.default_rng(options.seed)
        self.result = FitResult()
        self.best, self.best_loss, self.worse = snapshot(model), float("inf"), 0
        self.epoch, self.done = 0, 0
        # Of the batches' order, at the start of this epoch.
        self.epoch_random = self.random.bit_generator.state
        self.recent: list[float] = []

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state(),
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "best": self.best,
            "counts": (self.best_loss, self.worse, self.epoch, self.done),
            "random": self.epoch_random,
            "recent": self.recent,
            "result": vars(self.result),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizers.restore(state["optimizers"])
        for schedule, left in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(left)
        device = next(self.model.parameters()).device
        self.best = {name: value.to(device) for name, value in state["best"].items()}
        self.best_loss, self.worse, self.epoch, self.done = state["counts"]
        self.epoch_random = self.random.bit_generator.state = state["random"]
        self.recent = state["recent"]
        self.result = FitResult(**state["result"])
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])

    def judge(self, valid_loss: float) -> None:
        """Keep the weights when they are the best so far."""
        self.result.train_loss.append(float(np.mean(self.recent)))
        self.recent.clear()
        self.result.valid_loss.append(valid_loss)
        if valid_loss < self.best_loss:
            self.best, self.best_loss, self.worse = snapshot(self.model), valid_loss, 0
        else:
            self.worse += 1

    def keep(self) -> None:
        """Keep the weights as they are now, unjudged."""
        self.result.train_loss.append(float(np.mean(self.recent)))
        self.recent.clear()
        self.best, self.best_loss = snapshot(self.model), 0.0

    def ended(self, options: FitOptions) -> bool:
        """Whether enough was trained."""
        if options.stop_after is not None:
            return len(self.result.train_loss) >= options.stop_after
        return self.epoch >= options.epochs or self.worse >= options.patience


def fit(
    model: ClickModel,
    catalog: Catalog,
    train: Batcher,
    valid: Batcher,
    options: FitOptions,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Train in place and leave the weights of the best validation loss.

    The learning rate falls to zero over the run; training ends early when `patience` evaluations in a row were no
    better, or after `stop_after` of them. Equal arguments give equal weights, on one device, also where a `checkpoint`
    was gone on from.
    """
    if options.epochs == 0 or options.stop_after == 0:
        return FitResult()
    torch.manual_seed(options.seed)
    steps = options.epochs * len(train)
    run = Fit(model, steps, options)
    left = checkpoint.load() if checkpoint else None
    if left is not None:
        run.restore(left)
    every = max(1, len(train) // options.evaluations)
    scorer = wrap(Scorer(model, catalog, options))
    watch = Stopwatch(run.result)
    step = run.schedules[0].last_epoch
    bar = progress_bar(total=steps, initial=step, desc=options.name, unit="step", shown=is_main())
    while not run.ended(options):
        for batch in train.passes(run.random, skip=run.done, by_user=options.ranking > 0):
            model.train()
            loss = combined_loss(scorer(batch), batch, options, model.labelled_tasks)
            run.optimizers.zero_grad()
            loss.backward()
            run.optimizers.step()
            for schedule in run.schedules:
                schedule.step()
            run.recent.append(float(total(loss)) / world())
            run.result.rows += batch.rows
            run.done += 1
            step += 1
            bar.update()
            if step % every == 0:
                run.optimizers.settle()
                if options.stop_after is not None:
                    run.keep()
                    if run.ended(options):
                        break
                    continue
                run.judge(judged(model, catalog, valid, options))
                bar.set_postfix(
                    train=f"{run.result.train_loss[-1]:.4f}", valid=f"{run.result.valid_loss[-1]:.4f}", refresh=False
                )
            if checkpoint and checkpoint.due() and is_main():
                watch.note()
                checkpoint.save(run.state())
        run.epoch, run.done, run.epoch_random = run.epoch + 1, 0, run.random.bit_generator.state
    bar.close()
    if not np.isfinite(run.best_loss):
        raise ValueError(f"{options.name}: the validation loss was never finite; lower the learning rate")
    model.load_state_dict(run.best)
    model.eval()
    watch.note()
    return run.result
