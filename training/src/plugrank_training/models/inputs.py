"""What the parts of a click model read and give."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

Named = dict[str, Tensor]
# Before the names of features of the request, which `CutModel.score` reads beside user states, and of features given
# for each candidate, which it reads beside item outputs.
REQUEST, GIVEN = "request.", "given."
# Before the names of what is told of a history's entries, `[users, L]`, which stands beside the user's features.
PAST = "past."


def named(values: Named, prefix: str) -> Named:
    """Those whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): rows for name, rows in values.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class ItemInputs:
    """`n` items as the item encoder reads them."""

    # f32 [n, modal dim]: text part, then image part; zeros where absent.
    modal: Tensor
    # f32 [n, parts]: 1 where the part is present.
    present: Tensor
    # int64, or f32 of numbers, [n] or [n, length] for each item feature.
    features: Named
    # What `Branch.frozen_item` gave for these items, where it is stored; then `modal` may be empty.
    frozen: Named = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """Users' histories, newest first; `L` entries, padding has mask 0."""

    # Outputs of the item encoder for each entry, f32 [users, L, d].
    items: Named
    # int64 [users, L]: 1 click, 0 impression.
    label: Tensor
    # int64 [users, L]: interval to the newest entry, log2 bucket of seconds.
    age_bucket: Tensor
    # f32 [users, L].
    mask: Tensor
    # int64, or f32 of numbers, [users] or [users, length] for each user feature; action and value of the entries,
    # [users, L], by names that begin with `PAST`.
    user_features: Named
    # f32 [users, L]: label less what the item's prior expects, times mask.
    residual: Tensor
    # What `Branch.frozen_history` gave for these histories, where it is stored.
    frozen: Named = field(default_factory=dict)


@dataclass(frozen=True)
class ItemParts:
    """What a branch makes of items."""

    # Cached with the item, f32 [n, d].
    outputs: Named
    # Read by the first dense layer, f32 [n, d].
    dense: Tensor
    # The item's own log-odds, f32 [n, 1].
    prior: Tensor


@dataclass(frozen=True)
class UserParts:
    """What a branch makes of users."""

    # Cached with the user, f32 [users, d] or [users, L, d].
    state: Named
    # Read by the first dense layer, f32 [users, d].
    dense: Tensor
    # Log-odds of the user alone, f32 [users, 1]; None for none.
    bias: Tensor | None = None
