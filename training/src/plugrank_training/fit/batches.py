"""Examples to rectangular batches `[users, candidates]`: impressions of one user and time share one history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.history_states import HistoryStates
from plugrank_training.data.recent_clicks import RecentClicks
from plugrank_training.distributed import rank, world
from plugrank_training.fit.list_negatives import ListNegatives
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.features import OTHER
from plugrank_training.models.inputs import GIVEN, PAST, REQUEST, ItemInputs, Named
from plugrank_training.models.recent_clicks import RECENT

# Rows of a part that are shuffled together.
BLOCK_ROWS = 1 << 22
# A history that is shortened in training has at most so many entries left.
SHORTEST = 20
# Impressions of one user that a batch holds at least, where a user's are to be compared and so many are there.
RUN = 32


@dataclass(frozen=True)
class DrawnItems:
    """`N` drawn items of each of `D` lists, those with a click in them; see `ListDraw`."""

    # int64 [D]: which of the batch's lists.
    lists: Tensor
    # int64 [D, N]: places in the batch's items; f32 [D, N]; bool [D, N].
    places: Tensor
    log_chance: Tensor
    blocked: Tensor
    # f32 [D, C].
    log_chance_candidates: Tensor
    # Shares of recent clicks at the list's moment, f32 [D, N, half-lives]; None where no model reads them.
    recent: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """`G` users' histories with `C` candidates each, over `n` distinct items."""

    # int64 [n]: the items that occur, as rows of the catalog.
    items: Tensor
    # int64 [G]: users, as rows of the catalog.
    users: Tensor
    # int64 [G, L] and [G, C]: places in `items`; padding points anywhere.
    history: Tensor
    candidates: Tensor
    history_label: Tensor
    age_bucket: Tensor
    history_mask: Tensor
    recency: Tensor
    # f32 [G, C]: label, and 1 where there is a candidate.
    label: Tensor
    there: Tensor
    # [G, C]: which example each candidate is, -1 for padding.
    example: np.ndarray
    # Rows of the log that requests, int64 [G], and candidates, [G, C], are of, -1 where it has none; and the requests'
    # times, int64 [G].
    request_rows: np.ndarray
    candidate_rows: np.ndarray
    times: np.ndarray
    # Rows of the log that the histories' entries are, [G, L]; None where nothing is read of them.
    history_rows: np.ndarray | None = None
    # Labels of further tasks, f32 [G, C]; NaN where one is not known, or there is no candidate.
    further: Named = field(default_factory=dict)
    # Cached outputs of frozen layers over the histories, f32 [G, L, d]; empty where there are none.
    frozen: Named = field(default_factory=dict)
    # Items to train clicks against; None where none are drawn.
    drawn: DrawnItems | None = None
    # How often each item is clicked, as a logarithm, f32 [n]; None where nothing is drawn.
    log_popularity: Tensor | None = None
    # Shares of recent clicks of the candidates at the list's moment, f32 [G, C, half-lives]; None where no model reads
    # them.
    recent: Tensor | None = None

    @property
    def rows(self) -> int:
        """Candidates without padding."""
        return int((self.example >= 0).sum())


@dataclass(frozen=True)
class Dropping:
    """Chances of hiding things in training; see `ItemInputs` and docs/bundle-format.md, "A missing item"."""

    item: float = 0.0
    item_id: float = 0.0
    user_id: float = 0.0
    # Of a whole history: what is to be shown to somebody without a past is learned so.
    history: float = 0.0
    # Of all of a history but its newest entries, up to `SHORTEST` of them.
    shorten: float = 0.0


