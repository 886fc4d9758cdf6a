"""A click model in plain PyTorch, with ids of its own, trained and served: `python torch_model.py DATASET OUT`."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from plugrank_training import Category, Features, RowModel, Rows, export_module


# --- The model, as it is without Plugrank: ids begin at 1, 0 is padding, the last one is "unknown".
class ClickNet(nn.Module):
    """An item's and a user's embeddings, the mean of the last clicks, two layers."""

    def __init__(self, items: int, users: int, brands: int) -> None:
        super().__init__()
        self.item = nn.Embedding(items, 16, padding_idx=0)
        self.user, self.brand = nn.Embedding(users, 8), nn.Embedding(brands, 8)
        self.layers = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, user: Tensor, item: Tensor, brand: Tensor, clicks: Tensor) -> Tensor:
        """Ids int64 `[n]`, clicked items `[n, L]` -> logits `[n, 1]`."""
        there = (clicks > 0).float().unsqueeze(-1)
        past = (self.item(clicks) * there).sum(1) / there.sum(1).clamp(min=1.0)
        return self.layers(torch.cat([self.item(item), past, self.user(user), self.brand(brand)], dim=-1))


def own_ids(values: list[str]) -> dict[str, int]:
    """The model's own ids."""
    return {value: number for number, value in enumerate(dict.fromkeys(values), 1)}


def train(dataset: Path) -> tuple[ClickNet, dict[str, dict[str, int]]]:
    """A few passes over the log; gives the model and its vocabularies."""
    items = pq.read_table(dataset / "items.parquet").to_pylist()
    log = pq.read_table(dataset / "interactions.parquet").to_pylist()
    ids = {
        "item": own_ids([row["item_id"] for row in items]),
        "brand": own_ids([row["brand"] for row in items if row["brand"]]),
        "user": own_ids([row["user_id"] for row in log]),
    }
    brands = {row["item_id"]: row["brand"] for row in items}
    past: dict[str, list[int]] = {}
    rows, labels, waiting = [], [], []
    for event in log:
        clicks = past.setdefault(event["user_id"], [])
        brand = ids["brand"].get(brands[event["item_id"]], len(ids["brand"]) + 1)
        rows.append((ids["user"][event["user_id"]], ids["item"][event["item_id"]], brand, clicks[-10:]))
        labels.append(float(event["label"]))
        # A click counts from the next moment on.
        waiting = [one for one in waiting if one[0] == event["timestamp"] or past[one[1]].append(one[2])]
        if event["label"]:
            waiting.append((event["timestamp"], event["user_id"], ids["item"][event["item_id"]]))
    torch.manual_seed(0)
    model = ClickNet(len(ids["item"]) + 2, len(ids["user"]) + 2, len(ids["brand"]) + 2)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    clicks = torch.zeros(len(rows), 10, dtype=torch.int64)
    for number, row in enumerate(rows):
        clicks[number, : len(row[3])] = torch.tensor(row[3], dtype=torch.int64)
    user, item, brand = (torch.tensor([row[place] for row in rows]) for place in range(3))
    for _ in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(user, item, brand, clicks)[:, 0], torch.tensor(labels)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), ids


# --- What Plugrank needs to know of it.
class Host(RowModel):
    """The model as Plugrank hosts it: rows in, a logit out."""

    output_dim = 1

    def __init__(self, model: ClickNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Rows) -> Tensor:
        """Logits `[n, 1]`."""
        clicks = rows.history["item"] * rows.history_mask.long()
        return self.model(rows.user["user"], rows.item["item"], rows.item["brand"], clicks)


def features(ids: dict[str, dict[str, int]]) -> Features:
    """Its columns, and the ids it knows their values by."""

    def category(name: str, column: str) -> Category:
        unknown = len(ids[name]) + 1
        return Category(ids[name], column, missing=unknown, unknown=unknown)

    items = {"item": category("item", "item_id"), "brand": category("brand", "brand")}
    return Features(items, {"user": category("user", "user_id")}, clicks=10)


if __name__ == "__main__":
    net, known = train(Path(sys.argv[1]))
    export_module(Host(net), features(known), item_vector=net.item, out=sys.argv[2])
