"""Similarity of a candidate to a history: its features, export and storage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bundles import unified_alone
from plugrank_training.config import Config, SimilarityConfig
from plugrank_training.export.bundle import export_bundle
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.feature_config import ConfigError
from plugrank_training.models.build import make_pretrained, make_unified, make_unified_with_similarity
from plugrank_training.models.features import MISSING, Feature
from plugrank_training.models.inputs import History, ItemInputs
from plugrank_training.models.similarity import DECAYS, SHARPNESS, Similarity

ITEMS, WIDTH = 12, 5
# A column may have any name.
BRAND = Feature.of("brand.name", ("acme", "globex", "initech"))
TAGS = Feature.of("tags", [f"tag {n}" for n in range(40)], length=3)
NAMES = (Feature.of("item_id", [f"i{n}" for n in range(ITEMS)]), BRAND, TAGS)
WITH_SIMILARITY = dataclasses.replace(Config(), similarity=SimilarityConfig(dim=8))


def items() -> ItemInputs:
    torch.manual_seed(3)
    features = {f.name: torch.randint(1, f.size, (ITEMS,) if f.length == 1 else (ITEMS, f.length)) for f in NAMES}
    return ItemInputs(torch.randn(ITEMS, WIDTH) + 3.0, torch.ones(ITEMS, 1), features)


def fitted(dim: int = 8) -> Similarity:
    branch = Similarity((WIDTH,), NAMES, SimilarityConfig(dim))
    given = items()
    branch.fit_directions(given.modal, given.present)
    return branch


def cosines(branch: Similarity, given: ItemInputs) -> np.ndarray:
    """Of all pairs of items in each space, `[spaces, ITEMS, ITEMS]`."""
    vectors = torch.split(branch.item(given).outputs["similarity_vector"], list(branch.spaces), dim=-1)
    return np.stack([(rows @ rows.T).numpy() for rows in vectors])


def test_spaces_keep_the_cosines_of_the_content() -> None:
    given = items()
    centred = (given.modal - given.modal.mean(0)).numpy()
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    found = cosines(fitted(), given)
    assert np.abs(found[0] - centred @ centred.T).max() < 1e-5
    same = (given.features["brand.name"][:, None] == given.features["brand.name"][None, :]).numpy()
    assert np.abs(found[1] - same).max() < 1e-6
    # More values than dimensions: nearly at right angles, and equal ones still equal.
    assert np.abs(np.diagonal(found[2]) - 1.0).max() < 1e-5
    assert abs(found[2][~np.eye(ITEMS, dtype=bool)].mean()) < 0.3


def test_a_missing_item_has_zero_similarity() -> None:
    given = items()
    absent = given.present.clone()
    absent[0] = 0.0
    features = {name: ids.clone() for name, ids in given.features.items()}
    features["brand.name"][0] = MISSING
    features["tags"][0] = MISSING
    found = cosines(fitted(), ItemInputs(given.modal, absent, features))
    assert np.abs(found[:, 0]).max() == 0.0


def test_similarity_features_of_a_candidate() -> None:
    """Against loops over one history."""
    branch, given = fitted(), items()
    vectors = branch.item(given).outputs["similarity_vector"]
    history, label = torch.tensor([4, 7, 1, 4, 9]), torch.tensor([1, 0, 0, 1, 1])
    mask = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    residual = torch.tensor([0.4, -0.3, -0.6, 0.2, 0.9]) * mask
    read = History(
        {"similarity_vector": vectors[history].unsqueeze(0)},
        label.unsqueeze(0),
        torch.zeros(1, 5, dtype=torch.long),
        mask.unsqueeze(0),
        {},
        residual.unsqueeze(0),
    )
    candidates = torch.tensor([[2, 4]])
    told = branch.cross(branch.user(read).state, {"similarity_vector": vectors[candidates]})[0].detach().numpy()
    near = cosines(branch, given)
    shrink = float(torch.nn.functional.softplus(torch.ones(())))
    for row, candidate in enumerate(candidates[0].tolist()):
        expected = []
        for space in near:
            like = [(space[candidate, item], int(wanted)) for item, wanted in zip(history[:4], label[:4], strict=True)]
            for side in (1, 0):
                mine = [cosine for cosine, wanted in like if wanted == side]
                for decay in DECAYS:
                    weights = [np.exp(-place / decay) for place in range(len(mine))]
                    expected.append(3.0 * np.dot(weights, mine) / (sum(weights) + 1.0))
            for sharpness in SHARPNESS:
                weights = [(np.exp((cosine - 1.0) * sharpness), wanted) for cosine, wanted in like]
                clicked, refused = (sum(w for w, wanted in weights if wanted == side) for side in (1, 0))
                mean = sum(w * float(r) for (w, _), r in zip(weights, residual[:4], strict=True))
                expected += [mean / (clicked + refused + shrink), np.log1p(clicked), np.log1p(refused)]
        assert len(expected) == branch.cross_dim
        assert np.abs(told[row] - expected).max() < 1e-4


def read_history(branch: Similarity, given: ItemInputs, history: list[int], label: list[int]) -> History:
    """One user's, newest first; no entry's residual matters here."""
    vectors = branch.item(given).outputs["similarity_vector"]
    mask = torch.ones(1, len(history))
    zeros = torch.zeros(1, len(history), dtype=torch.long)
    rows = vectors[torch.tensor(history)].unsqueeze(0)
    return History({"similarity_vector": rows}, torch.tensor([label]), zeros, mask, {}, torch.zeros_like(mask))


@pytest.mark.parametrize("smooth", [True, False])
def test_entries_are_counted_by_tiers_of_cosine(smooth: bool) -> None:
    """Against numpy's linear weights between the middles of tiers; every entry counts once in all."""
    tiers = 5
    branch = Similarity((WIDTH,), NAMES, SimilarityConfig(8, tiers, smooth))
    given = items()
    branch.fit_directions(given.modal, given.present)
    history, label, candidate = [4, 7, 1, 4], [1, 0, 0, 1], 2
    state = branch.user(read_history(branch, given, history, label)).state
    vectors = branch.item(given).outputs["similarity_vector"]
    told = branch.cross(state, {"similarity_vector": vectors[torch.tensor([[candidate]])]})
    smooth_numbers = 2 * len(DECAYS) + 3 * len(SHARPNESS) if smooth else 0
    by_space = told[0, 0].detach().numpy().reshape(len(branch.spaces), 2 * tiers + smooth_numbers)
    assert branch.cross_dim == by_space.size
    middles = np.linspace(-1.0, 1.0, tiers)
    for space, numbers in zip(cosines(branch, given), by_space, strict=True):
        counts = np.expm1(numbers[: 2 * tiers]).reshape(tiers, 2)
        for column, wanted in enumerate((1, 0)):
            expected = np.zeros(tiers)
            for item, one in zip(history, label, strict=True):
                if one == wanted:
                    expected += [np.interp(space[candidate, item], middles, row) for row in np.eye(tiers)]
            assert np.abs(counts[:, column] - expected).max() < 1e-5
            assert counts[:, column].sum() == pytest.approx(label.count(wanted), abs=1e-5)


