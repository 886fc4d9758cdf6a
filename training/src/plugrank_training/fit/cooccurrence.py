"""The baseline `cooccurrence`: items clicked near each other in training sequences, and what the user clicked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.data.examples import Examples
from plugrank_training.evaluate.metrics import auc
from plugrank_training.fit.baseline_inputs import BaselineInputs, histories, recency_weights
from plugrank_training.fit.covisit_factors import covisit_counts, following_counts, gains

# How many clicks apart two items may stand to count as together; beside these, anywhere in one sequence.
REACHES = (10, 20, 40)
# Time constants, in clicks, of the sum over the history; the last weighs all alike.
DECAYS = (2.0, 4.0, 8.0, 32.0, 1e9)
# Validation rows that choices are made on; more change nothing.
JUDGED = 40_000
# Up to so many items the whole matrix is looked up in.
DENSE_ITEMS = 8000


class Cooccurrence:
    """Item-item collaborative filtering over neighbourhoods in time.

    A candidate's score is the mean of its co-occurrence with each clicked entry of the history, the newest weighing
    most. Validation chooses how co-occurrence is counted (within a reach, in either order or the candidate after the
    entry, or anywhere in the sequence), how it is measured (pointwise mutual information, cosine or chance) and how
    fast entries lose weight.
    """

    def __init__(self, inputs: BaselineInputs) -> None:
        self.inputs = inputs
        valid = inputs.split.valid
        judged = valid.take(np.linspace(0, len(valid) - 1, min(JUDGED, len(valid))).astype(np.int64))
        best = -1.0
        for table in tables(inputs):
            self.table = table
            made = self.columns(judged)
            quality = [auc(judged.label, made[:, place]) for place in range(len(DECAYS))]
            if max(quality) > best:
                best, chosen, self.decay = max(quality), table, int(np.argmax(quality))
        self.table = chosen

    def columns(self, part: Examples) -> np.ndarray:
        """Scores with each of `DECAYS`, f64 `[n, decays]`; `decay` is the column that was chosen."""
        made = [np.zeros((0, len(DECAYS)))]
        for rows, past in histories(self.inputs.history, part):
            entries, candidates = np.broadcast_arrays(np.maximum(past.items, 0), part.item[rows][:, None])
            found = np.asarray(self.table[entries.ravel(), candidates.ravel()]).reshape(entries.shape)
            weights = [recency_weights(past, 1, decay) for decay in DECAYS]
            made.append(np.stack([(found * w).sum(axis=1) / (w.sum(axis=1) + 1.0) for w in weights], axis=1))
        return np.concatenate(made)


def tables(inputs: BaselineInputs) -> Iterator[np.ndarray | sparse.csr_matrix]:
    """Co-occurrence `[entry, candidate]` in every way there is to choose from, f32 `[items, items]`."""
    sequences, items = ClickSequences(inputs.history, inputs.split.train), len(inputs.dataset.item_ids)
    for reach in REACHES:
        for counts in (covisit_counts(sequences, items, reach), following_counts(sequences, items, reach)):
            if counts.nnz:
                yield gains(counts)
    whole = pair_counts(sequences, items)
    if whole.nnz:
        yield gains(whole)
    yield scaled(whole, 0.5, 0.5)
    yield scaled(whole, 1.0, 0.0)


def pair_counts(sequences: ClickSequences, items: int) -> sparse.csr_matrix:
    """Users that clicked both items, f32 `[items, items]`; nothing on the diagonal."""
    ones = np.ones(len(sequences.item), dtype=np.float32)
    shape = (len(sequences.start) - 1, items)
    matrix = sparse.csr_matrix((ones, (sequences.user, sequences.item)), shape=shape)
    matrix.data[:] = 1.0
    counts = (matrix.T @ matrix).tocsr()
    counts.setdiag(0.0)
    counts.eliminate_zeros()
    return counts


def scaled(counts: sparse.csr_matrix, entry: float, candidate: float) -> np.ndarray | sparse.csr_matrix:
    """Counts over powers of both items' sums: 1/2 and 1/2 is the cosine, 1 and 0 the chance of the candidate."""
    total = np.maximum(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(), 1.0)
    similar = (sparse.diags(total**-entry) @ counts @ sparse.diags(total**-candidate)).tocsr().astype(np.float32)
    return similar.toarray() if counts.shape[0] <= DENSE_ITEMS else similar
