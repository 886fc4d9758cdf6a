"""Item vectors that nearest neighbours are searched by."""

from __future__ import annotations

import numpy as np
import torch

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.content_vectors import unit_rows
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.inputs import ItemInputs

ITEMS_AT_ONCE = 4096
# Outputs of `encode_items` that serve as an item's vector: PPM's, which a bundle names, else a host's own.
VECTORS = ("item_vector", "id_vector", "cross_item", "fm_fields")


@torch.no_grad()
def model_vectors(model: ClickModel, catalog: Catalog) -> np.ndarray | None:
    """Unit vectors of all items by a model, f32 `[items, d]`; None where it has none (a host that runs by row)."""
    model.eval()
    pieces: list[np.ndarray] = []
    name: str | None = None
    for first in range(0, len(catalog.present), ITEMS_AT_ONCE):
        items = torch.arange(first, min(first + ITEMS_AT_ONCE, len(catalog.present)), device=catalog.present.device)
        features = {key: ids[items] for key, ids in catalog.item_ids.items()}
        made = model.encode_items(ItemInputs(catalog.modal[items], catalog.present[items], features))
        name = name or next((vector for vector in VECTORS if vector in made), None)
        if name is None:
            return None
        pieces.append(made[name].float().cpu().numpy())
    return unit_rows(np.concatenate(pieces))
