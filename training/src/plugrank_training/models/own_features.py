"""Features as a network that was trained elsewhere knows them: its columns, its vocabularies, its own ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from plugrank_training.models.features import FIRST, MISSING, OTHER, Feature
from plugrank_training.models.inputs import Named
from plugrank_training.models.row_host import LARGEST_ID
from plugrank_training.models.schema import Schema


@dataclass(frozen=True)
class Category:
    """One categorical feature.

    `values` is either all values in order, the network then reading ids as docs/bundle-format.md gives them (0 missing,
    1 unknown, 2 the first value), or each value with the id the network knows it by.
    """

    values: Sequence[str] | Mapping[str, int]
    # Column of items.parquet or users.parquet, by which the bundle names the feature; empty for the feature's own name.
    column: str = ""
    # How many values a row has at most; above 1 the network reads lists.
    length: int = 1
    # Where `values` is a mapping: the network's ids of an absent value (of a list: its padding) and of any other value.
    missing: int = MISSING
    unknown: int = OTHER

    def feature(self, name: str) -> Feature:
        """As a bundle has it. Raises `ValueError` for values that no vocabulary file can hold."""
        known: Sequence[str] = self.values if not isinstance(self.values, Mapping) else self.by_id()
        # The empty string is "missing" everywhere; an own id for it is read by `table`.
        kept = [value for value in known if value]
        broken = [value for value in kept if "\n" in value or "\r" in value]
        if broken:
            raise ValueError(f"feature `{name}`: {len(broken)} values hold a line break, the first is {broken[0]!r}")
        if len(set(kept)) != len(kept):
            raise ValueError(f"feature `{name}`: a value stands in its vocabulary twice")
        index = {value: place + FIRST for place, value in enumerate(kept)}
        column = self.column or name
        return Feature(column, column, self.length, tuple(kept), index)

    def by_id(self) -> list[str]:
        """Values in the order of the network's ids."""
        if not isinstance(self.values, Mapping):
            return list(self.values)
        return sorted(self.values, key=self.values.__getitem__)

    def table(self, name: str) -> list[int] | None:
        """The network's id of each of the bundle's ids; None where they are the same. Raises `ValueError`."""
        if not isinstance(self.values, Mapping):
            return None
        missing = self.values.get("", self.missing) if self.length == 1 else self.missing
        own = [missing, self.unknown, *(self.values[value] for value in self.by_id() if value)]
        if min(own) < 0 or max(own) > LARGEST_ID:
            raise ValueError(f"feature `{name}`: ids must lie between 0 and {LARGEST_ID}")
        return own


@dataclass(frozen=True)
class Features:
    """What a network reads, by its own names: of items and of users, and how much of the past."""

    item: Mapping[str, Category]
    user: Mapping[str, Category] = field(default_factory=dict)
    # Entries of each label that a history has at most.
    clicks: int = 50
    impressions: int = 0

    def schema(self, parts: tuple[tuple[str, int], ...] = ()) -> Schema:
        """As a bundle has them, by the names of their columns. Raises `ValueError` where one cannot be written."""
        if not self.item:
            raise ValueError("a model reads at least one feature of items")
        for kind, categories in (("item", self.item), ("user", self.user)):
            columns = [category.column or name for name, category in categories.items()]
            twice = {column for column in columns if columns.count(column) > 1}
            if twice:
                raise ValueError(f"two {kind} features have the column `{min(twice)}`")
        item = tuple(category.feature(name) for name, category in self.item.items())
        user = tuple(category.feature(name) for name, category in self.user.items())
        return Schema(item, user, parts, self.clicks, self.impressions)

    def own_schema(self) -> Schema:
        """The same by the network's names."""
        made = self.schema()

        def named(names: Mapping[str, Category], features: tuple[Feature, ...]) -> tuple[Feature, ...]:
            return tuple(replace(feature, name=name) for name, feature in zip(names, features, strict=True))

        return replace(made, item=named(self.item, made.item), user=named(self.user, made.user))

    def own_ids(self) -> OwnIds:
        """What translates a bundle's ids into the network's."""
        return OwnIds(self.item, self.user)


class OwnIds(nn.Module):
    """Translates names and ids of features into those of the network; ids without a table stay as they are."""

    def __init__(self, item: Mapping[str, Category], user: Mapping[str, Category]) -> None:
        super().__init__()
        self.columns = {
            "item": {name: category.column or name for name, category in item.items()},
            "user": {name: category.column or name for name, category in user.items()},
        }
        self.places: dict[tuple[str, str], str] = {}
        for kind, categories in (("item", item), ("user", user)):
            for number, (name, category) in enumerate(categories.items()):
                table = category.table(name)
                if table is not None:
                    # A feature's name may be one that a buffer cannot have.
                    self.places[kind, name] = f"{kind}_{number}"
                    self.register_buffer(f"{kind}_{number}", torch.tensor(table, dtype=torch.int64))

    def of_items(self, ids: Named) -> Named:
        """Ids of item features by the bundle's names, int64 `[n(, length)]`, as the network has them."""
        return self.translated("item", ids)

    def of_users(self, ids: Named) -> Named:
        """The same of user features."""
        return self.translated("user", ids)

    def translated(self, kind: str, ids: Named) -> Named:
        """Ids by the network's names."""

        def own(name: str, rows: Tensor) -> Tensor:
            place = self.places.get((kind, name))
            return rows if place is None else self.get_buffer(place)[rows]

        return {name: own(name, ids[column]) for name, column in self.columns[kind].items()}
