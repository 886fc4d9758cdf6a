"""DIN as the ID-based host (arXiv 1706.06978), cut at the cache borders."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plugrank_training.config import HostConfig
from plugrank_training.models.attention import TargetAttention
from plugrank_training.models.branch import Branch, Group, interest
from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import PAST, History, ItemInputs, ItemParts, Named, UserParts, named
from plugrank_training.models.ppm import AGE_BUCKETS


class Din(Branch):
    """Embeddings of ids and categorical features, and target attention over the labelled id history."""

    history_outputs = ("id_vector",)
    candidate_outputs = ("id_vector", "id_query")

    def __init__(
        self, item: Sequence[Feature], user: Sequence[Feature], config: HostConfig, past: Sequence[Feature] = ()
    ) -> None:
        super().__init__()
        dim = 2 * config.embedding_dim
        self.item_embeddings = FeatureEmbeddings(item, config.embedding_dim)
        self.user_embeddings = FeatureEmbeddings(user, config.embedding_dim)
        self.join = nn.Linear(self.item_embeddings.dim, dim)
        self.prior = nn.Linear(dim, 1)
        self.item_bias = nn.Embedding(next(f.size for f in item if f.name == "item_id"), 1)
        nn.init.zeros_(self.item_bias.weight)
        self.label = nn.Embedding(2, dim)
        self.age = nn.Embedding(AGE_BUCKETS, dim)
        for table in (self.label, self.age):
            nn.init.normal_(table.weight, std=0.1)
        # Action and value of the history's entries, where the data has them.
        self.past = FeatureEmbeddings(past, config.embedding_dim) if past else None
        self.from_past = nn.Linear(self.past.dim, dim, bias=False) if self.past else None
        self.state = nn.Sequential(nn.Linear(dim, dim), nn.ReLU())
        self.attention = TargetAttention(dim, dim, config.attention_heads, config.key_dim, config.value_dim)
        self.item_dim = dim
        self.user_dim = self.user_embeddings.dim + dim
        self.cross_dim = self.attention.output_dim + dim

    def item(self, inputs: ItemInputs) -> ItemParts:
        """What an item's ids and features tell, see `Branch.item`."""
        vector = self.join(self.item_embeddings(inputs.features))
        prior = self.prior(vector) + self.item_bias(inputs.features["item_id"])
        outputs = {"id_vector": vector, "id_query": self.attention.query(vector)}
        return ItemParts(outputs, vector, prior)

    def user(self, history: History) -> UserParts:
        """Keys, values and the interest of a history, see `Branch.user`."""
        vectors = history.items["id_vector"]
        told = vectors + self.label(history.label) + self.age(history.age_bucket)
        if self.past is not None and self.from_past is not None:
            told = told + self.from_past(self.past(named(history.user_features, PAST)))
        states = self.state(told)
        likes = interest(vectors, history.residual, history.mask)
        return UserParts(
            {
                "id_keys": self.attention.key(vectors),
                "id_values": self.attention.values(states, history.residual, history.mask),
                "id_interest": likes,
            },
            torch.cat([self.user_embeddings(history.user_features), likes], dim=-1),
        )

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Target attention, and the product of interest and candidate, see `Branch.cross`."""
        attended = self.attention.attend(candidate["id_query"], state["id_keys"], state["id_values"])
        product = candidate["id_vector"] * state["id_interest"].unsqueeze(1)
        return torch.cat([attended, product], dim=-1)

    def groups(self) -> list[Group]:
        """Embeddings, interaction and attention, see `Branch.groups`."""
        past = [part for part in (self.past, self.from_past) if part is not None]
        embeddings = (self.item_embeddings, self.item_bias, self.user_embeddings)
        interaction = (self.join, self.prior, self.label, self.age, *past, self.state)
        return [
            Group("host.embeddings", embeddings, "inside item and user parts"),
            Group("host.interaction", interaction, "the same"),
            Group("host.attention", (self.attention,), "queries per item, keys and values per history"),
        ]
