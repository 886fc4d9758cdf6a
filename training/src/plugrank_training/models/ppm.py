"""PPM: the pre-trained plug-in over modal vectors (arXiv 2403.10049)."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import HistoryConfig, PpmConfig
from plugrank_training.models.attention import TargetAttention
from plugrank_training.models.branch import Branch, Group, interest
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.transformer import TransformerLayer, first_rows, padding_bias

AGE_BUCKETS = 32


class ItemProjection(nn.Module):
    """Modal vectors to the PPM item vector, of length 1.

    An absent part is replaced by a learned vector of its own; with all parts absent their sum is the missing-vector.
    """

    def __init__(self, parts: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.parts = parts
        self.projections = nn.ModuleList(nn.Linear(width, dim) for width in parts)
        self.missing = nn.Parameter(torch.randn(len(parts), dim) * 0.1)
        self.feed = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    @torch.no_grad()
    def whiten(self, modal: Tensor, present: Tensor) -> None:
        """Start from the PCA whitening of each part, over the items that have it; shapes as in `forward`.

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

    def forward(self, modal: Tensor, present: Tensor) -> Tensor:
        """`modal [n, sum of parts]`, `present [n, parts]` -> `[n, dim]`."""
        pieces = torch.split(modal, list(self.parts), dim=-1)
        total = torch.zeros_like(self.missing[0])
        for number, (piece, projection) in enumerate(zip(pieces, self.projections, strict=True)):
            there = present[:, number : number + 1]
            total = total + projection(piece) * there + self.missing[number] * (1.0 - there)
        return functional.normalize(total + self.feed(total), dim=-1, eps=1e-6)


class Ppm(Branch):
    """Item projection, history transformer, target attention. Knows no user and no item identities."""

    history_outputs = ("item_vector",)
    candidate_outputs = ("item_vector", "ppm_query")

    def __init__(self, parts: tuple[int, ...], config: PpmConfig, history: HistoryConfig) -> None:
        super().__init__()
        dim = config.dim
        self.projection = ItemProjection(parts, dim)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.position = nn.Embedding(history.clicks + history.impressions, dim)
        self.age = nn.Embedding(AGE_BUCKETS, dim)
        self.label = nn.Embedding(2, dim)
        for table in (self.position, self.age, self.label):
            nn.init.normal_(table.weight, std=0.1)
        self.layers = nn.ModuleList(TransformerLayer(dim, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.attention = TargetAttention(dim, dim, config.attention_heads, config.key_dim, config.value_dim)
        self.prior = nn.Linear(dim, 1)
        self.item_dim = dim
        self.user_dim = 2 * dim
        self.cross_dim = self.attention.output_dim + dim

    def item(self, inputs: ItemInputs) -> ItemParts:
        """What an item's content tells, see `Branch.item`."""
        vector = self.projection(inputs.modal, inputs.present)
        outputs = {"item_vector": vector, "ppm_query": self.attention.query(vector)}
        return ItemParts(outputs, vector * self.scale, self.prior(vector))

    def user(self, history: History) -> UserParts:
        """Keys, values and the interest of a history, see `Branch.user`."""
        vectors = history.items["item_vector"]
        positions = first_rows(self.position.weight, vectors.shape[1])
        states = vectors * self.scale + positions + self.age(history.age_bucket)
        states = states + self.label(history.label)
        bias = padding_bias(history.mask)
        for layer in self.layers:
            states = layer(states, bias)
        states = self.norm(states)
        likes = interest(vectors, history.residual, history.mask)
        weight = history.mask.unsqueeze(-1)
        pooled = (states * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        return UserParts(
            {
                "ppm_keys": self.attention.key(vectors) * weight,
                "ppm_values": self.attention.values(states, history.residual, history.mask),
                "ppm_interest": likes,
            },
            torch.cat([likes, pooled], dim=-1),
        )

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Target attention, and the product of interest and candidate, see `Branch.cross`."""
        attended = self.attention.attend(candidate["ppm_query"], state["ppm_keys"], state["ppm_values"])
        product = candidate["item_vector"] * state["ppm_interest"].unsqueeze(1) * 4.0
        return torch.cat([attended, product], dim=-1)

    def groups(self) -> list[Group]:
        """Projection, transformer and attention, see `Branch.groups`."""
        transformer = (self.position, self.age, self.label, self.layers, self.norm)
        return [
            Group("ppm.projection", (self.projection, self.prior), "item vector, per item"),
            Group("ppm.transformer", transformer, "user state, per history"),
            Group("ppm.attention", (self.attention,), "queries per item, keys and values per history"),
        ]
