"""Features as a network that was trained elsewhere knows them: its columns, its vocabularies, its own ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from plugrank_training.models.features import FIRST, MISSING, OTHER, Feature
from plugrank_training.models.inputs import GIVEN, PAST, REQUEST, Named, named
from plugrank_training.models.row_host import LARGEST_ID
from plugrank_training.models.schema import MAIN_TASK, Schema
from plugrank_training.models.transforms import Transform


@dataclass(frozen=True)
class Category:
    """One categorical feature.

    `values` is either all values in order, the network then reading ids as docs/bundle-format.md gives them (0 missing,
    1 unknown, 2 the first value), or each value with the id the network knows it by.
    """

    values: Sequence[str] | Mapping[str, int]
    # Column of its table, by which the bundle names the feature; empty for the feature's own name.
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
class Number:
    """One number, which the network reads after a transform."""

    # Column of its table, by which the bundle names the feature; empty for the feature's own name.
    column: str = ""
    # `Transform("log1p")`, `Transform("standard", mean, deviation)`; `buckets` are read as ids.
    transform: Transform = field(default_factory=Transform)
    # What a missing number is read as, after the transform.
    missing: float = 0.0
    # How many numbers a row has at most; above 1 the network reads lists.
    length: int = 1

    def feature(self, name: str) -> Feature:
        """As a bundle has it."""
        return Feature.number(self.column or name, self.transform, self.length, self.missing)

    def table(self, name: str) -> None:  # noqa: ARG002 - as of a category
        """Nothing: there are no ids to translate."""
        return


OwnFeature = Category | Number
KINDS = ("item", "user", "request", "candidate", "history")


@dataclass(frozen=True)
class Features:
    """What a network reads, by its own names: of items, of users, of the request, of what is given for each candidate,
    and how much of the past; and what it predicts."""

    item: Mapping[str, OwnFeature]
    user: Mapping[str, OwnFeature] = field(default_factory=dict)
    # Entries of each label that a history has at most.
    clicks: int = 50
    impressions: int = 0
    # Columns of interactions.parquet, or `context.features` of a rank request.
    request: Mapping[str, OwnFeature] = field(default_factory=dict)
    # The same, of each candidate.
    candidate: Mapping[str, OwnFeature] = field(default_factory=dict)
    # In the order of the network's outputs, the main one first.
    tasks: tuple[str, ...] = (MAIN_TASK,)
    # Of each entry of a history: a `Category` of the column `action`, a `Number` of the column `value`.
    history: Mapping[str, OwnFeature] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, OwnFeature]:
        """Those of one of `KINDS`."""
        found: Mapping[str, OwnFeature] = getattr(self, kind)
        return found

    def schema(self, parts: tuple[tuple[str, int], ...] = ()) -> Schema:
        """As a bundle has them, by the names of their columns. Raises `ValueError` where one cannot be written."""
        if not self.item:
            raise ValueError("a model reads at least one feature of items")
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks {self.tasks}: at least one, each once")
        made: dict[str, tuple[Feature, ...]] = {}
        for kind in KINDS:
            columns = [own.column or name for name, own in self.of(kind).items()]
            twice = {column for column in columns if columns.count(column) > 1}
            if twice:
                raise ValueError(f"two {kind} features have the column `{min(twice)}`")
            made[kind] = tuple(own.feature(name) for name, own in self.of(kind).items())
        for name, own in self.history.items():
            column, length = own.column or name, own.length
            if length != 1 or (column, type(own)) not in (("action", Category), ("value", Number)):
                raise ValueError(
                    f"history feature `{name}`: must be a Category of the column `action` or a Number of `value`"
                )
        return Schema(
            made["item"], made["user"], parts, self.clicks, self.impressions, made["request"], made["candidate"],
            self.tasks, history=made["history"],
        )  # fmt: skip

    def own_schema(self) -> Schema:
        """The same by the network's names."""
        made = self.schema()

        def renamed(kind: str) -> tuple[Feature, ...]:
            features: tuple[Feature, ...] = getattr(made, kind)
            return tuple(replace(feature, name=name) for name, feature in zip(self.of(kind), features, strict=True))

        return replace(
            made,
            item=renamed("item"),
            user=renamed("user"),
            request=renamed("request"),
            candidate=renamed("candidate"),
            history=renamed("history"),
        )

    def own_ids(self) -> OwnIds:
        """What translates a bundle's ids into the network's."""
        return OwnIds({kind: self.of(kind) for kind in KINDS})


class OwnIds(nn.Module):
    """Translates names and ids of features into those of the network; ids without a table stay as they are."""

    def __init__(self, features: Mapping[str, Mapping[str, OwnFeature]]) -> None:
        super().__init__()
        self.columns = {
            kind: {name: own.column or name for name, own in by_name.items()} for kind, by_name in features.items()
        }
        self.places: dict[tuple[str, str], str] = {}
        for kind, by_name in features.items():
            for number, (name, own) in enumerate(by_name.items()):
                table = own.table(name)
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

    def of_past(self, ids: Named) -> Named:
        """Action and value of a history's entries, `[users, L]`, among the features of users."""
        own = self.translated("history", named(ids, PAST))
        return {f"{PAST}{name}": rows for name, rows in own.items()}

    def of_context(self, state: Named, candidate: Named) -> tuple[Named, Named]:
        """What `CutModel.score` reads, with the features of the request and those given for candidates translated."""
        request = self.translated("request", named(state, REQUEST))
        given = self.translated("candidate", named(candidate, GIVEN))
        return (
            state | {f"{REQUEST}{name}": rows for name, rows in request.items()},
            candidate | {f"{GIVEN}{name}": rows for name, rows in given.items()},
        )

    def translated(self, kind: str, ids: Named) -> Named:
        """Ids by the network's names."""

        def own(name: str, rows: Tensor) -> Tensor:
            place = self.places.get((kind, name))
            return rows if place is None else self.get_buffer(place)[rows]

        return {name: own(name, ids[column]) for name, column in self.columns[kind].items()}
