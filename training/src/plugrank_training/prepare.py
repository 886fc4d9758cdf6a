"""Stage 1: encoders, and the catalog of items and users with modal vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from plugrank_training.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.config import Config
from plugrank_training.console import reused_note, say
from plugrank_training.content import Content, ImageResult, TextResult, Training, image_stage, text_stage
from plugrank_training.dataset import Dataset
from plugrank_training.graphs import Schema
from plugrank_training.groups import GroupRow, freeze, group_table, groups_of, stored_groups
from plugrank_training.models.build import make_unified
from plugrank_training.splits import Split


def content_of(folder: Path, data: Dataset) -> Content:
    """What a data set's items are made of."""
    return Content(folder, data.titles, data.texts, data.categories, data.images)


def prepare_encoders(
    content: Content, config: Config, training: Training
) -> tuple[TextResult | None, ImageResult | None]:
    """Train the encoders and encode all items, or find what was made before."""
    text = text_stage(content, config.text, training)
    image = image_stage(content, config.image, training)
    for name, made in (("text", text), ("image", image)):
        found = "none" if made is None else f"{int(made.present.sum()):,} items"
        say(f"{name} encoder: {found}{reused_note(made is not None and made.reused)}")
    return text, image


@dataclass(frozen=True)
class Prepared:
    """Encoders with the vectors they made."""

    dataset: Dataset
    split: Split
    config: Config
    text: TextResult | None
    image: ImageResult | None

    def schema(self) -> Schema:
        """What the models read. Raises `ValueError` where items have neither text nor image."""
        parts = []
        if self.text:
            parts.append(("text", self.text.encoder.dim))
        if self.image:
            parts.append(("image", self.image.encoder.dim))
        if not parts:
            raise ValueError("items.parquet: no item has a title, a text or an image; PPM needs content to read")
        history = self.config.history
        return Schema(
            item_features(self.dataset, self.split.train, self.config),
            user_features(self.dataset, self.split.train, self.config),
            tuple(parts),
            history.clicks,
            history.impressions,
        )

    def catalog(self) -> Catalog:
        """Items and users as tensors.

        Modal vectors stay f32, as the serving side keeps them: whitening stretches them, so a rounding that falls the
        other way there would be seen in the scores.
        """
        made = [part for part in (self.text, self.image) if part is not None]
        present = torch.stack([part.present for part in made], dim=1)
        return make_catalog(self.dataset, self.schema(), [part.vectors for part in made], present)

    def groups(self) -> str:
        """The table of what trains when and what is cached."""

        def count(parameters: Iterable[torch.nn.Parameter]) -> int:
            return sum(parameter.numel() for parameter in parameters)

        rows = []
        for name, part in (("text encoder", self.text), ("image encoder", self.image)):
            if part is not None:
                size = count(part.encoder.parameters())
                rows.append(GroupRow(name, size, "1, then frozen", "modal vector, per item", from_files=True))
        model, frozen = make_unified(self.schema(), self.config, 0), self.config.unified.freeze
        freeze(model, frozen)
        stored = stored_groups(model)
        for group in groups_of(model):
            stages = "2, 3" if group.name.startswith("ppm") else "3"
            if group.name in frozen:
                stages = "2, then frozen" if group.name.startswith("ppm") else "never"
            rows.append(GroupRow(group.name, count(group.parameters), stages, group.cached, group.name in stored))
        return group_table(rows)
