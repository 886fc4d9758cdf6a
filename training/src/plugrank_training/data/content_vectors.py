"""Vectors of items by the frozen encoders alone."""

from __future__ import annotations

import numpy as np

from plugrank_training.data.catalog import Catalog


def content_vectors(catalog: Catalog) -> np.ndarray:
    """Unit vectors of all items from the frozen encoders alone, the same for every model: each part centred over the
    items that have it, and of equal weight. f32 `[items, d]`"""
    parts = []
    for number, part in enumerate(catalog.modal.parts):
        there = catalog.present[:, number : number + 1].cpu().numpy()
        mean = part[there[:, 0] > 0].mean(axis=0)
        parts.append(unit_rows((part - mean) * there))
    return unit_rows(np.concatenate(parts, axis=1))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, f32; a row without a direction stays zero."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norm > 1e-12, vectors / np.maximum(norm, 1e-12), 0.0).astype(np.float32)
