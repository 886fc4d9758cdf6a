"""PPM: the pre-trained plug-in over modal vectors (arXiv 2403.10049)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import HistoryConfig, PpmConfig
from plugrank_training.models.attention import TargetAttention
from plugrank_training.models.branch import Branch, Group, interest
from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.history_layer import HistoryLayer
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.taste import Taste

AGE_BUCKETS = 32
# Keeps products of two state vectors near 1 at the start.
MATCH_SCALE = 0.25
# Width of a content feature's embedding.
CONTENT_DIM = 32


class ItemProjection(nn.Module):
    """Modal vectors, and features of the content such as categories, to the PPM item vector, of length 1.

    An absent part is replaced by a learned vector of its own; with all parts absent their sum is the missing-vector.
    """

    def __init__(self, parts: tuple[int, ...], dim: int, content: Sequence[Feature] = ()) -> None:
        super().__init__()
        self.parts = parts
        self.content = FeatureEmbeddings(content, CONTENT_DIM)
        self.join = nn.Linear(self.content.dim, dim) if content else None
        self.projections = nn.ModuleList(nn.Linear(width, dim) for width in parts)
        self.missing = nn.Parameter(torch.randn(len(parts), dim) * 0.1)
        self.feed = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    @torch.no_grad()
    def whiten(self, modal: Tensor, present: Tensor) -> None:
        """Start from the PCA whitening of each part, over the items that have it; `[items, sum of parts]` and
        `[items, parts]`.

        Encoders' vectors share a large common part. With it all items would look alike at first, and attention,
        which goes by the cosine of item vectors, would take long to tell them apart.
        """
        for number, piece in enumerate(torch.split(modal, list(self.parts), dim=-1)):
            rows = piece[present[:, number] > 0].double()
            projection = self.projections[number]
            if len(rows) < 2 or not isinstance(projection, nn.Linear):
                continue
            mean = rows.mean(0)
            _, values, directions = torch.linalg.svd(rows - mean, full_matrices=False)
            variance = values.square() / (len(rows) - 1)
            count = min(len(variance), projection.weight.shape[0])
            scale = (variance[:count] + 0.01 * variance.mean() + 1e-6).rsqrt()
            # A sign is all that a singular vector leaves open; fixed, so that runs repeat.
            sign = directions[:count].sum(1).sign()
            sign[sign == 0] = 1.0
            projection.weight.zero_()
            projection.weight[:count] = (directions[:count] * (scale * sign).unsqueeze(1)).to(projection.weight)
            projection.bias.copy_(-(projection.weight.double() @ mean).to(projection.bias))

    def forward(self, inputs: ItemInputs) -> Tensor:
        """Modal vectors and content features of `n` items -> `[n, dim]`."""
        modal, present = inputs.modal, inputs.present
        pieces = torch.split(modal, list(self.parts), dim=-1)
        total = torch.zeros_like(self.missing[0])
        for number, (piece, projection) in enumerate(zip(pieces, self.projections, strict=True)):
            there = present[:, number : number + 1]
            total = total + projection(piece) * there + self.missing[number] * (1.0 - there)
        if self.join is not None:
            total = total + self.join(self.content(inputs.features))
        return functional.normalize(total + self.feed(total), dim=-1, eps=1e-6)


class Ppm(Branch):
    """Item projection, history transformer, target attention. Knows no user and no item identities.

    What the history leads to (`ppm_next`, the newest entry's state) and what a candidate is (`ppm_target`) meet in one
    product, which next-click pre-training trains by itself. With `ppm.taste` a regression over the history says of a
    candidate what its traits are worth to the user.
    """

    reads_vectors = True
    history_outputs: tuple[str, ...] = ("item_vector",)
    candidate_outputs: tuple[str, ...] = ("item_vector", "ppm_query", "ppm_target")

    def __init__(
        self, parts: tuple[int, ...], item: Sequence[Feature], config: PpmConfig, history: HistoryConfig
    ) -> None:
        super().__init__()
        dim, length = config.dim, history.clicks + history.impressions
        self.projection = self.make_projection(parts, item, dim)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.age = nn.Embedding(AGE_BUCKETS, dim)
        self.label = nn.Embedding(2, dim)
        for table in (self.age, self.label):
            nn.init.normal_(table.weight, std=0.1)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            HistoryLayer(dim, config.heads, config.dropout, length) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.to_next = nn.Linear(dim, dim)
        self.to_target = nn.Linear(dim, dim)
        self.attention = TargetAttention(dim, dim, config.attention_heads, config.key_dim, config.value_dim, length)
        self.prior = nn.Linear(dim, 1)
        self.taste = Taste(dim, config.taste, config.taste_steps) if config.taste else None
        self.item_dim = dim
        self.user_dim = 2 * dim
        self.cross_dim = self.attention.output_dim + dim + 1
        if self.taste is not None:
            self.history_outputs += ("ppm_traits",)
            self.candidate_outputs += ("ppm_traits",)
            self.log_odds = (self.cross_dim - 1,)
            self.cross_dim += 1

    @staticmethod
    def make_projection(parts: tuple[int, ...], item: Sequence[Feature], dim: int) -> nn.Module:
        """What makes the item vector: of modal vectors, and of all features but the id."""
        return ItemProjection(parts, dim, [feature for feature in item if feature.name != "item_id"])

    def project(self, inputs: ItemInputs) -> Tensor:
        """The item vector, stored or made, `[n, dim]`."""
        stored = inputs.frozen.get("item_vector")
        made: Tensor = self.projection(inputs) if stored is None else stored
        return made

    def item(self, inputs: ItemInputs) -> ItemParts:
        """What an item's content tells, see `Branch.item`."""
        vector = self.project(inputs)
        outputs = {
            "item_vector": vector,
            "ppm_query": self.attention.query(vector),
            "ppm_target": self.to_target(vector * self.scale),
        }
        if self.taste is not None:
            outputs["ppm_traits"] = self.taste.item(vector)
        return ItemParts(outputs, vector * self.scale, self.prior(vector))

    def states(self, vectors: Tensor, label: Tensor, age_bucket: Tensor, mask: Tensor) -> Tensor:
        """The state after each entry and all before it: `vectors [batch, L, dim]`, newest first, the others
        `[batch, L]` -> `[batch, L, dim]`."""
        states = self.dropout(vectors * self.scale + self.age(age_bucket) + self.label(label))
        for layer in self.layers:
            states = layer(states, mask)
        normed: Tensor = self.norm(states)
        return normed

    def user(self, history: History) -> UserParts:
        """Keys, values, the interest of a history and where it leads, see `Branch.user`."""
        vectors = history.items["item_vector"]
        states = history.frozen.get("ppm_states")
        if states is None:
            states = self.states(vectors, history.label, history.age_bucket, history.mask)
        likes = interest(vectors, history.residual, history.mask)
        there = history.mask[:, :1]
        newest = states[:, 0] * there
        state = {
            "ppm_keys": self.attention.key(vectors),
            "ppm_values": self.attention.values(states, history.residual, history.mask),
            "ppm_interest": likes,
            "ppm_next": self.to_next(newest) * there,
        }
        if self.taste is not None:
            state["ppm_taste"] = self.taste.user(history.items["ppm_traits"], history.residual, history.mask)
        return UserParts(state, torch.cat([likes, newest], dim=-1))

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Target attention, the product of interest and candidate, what taste says of it, how well it comes next; see
        `Branch.cross`."""
        attended = self.attention.attend(candidate["ppm_query"], state["ppm_keys"], state["ppm_values"])
        product = candidate["item_vector"] * state["ppm_interest"].unsqueeze(1) * 4.0
        match = (candidate["ppm_target"] * state["ppm_next"].unsqueeze(1)).sum(-1, keepdim=True)
        told = [attended, product, match * MATCH_SCALE]
        if self.taste is not None:
            told.insert(2, self.taste.cross(state["ppm_taste"], candidate["ppm_traits"]))
        return torch.cat(told, dim=-1)

    def stored_groups(self) -> tuple[str, ...]:
        """The projection, and above it the transformer, see `Branch.stored_groups`."""
        projection, transformer, _ = self.groups()
        if not projection.frozen:
            return ()
        return (projection.name, transformer.name) if transformer.frozen else (projection.name,)

    def frozen_item(self, inputs: ItemInputs) -> Named:
        """The item vector where the projection is frozen, see `Branch.frozen_item`."""
        return {"item_vector": self.project(inputs)} if self.stored_groups() else {}

    def frozen_history(self, history: History) -> Named:
        """The states where projection and transformer are frozen, see `Branch.frozen_history`."""
        if len(self.stored_groups()) < 2:
            return {}
        return {
            "ppm_states": self.states(history.items["item_vector"], history.label, history.age_bucket, history.mask)
        }

    def train(self, mode: bool = True) -> Ppm:
        """Switch between training and use; a frozen transformer drops nothing out, as its stored states did not."""
        super().train(mode)
        if mode and self.groups()[1].frozen:
            for module in (self.dropout, self.layers):
                module.eval()
        return self

    def groups(self) -> list[Group]:
        """Projection, transformer and attention with taste, see `Branch.groups`."""
        transformer = (self.age, self.label, self.layers, self.norm, self.to_next)
        attention = (self.attention,) if self.taste is None else (self.attention, self.taste)
        return [
            Group("ppm.projection", (self.projection, self.prior, self.to_target), "item vector, per item"),
            Group("ppm.transformer", transformer, "user state, per history", (self.scale,)),
            Group("ppm.attention", attention, "queries per item, keys and values per history"),
        ]