def test_tiers_are_required_without_smooth_similarity() -> None:
    with pytest.raises(ConfigError, match=r"similarity\.smooth = false leaves similarity\.tiers alone"):
        dataclasses.replace(Config(), similarity=SimilarityConfig(8, 0, False)).check()


def test_similarity_is_part_of_the_model_only_where_configured() -> None:
    schema = tiny_bundle().schema
    assert list(make_unified(schema, Config(), 0).branches) == ["ppm", "host", "covisits"]
    assert list(make_unified(schema, WITH_SIMILARITY, 0).branches) == ["ppm", "similarity", "host", "covisits"]
    assert list(make_pretrained(schema, WITH_SIMILARITY, 0).branches) == ["ppm", "similarity"]
    # The model of this row always has it, after the parts taken from PPM's pre-training.
    alone = make_unified_with_similarity(schema, Config(), 0)
    assert list(alone.branches) == ["ppm", "host", "covisits", "similarity"]
    alone.start_from(make_pretrained(schema, Config(), 1))
    configured = make_unified_with_similarity(schema, WITH_SIMILARITY, 0)
    assert list(configured.branches) == ["ppm", "similarity", "host", "covisits"]


@pytest.mark.parametrize(("dtype", "tiers"), [("f16", 0), ("f32", 7)])
def test_a_bundle_with_it_computes_what_torch_computes(tmp_path: Path, dtype: str, tiers: int) -> None:
    """`export_bundle` runs every graph on ONNX Runtime and refuses one that differs."""
    bundle = tiny_bundle()
    config = dataclasses.replace(WITH_SIMILARITY, cache_dtype=dtype, similarity=SimilarityConfig(8, tiers))
    model = make_unified(bundle.schema, config, 0).eval()
    manifest = export_bundle(unified_alone(bundle, model), tmp_path / "bundle")
    stored = {port["name"] for port in manifest["graphs"]["item_encoder"]["outputs"]}
    assert "similarity_vector" in stored
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-5
