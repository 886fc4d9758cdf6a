"""Hosts: each trains alone and with PPM plugged in, reads labels, and computes in ONNX what it computes in torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from planted import ITEMS as PLANTED_ITEMS
from planted import write_planted
from plugrank_training.config import Config, HostConfig, UnifiedConfig
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import make_split
from plugrank_training.export.bundle import export_bundle
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.train import FitOptions, fit
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified, make_with_vectors
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import Feature
from plugrank_training.models.groups import groups_of
from plugrank_training.models.hosts import HOSTS
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.row_host import RowModel, Rows
from plugrank_training.models.schema import Schema
from plugrank_training.models.transforms import Transform

KINDS = ("lr", "deepfm", "dcnv2", "din", "fuxictr:DCNv2", "fuxictr:DIN", "fuxictr:FinalMLP", "test_hosts:Factors")


class Factors(RowModel):
    """A host as anybody might bring it: matrix factorisation, the user by the items they clicked."""

    output_dim = 1

    def __init__(self, schema: Schema, config: HostConfig) -> None:
        super().__init__()
        size = next(feature.size for feature in schema.item if feature.name == "item_id")
        self.item = nn.Embedding(size, config.embedding_dim)
        self.past = nn.Embedding(size, config.embedding_dim)
        self.bias = nn.Embedding(size, 1)

    def forward(self, rows: Rows) -> Tensor:
        clicked = (rows.history_mask * (rows.history_label * 2 - 1)).unsqueeze(-1)
        user = (self.past(rows.history["item_id"]) * clicked).sum(1) / 10
        item = rows.item["item_id"]
        return (user * self.item(item)).sum(-1, keepdim=True) + self.bias(item)


def configured(kind: str, **more: object) -> Config:
    return dataclasses.replace(Config(), host=HostConfig(kind=kind, embedding_dim=8), **more)


@torch.no_grad()
def shaken(model: ClickModel) -> ClickModel:
    """Random weights everywhere: parts that start at zero would hide mistakes."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx] = 0
    return model.eval()


@pytest.mark.parametrize("kind", ["fuxictr:DCNv2", "fuxictr:DIN"])
def test_a_host_exports_alone_and_with_ppm(kind: str, tmp_path: Path) -> None:
    """`export_bundle` fails where ONNX Runtime and torch differ by more than its tolerance. Hosts of ours: below."""
    tiny, config = tiny_bundle(), configured(kind)
    bundle = dataclasses.replace(
        tiny,
        unified=shaken(make_unified(tiny.schema, config, 0)),
        idrec=shaken(make_idrec(tiny.schema, config, 0)),
        text=None,
        image=None,
    )
    manifest = export_bundle(bundle, tmp_path / "bundle")
    assert set(manifest["graphs"]) == {"item_encoder", "user_encoder", "unified", "idrec"}


