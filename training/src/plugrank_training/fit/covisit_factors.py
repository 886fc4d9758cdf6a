"""Item vectors from co-visits: which items one user clicks close together, more often than by chance."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import torch
from sklearn.utils.extmath import randomized_svd

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.covisits import Covisits

# Up to so many items the whole matrix is held: what never met tells something too.
DENSE_ITEMS = 8000


def following_counts(sequences: ClickSequences, items: int, reach: int) -> sparse.csr_matrix:
    """How often the second item stands at most `reach` clicks after the first in one sequence; f32 `[items, items]`."""
    counts = sparse.csr_matrix((items, items), dtype=np.float32)
    for step in range(1, reach + 1):
        same = sequences.user[:-step] == sequences.user[step:]
        pair = sequences.item[:-step][same], sequences.item[step:][same]
        counts = counts + sparse.csr_matrix((np.ones(len(pair[0]), np.float32), pair), shape=counts.shape)
    return counts.tocsr()


def covisit_counts(sequences: ClickSequences, items: int, reach: int) -> sparse.csr_matrix:
    """How often two items stand at most `reach` clicks apart in one sequence; symmetric, f32 `[items, items]`."""
    counts = following_counts(sequences, items, reach)
    return (counts + counts.T).tocsr()


def gains(counts: sparse.csr_matrix) -> np.ndarray | sparse.csr_matrix:
    """Pointwise mutual information of co-visits, `[items, items]`; f32.

    One is added to counts and expectations, so that a pair met once says little. In a large catalog pairs that never
    met are left at 0 ("by chance"), as the matrix is sparse then.
    """
    first, second = (np.asarray(counts.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
    if counts.shape[0] <= DENSE_ITEMS:
        expected = np.outer(first, second / first.sum())
        return (np.log1p(counts.toarray()) - np.log1p(expected)).astype(np.float32)
    met = counts.tocoo()
    expected = first[met.row] * second[met.col] / first.sum()
    gain = np.log1p(met.data) - np.log1p(expected)
    return sparse.csr_matrix((gain.astype(np.float32), (met.row, met.col)), shape=counts.shape)


def covisit_factors(sequences: ClickSequences, items: int, reach: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors `from` and `to`, each f32 `[items, dim]`, whose products are the co-visits' mutual information.

    Levy and Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NeurIPS 2014.
    """
    counts = covisit_counts(sequences, items, reach)
    if not counts.nnz:
        return np.zeros((items, dim), np.float32), np.zeros((items, dim), np.float32)
    rank = min(dim, items - 1)
    left, strength, right = randomized_svd(gains(counts), rank, n_iter=4, random_state=0)
    padding = ((0, 0), (0, dim - rank))
    root = np.sqrt(strength)
    return (
        np.pad(left * root, padding).astype(np.float32),
        np.pad(right.T * root, padding).astype(np.float32),
    )


def fill_covisits(model: ClickModel, catalog: Catalog, factors: tuple[np.ndarray, np.ndarray]) -> None:
    """Give a model that reads co-visits the factors of the catalog's items."""
    for part in model.parts():
        if isinstance(part, Covisits):
            part.fill(catalog.item_ids["item_id"], (torch.from_numpy(factors[0]), torch.from_numpy(factors[1])))