class Block:
    """Consecutive rows of a part, cut into groups of one user and time, and of one request by `requests`."""

    def __init__(self, examples: Examples, first: int, candidates: int, requests: np.ndarray | None = None) -> None:
        users, times = examples.user, examples.timestamp
        # Stable, so that examples of one group keep their order.
        order = np.lexsort((times, users) if requests is None else (requests, times, users))
        fresh = np.ones(len(order), dtype=bool)
        fresh[1:] = (np.diff(users[order]) != 0) | (np.diff(times[order]) != 0)
        if requests is not None:
            fresh[1:] |= requests[order][1:] != requests[order][:-1]
        run_start = np.maximum.accumulate(np.where(fresh, np.arange(len(fresh)), 0))
        fresh |= (np.arange(len(fresh)) - run_start) % candidates == 0
        self.start = np.flatnonzero(fresh)
        self.size = np.diff(np.append(self.start, len(order)))
        # How much past there is, roughly: batches of like lengths waste little on padding.
        past = np.arange(len(order)) - np.searchsorted(users[order], users[order])
        self.past = np.minimum(past[self.start], 128) // 16
        self.user = users[order[self.start]]
        # Rows of the part, int64.
        self.order = order + first

    def batches(self, rows: int, random: np.random.Generator | None, by_user: bool) -> list[np.ndarray]:
        """Groups of every batch of about `rows` candidates; in random order where a generator is given."""
        groups = np.arange(len(self.start))
        if random is not None:
            random.shuffle(groups)
            by_length = np.lexsort((self.past[groups], self.size[groups]))
            groups = self.runs(groups, random) if by_user else groups[by_length]
        ends = np.cumsum(self.size[groups]) // rows
        pieces = np.split(groups, np.flatnonzero(np.diff(ends)) + 1)
        if random is not None:
            random.shuffle(pieces)
        return [piece for piece in pieces if len(piece)]

    def runs(self, groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Shuffled groups in an order in which about `RUN` impressions of a user stand together, then of another user
        with about as many in all."""
        groups = groups[np.argsort(self.user[groups], kind="stable")]
        users, size = self.user[groups], self.size[groups]
        first = np.flatnonzero(np.diff(users, prepend=-1))
        lengths = np.diff(np.append(first, len(groups)))
        before = np.cumsum(size) - size
        run = (before - np.repeat(before[first], lengths)) // RUN
        rows = np.repeat(np.add.reduceat(size, first), lengths)
        # One number a run: runs of like users side by side, each run whole.
        fresh = np.flatnonzero(np.diff(users, prepend=-1) | np.diff(run, prepend=-1))
        number = np.repeat(random.permutation(len(fresh)), np.diff(np.append(fresh, len(groups))))
        return groups[np.lexsort((number, np.minimum(rows, 128) // 16))]


class Batcher:
    """Cuts examples into groups of one user and time, and groups into batches of about `rows` candidates.

    What is held for it is of one block of `block` rows, not of the whole part: blocks come in random order, and within
    each its groups do. The order depends on data, sizes and generator alone, never on how much memory there is.
    """

    def __init__(
        self,
        examples: Examples,
        history: HistoryIndex,
        candidates: int,
        rows: int,
        device: torch.device,
        block: int = BLOCK_ROWS,
        requests: np.ndarray | None = None,
    ) -> None:
        self.examples, self.history, self.rows, self.device = examples, history, rows, device
        # A number for each row of the log that tells requests apart; see `request_keys`.
        self.requests = requests if examples.row is not None else None
        self.candidates, self.block = candidates, block
        self.blocks = max(1, -(-len(examples) // block))
        self.held: tuple[int, Block] | None = None
        # Outputs of frozen layers over the histories; see `frozen_cache.py`.
        self.states: HistoryStates | None = None
        # Draws items to train clicks against.
        self.negatives: ListNegatives | None = None
        # Tells how often candidates were clicked lately.
        self.recent: RecentClicks | None = None

    def __len__(self) -> int:
        """Batches of one pass, about."""
        return max(1, round(len(self.examples) / self.rows))

    def block_at(self, number: int) -> Block:
        """The groups of one block."""
        if self.held is None or self.held[0] != number:
            # Not two at a time.
            self.held = None
            first = number * self.block
            part = self.examples.take(slice(first, first + self.block))
            told = part.request_row
            keys = self.requests[told] if self.requests is not None and told is not None else None
            self.held = number, Block(part, first, self.candidates, keys)
        return self.held[1]

    def passes(self, random: np.random.Generator | None, skip: int = 0, by_user: bool = False) -> Iterator[Batch]:
        """All examples once, but for the first `skip` batches; in random order where a generator is given.

        `by_user`: about `RUN` of a user's impressions, from any of their times, stand in one batch, so that they can
        be compared. In training by several processes each makes its own share of every batch, by whole users then.
        """
        numbers = np.arange(self.blocks)
        # Of what is drawn for this pass: a batch has its own generator, so that batches can be skipped.
        draws = int(random.integers(1 << 32)) if random is not None and self.negatives else 0
        if random is not None and self.blocks > 1:
            random.shuffle(numbers)
        batch = 0
        for number in numbers.tolist():
            block = self.block_at(number)
            for piece in block.batches(self.rows, random, by_user):
                batch += 1
                if skip > 0:
                    skip -= 1
                    continue
                # A batch with fewer groups than there are processes is made whole by all: the mean is the same.
                member = np.unique(block.user[piece], return_inverse=True)[1] if by_user else np.arange(len(piece))
                shared = random is not None and member.max() + 1 >= world()
                own = piece[member % world() == rank()] if shared else piece
                yield self.make(number, block, own, np.random.default_rng([draws, batch, rank()]))

    def make(self, number: int, block: Block, groups: np.ndarray, draws: np.random.Generator) -> Batch:
        """The batch of these groups of a block."""
        start, size = block.start[groups], block.size[groups]
        places = np.arange(int(size.max()))
        there = places < size[:, None]
        rows = np.where(there, start[:, None] + places, start[:, None])
        example = block.order[rows]
        users, moments = self.examples.user[example[:, 0]], self.examples.timestamp[example[:, 0]]
        past = self.history.gather(users, moments)
        candidates = self.examples.item[example]
        drawn = None
        # A list without a click has nothing to train against.
        lists = np.flatnonzero((there & (self.examples.label[example] == 1)).any(axis=1))
        if self.negatives is not None and len(lists):
            drawn = self.negatives.draw(past.take(lists), candidates[lists], moments[lists], draws)
        more = np.zeros(0, dtype=np.int64) if drawn is None else drawn.items.ravel()
        items, found = np.unique(
            np.concatenate([np.maximum(past.items, 0).ravel(), candidates.ravel(), more]), return_inverse=True
        )
        cut, end = past.items.size, past.items.size + candidates.size

        own = self.examples.row
        first = None if own is None else own[example[:, 0]]
        request = np.full(len(example), -1) if first is None else np.where(first < 0, ~first, first)

        def tensor(array: np.ndarray, kind: type[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, dtype=kind)).to(self.device)

        def recent(rows: np.ndarray, when: np.ndarray) -> Tensor | None:
            if self.recent is None:
                return None
            return tensor(self.recent.at(rows, np.broadcast_to(when[:, None], rows.shape)), np.float32)

        return Batch(
            items=tensor(items, np.int64),
            users=tensor(users, np.int64),
            history=tensor(found[:cut].reshape(past.items.shape), np.int64),
            candidates=tensor(found[cut:end].reshape(candidates.shape), np.int64),
            history_label=tensor(past.labels, np.int64),
            age_bucket=tensor(past.age_bucket, np.int64),
            history_mask=tensor(past.mask, np.float32),
            recency=tensor(past.recency_bucket, np.int64),
            label=tensor(self.examples.label[example], np.float32),
            there=tensor(there, np.float32),
            example=np.where(there, example, -1),
            request_rows=request,
            candidate_rows=np.full(example.shape, -1) if own is None else np.where(there, own[example], -1),
            times=self.examples.timestamp[example[:, 0]],
            history_rows=past.rows,
            further={
                task: tensor(np.where(there & (known[example] >= 0), known[example], np.nan), np.float32)
                for task, known in self.examples.further.items()
            },
            frozen=self.states.rows(number, groups, past.items.shape[1], self.device) if self.states else {},
            recent=recent(candidates, moments),
            log_popularity=tensor(self.negatives.log_popularity[items], np.float32) if self.negatives else None,
            drawn=None
            if drawn is None
            else DrawnItems(
                tensor(lists, np.int64),
                tensor(found[end:].reshape(drawn.items.shape), np.int64),
                tensor(drawn.log_chance, np.float32),
                tensor(drawn.blocked, np.bool_),
                tensor(drawn.log_chance_candidates, np.float32),
                recent(drawn.items, moments[lists]),
            ),
        )


def hide(ids: Named, name: str, hidden: Tensor, value: float) -> Named:
    """A copy of features with one set to `value` where `hidden` `[n]`."""
    return ids | {name: torch.where(hidden, torch.full_like(ids[name], value), ids[name])}


def item_inputs(catalog: Catalog, items: Tensor, dropping: Dropping) -> ItemInputs:
    """Catalog rows as the item encoder reads them, some hidden at random."""
    present = catalog.present[items]
    features = {name: ids[items] for name, ids in catalog.item_ids.items()}
    count = len(items)
    gone = torch.zeros(count, dtype=torch.bool, device=items.device)
    if dropping.item > 0:
        gone = torch.rand(count, device=items.device) < dropping.item
    # Where what is made of the vectors is stored, they themselves are not read.
    frozen = catalog.frozen.rows(items, gone) if catalog.frozen else {}
    modal = present.new_zeros(count, 0) if frozen else catalog.modal[items]
    if dropping.item > 0:
        keep = (~gone).to(modal.dtype).unsqueeze(-1)
        modal, present = modal * keep, present * keep
        for feature in catalog.schema.item:
            if feature.name != "item_id":
                lost = gone if feature.length == 1 else gone.unsqueeze(-1)
                features = hide(features, feature.name, lost, feature.absent)
    if dropping.item_id > 0:
        features = hide(features, "item_id", torch.rand(count, device=items.device) < dropping.item_id, OTHER)
    return ItemInputs(modal, present, features, frozen)


def take_rows(made: Named, names: list[str], places: Tensor) -> Named:
    """Rows `[..., d]` of item outputs `[n, d]` at `places` `[...]`.

    By `embedding`, whose gradient is summed in the same order every time; indexing's is not.
    """
    return {name: functional.embedding(places, made[name]) for name in names}


@dataclass(frozen=True)
class EncodedBatch:
    """What a model makes of a batch before candidates are scored."""

    # Item outputs f32 [n, d], and of history entries [G, L, d].
    items: Named
    history: Named
    state: Named
    # int64 [G].
    recency: Tensor
    # What is given for each candidate, [G, C(, length)], and what stands where nothing is, [1, 1(, length)].
    given: Named = field(default_factory=dict)
    absent: Named = field(default_factory=dict)


def encode_batch(model: CutModel, catalog: Catalog, batch: Batch, dropping: Dropping) -> EncodedBatch:
    """Items and users; each distinct item is encoded once."""
    made = model.encode_items(item_inputs(catalog, batch.items, dropping))
    history = take_rows(made, model.history_outputs(), batch.history)
    users = {name: ids[batch.users] for name, ids in catalog.user_ids.items()}
    if dropping.user_id > 0:
        hidden = torch.rand(len(batch.users), device=batch.users.device) < dropping.user_id
        users = hide(users, "user_id", hidden, OTHER)
    device, context = batch.users.device, catalog.context
    if context is not None:
        past = context.past(batch.history_rows, tuple(batch.history.shape))
        users |= {f"{PAST}{name}": torch.from_numpy(values).to(device) for name, values in past.items()}
    mask, recency = batch.history_mask, batch.recency
    if dropping.history > 0:
        kept = torch.rand(len(batch.users), device=batch.users.device) >= dropping.history
        mask, recency = mask * kept.unsqueeze(1), recency * kept
    if dropping.shorten > 0:
        mask = mask * newest_entries(len(mask), mask.shape[1], dropping.shorten, device)
    state = model.encode_users(history, batch.history_label, batch.age_bucket, mask, users, batch.frozen)
    if context is None:
        return EncodedBatch(made, history, state, recency)
    told = context.requests(batch.request_rows, batch.times)
    given = context.candidates(batch.candidate_rows)
    nothing = context.candidates(np.full((1, 1), -1))
    return EncodedBatch(
        made,
        history,
        state | {f"{REQUEST}{name}": torch.from_numpy(values).to(device) for name, values in told.items()},
        recency,
        {f"{GIVEN}{name}": torch.from_numpy(values).to(device) for name, values in given.items()},
        {f"{GIVEN}{name}": torch.from_numpy(values).to(device) for name, values in nothing.items()},
    )


def newest_entries(users: int, length: int, share: float, device: torch.device) -> Tensor:
    """1 for entries that are kept, f32 `[users, length]`: all, or for `share` of the users the newest 1 to `SHORTEST`.

    The newest one always stays, as the time since it is told beside the history.
    """
    left = torch.randint(1, SHORTEST + 1, (users, 1), device=device)
    left = torch.where(torch.rand(users, 1, device=device) < share, left, length)
    return (torch.arange(length, device=device) < left).float()


def candidate_rows(encoded: EncodedBatch, model: CutModel, places: Tensor, recent: Tensor | None) -> Named:
    """What a model reads of candidates at `places` `[rows, n]`; shares of recent clicks are those of the moment."""
    rows = take_rows(encoded.items, model.candidate_outputs(), places)
    return rows | {RECENT: recent} if recent is not None and RECENT in rows else rows


def score_encoded(model: CutModel, encoded: EncodedBatch, batch: Batch) -> Tensor:
    """Logits of the candidates by task, `[G, C, tasks]`."""
    candidates = candidate_rows(encoded, model, batch.candidates, batch.recent)
    return model.score_tasks(encoded.state, candidates | encoded.given, encoded.recency)


def score_drawn(model: CutModel, encoded: EncodedBatch, drawn: DrawnItems) -> Tensor:
    """Logits, of the task that lists are ordered by, of the drawn items, for which nothing is given, `[D, N]`."""
    state = {name: value.index_select(0, drawn.lists) for name, value in encoded.state.items()}
    items = candidate_rows(encoded, model, drawn.places, drawn.recent)
    shape = drawn.places.shape
    items |= {name: value.expand(*shape, *value.shape[2:]) for name, value in encoded.absent.items()}
    return model.score_lists(state, items, encoded.recency.index_select(0, drawn.lists))


def score_batch(model: CutModel, catalog: Catalog, batch: Batch, dropping: Dropping = Dropping()) -> Tensor:
    """Logits of the candidates by task, `[G, C, tasks]`."""
    return score_encoded(model, encode_batch(model, catalog, batch, dropping), batch)