@pytest.mark.parametrize("kind", HOSTS)
@torch.no_grad()
def test_a_built_in_host_reads_actions_and_values(kind: str, tmp_path: Path) -> None:
    tiny, config = tiny_bundle(), configured(kind)
    value_of = dataclasses.replace(Feature.number("value", Transform("log1p")), corners=(0.0, 1.0, 3.0))
    past = (Feature.of("action", ("view", "buy")), value_of)
    schema = dataclasses.replace(tiny.schema, history=past)
    model = shaken(make_idrec(schema, config, 0))
    ids = {f.name: torch.randint(0, f.size, (20,) if f.length == 1 else (20, f.length)) for f in schema.item}
    made = model.encode_items(ItemInputs(torch.zeros(20, schema.modal_dim), torch.zeros(20, 2), ids))
    users = {f.name: torch.randint(0, f.size, (3,)) for f in schema.user}
    history, places, label = torch.randint(0, 20, (3, 7)), torch.randint(0, 20, (3, 4)), torch.ones(3, 7).long()
    mask = torch.tensor([[1.0] * 5 + [0.0] * 2] * 3)

    def score(action: Tensor, value: Tensor) -> Tensor:
        told = users | {"past.action": action, "past.value": value}
        entries = {name: rows[history] for name, rows in made.items()}
        state = model.encode_users(entries, label, torch.ones_like(label), mask, told)
        return model.score(state, {name: rows[places] for name, rows in made.items()}, torch.arange(3))

    action, value = torch.full((3, 7), 2), torch.full((3, 7), 0.5)
    plain = score(action, value)
    padding = mask == 0
    assert torch.allclose(plain, score(action + padding, value + padding), atol=1e-6)
    assert (plain - score(action + 1, value)).abs().min() > 1e-5
    assert (plain - score(action, value + 1.0)).abs().min() > 1e-5
    # Both models of a bundle, in ONNX as in torch.
    bundle = dataclasses.replace(
        tiny, schema=schema, unified=shaken(make_unified(schema, config, 0)), idrec=model, text=None, image=None
    )
    graphs = export_bundle(bundle, tmp_path / "bundle")["graphs"]
    assert set(graphs) == {"item_encoder", "user_encoder", "unified", "idrec"}
    for graph in ("user_encoder", "idrec"):
        assert {"history.action", "history.value"} <= {port["source"] for port in graphs[graph]["inputs"]}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_host_reads_labels_and_no_padding(kind: str) -> None:
    schema = tiny_bundle().schema
    model = shaken(make_idrec(schema, configured(kind), 0))
    ids = {f.name: torch.randint(0, f.size, (20,) if f.length == 1 else (20, f.length)) for f in schema.item}
    made = model.encode_items(ItemInputs(torch.zeros(20, schema.modal_dim), torch.zeros(20, 2), ids))
    users = {f.name: torch.randint(0, f.size, (3,)) for f in schema.user}
    history, places = torch.randint(0, 20, (3, 7)), torch.randint(0, 20, (3, 4))

    def score(history: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        entries = {name: value[history] for name, value in made.items()}
        state = model.encode_users(entries, label, torch.ones_like(label), mask, users)
        return model.score(state, {name: value[places] for name, value in made.items()}, torch.arange(3))

    label = torch.tensor([[1, 0, 1, 0, 1, 1, 0]] * 3)
    plain = score(history, label, torch.ones(3, 7))
    pad = nn.functional.pad
    padded = score(pad(history, (0, 4), value=3), pad(label, (0, 4), value=1), pad(torch.ones(3, 7), (0, 4)))
    assert torch.allclose(plain, padded, atol=1e-5)
    assert (plain - score(history, 1 - label, torch.ones(3, 7))).abs().max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plugged", [False, True])
def test_a_host_learns(kind: str, plugged: bool, planted: Path) -> None:
    config = configured(kind, unified=UnifiedConfig(dropout=0.0))
    dataset = Dataset.load(planted)
    split = make_split(dataset, "global")
    schema = Schema(
        item_features(dataset, split.train, config), user_features(dataset, split.train, config), (("text", 4),), 10, 10
    )
    colours = torch.nn.functional.one_hot(torch.arange(PLANTED_ITEMS) % 4, 4).float()
    catalog = make_catalog(dataset, schema, [colours.numpy()], torch.ones(PLANTED_ITEMS, 1))
    model = (make_unified if plugged else make_idrec)(schema, config, 0)
    if plugged:
        model.start_from(make_pretrained(schema, config, 0))
    before = {name: value.clone() for name, value in model.branches["host"].named_parameters()}
    history = HistoryIndex(dataset, 10, 10)
    train, valid = (Batcher(part, history, 8, 256, torch.device("cpu")) for part in (split.train, split.valid))
    result = fit(model, catalog, train, valid, FitOptions("test", 3, 1, 9, 1e-2, 1e-3, 1e-2, 0.0, Dropping(), seed=1))
    rate = split.train.label.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert result.train_loss[-1] < min(result.train_loss[0], entropy)
    assert any(not torch.equal(before[name], value) for name, value in model.branches["host"].named_parameters())


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "set")


@pytest.mark.parametrize("kind", KINDS)
def test_groups_hold_every_parameter_once(kind: str) -> None:
    schema = tiny_bundle().schema
    for model in (make_unified(schema, configured(kind), 0), make_with_vectors(schema, configured(kind), 0)):
        grouped = [id(parameter) for group in groups_of(model) for parameter in group.parameters]
        assert len(grouped) == len(set(grouped))
        assert {id(p) for p in model.parameters() if p.numel() > 1 and p.dim() > 1} <= set(grouped)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dinn", "host.kind = `dinn`: one of lr, deepfm"),
        ("fuxictr:Nothing", "no model `Nothing`"),
        ("no_such_module:Host", "no_such_module"),
        ("torch:Tensor", "torch:Tensor"),
        ("json:loads", "json:loads"),
    ],
)
def test_an_unknown_host_is_named(kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_idrec(tiny_bundle().schema, configured(kind), 0)


def test_ids_do_not_fit_a_half_precision_cache() -> None:
    with pytest.raises(ConfigError, match="cache_dtype"):
        configured("fuxictr:DIN", cache_dtype="f16").check()
