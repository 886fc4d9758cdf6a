"""Semantic ids: codes by residual quantisation, their features, export and storage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bundles import unified_alone
from plugrank_training.config import Config, SemanticIdConfig
from plugrank_training.export.bundle import export_bundle
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.models.build import make_pretrained, make_unified, make_with_semantic_ids
from plugrank_training.models.inputs import History, ItemInputs
from plugrank_training.models.semantic_ids import SemanticIds

WIDTHS = (6, 4)
ITEMS = 60
CODES = SemanticIdConfig(levels=3, codes=4, dim=5)


def items(count: int = ITEMS) -> ItemInputs:
    """Four bunches of items; the last two items have no content at all, the third last no second part."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(4, sum(WIDTHS))) * 3.0
    modal = centres[np.arange(count) % 4] + random.normal(size=(count, sum(WIDTHS))) * 0.3
    present = np.ones((count, len(WIDTHS)))
    present[-3, 1] = 0.0
    present[-2:] = 0.0
    modal[-3, WIDTHS[0] :] = 0.0
    modal[-2:] = 0.0
    return ItemInputs(torch.from_numpy(modal).float(), torch.from_numpy(present).float(), {})


def fitted() -> SemanticIds:
    torch.manual_seed(0)
    branch = SemanticIds(WIDTHS, CODES)
    given = items()
    branch.fit(given.modal, given.present, seed=0)
    return branch


def test_codes_are_the_nearest_centroids_of_the_residual() -> None:
    branch, given = fitted(), items()
    codes = branch.quantised(given).numpy().astype(int)
    left = branch.space(given.modal, given.present).double().numpy()
    centroids = branch.centroids.double().numpy()
    lengths = [np.linalg.norm(left, axis=1).mean()]
    for level in range(CODES.levels):
        nearest = np.linalg.norm(left[:, None] - centroids[level][None], axis=-1).argmin(axis=1)
        assert (codes[:-2, level] == nearest[:-2] + 1).all()
        left = left - centroids[level][nearest]
        lengths.append(np.linalg.norm(left[:-2], axis=1).mean())
    # Each level tells more of the vectors.
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 0.3 * lengths[0]
    # Items of one bunch share the first code, those of others have another; without content the code is 0.
    first = codes[:-3, 0]
    assert all(len(set(first[bunch::4])) == 1 for bunch in range(4))
    assert len(set(first)) == 4
    assert (codes[-2:] == 0).all()
    assert (codes[-3] > 0).all()


def test_items_share_the_embedding_of_their_code() -> None:
    branch, given = fitted(), items()
    made = branch.item(given)
    codes = branch.quantised(given).numpy().astype(int)
    tables = [table.weight.detach().numpy() for table in branch.code_embeddings.tables]
    expected = sum(table[codes[:, level]] for level, table in enumerate(tables))
    assert np.abs(made.dense.detach().numpy() - expected).max() < 1e-6
    assert np.abs((made.prior - made.dense @ branch.prior.weight.T).detach().numpy()).max() < 1e-6
    # Stored codes in place of vectors.
    stored = ItemInputs(given.modal[:, :0], given.present, {}, branch.frozen_item(given))
    assert torch.equal(branch.item(stored).dense, made.dense)


def test_candidates_meet_the_interest_of_the_history() -> None:
    branch, given = fitted(), items()
    vectors = branch.item(given).outputs["semantic_vector"]
    history, residual = torch.tensor([4, 7, 1]), torch.tensor([[0.5, -0.25, 0.0]])
    read = History(
        {"semantic_vector": vectors[history].unsqueeze(0)},
        torch.tensor([[1, 0, 0]]),
        torch.zeros(1, 3, dtype=torch.long),
        torch.tensor([[1.0, 1.0, 0.0]]),
        {},
        residual,
    )
    told = (
        branch.cross(branch.user(read).state, {"semantic_vector": vectors[torch.tensor([[2, 4]])]})[0].detach().numpy()
    )
    rows = vectors.detach().numpy()
    interest = (0.5 * rows[4] - 0.25 * rows[7]) / (2 + 5.0) * 4.0
    assert np.abs(told - rows[[2, 4]] * interest * 4.0).max() < 1e-6


def test_fewer_distinct_items_than_codes() -> None:
    branch = SemanticIds(WIDTHS, dataclasses.replace(CODES, codes=16))
    given = items(8)
    branch.fit(given.modal, given.present, seed=0)
    codes = branch.quantised(given)
    assert bool(((codes >= 0) & (codes <= 16)).all())
    assert bool(torch.isfinite(branch.item(given).dense).all())


def test_semantic_ids_are_part_of_the_model_only_where_configured() -> None:
    schema = tiny_bundle().schema
    config = dataclasses.replace(Config(), semantic_ids=CODES)
    assert "semantic_ids" not in make_unified(schema, Config(), 0).branches
    assert list(make_pretrained(schema, config, 0).branches) == ["ppm", "semantic_ids"]
    assert "semantic_ids" in make_with_semantic_ids(schema, Config(), 0).branches


@pytest.mark.parametrize("gate", [False, True])
def test_a_bundle_with_it_computes_what_torch_computes(tmp_path: Path, gate: bool) -> None:
    """`export_bundle` runs every graph on ONNX Runtime and refuses one that differs."""
    bundle = tiny_bundle()
    config = dataclasses.replace(Config(), semantic_ids=CODES)
    config = dataclasses.replace(config, unified=dataclasses.replace(config.unified, gate=gate))
    model = make_unified(bundle.schema, config, 0).eval()
    branch = model.branches["semantic_ids"]
    assert isinstance(branch, SemanticIds)
    random = torch.Generator().manual_seed(1)
    width = sum(size for _, size in bundle.schema.parts)
    branch.fit(torch.randn(40, width, generator=random), torch.ones(40, len(bundle.schema.parts)), seed=0)
    if model.gate is not None:
        # Away from 1, so that it matters.
        torch.nn.init.normal_(model.gate.weigh.weight, std=1.0, generator=random)
    manifest = export_bundle(unified_alone(bundle, model), tmp_path / "bundle")
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-5
    stored = {port["name"] for port in manifest["graphs"]["user_encoder"]["outputs"]}
    assert ("past_gate" in stored) == gate
