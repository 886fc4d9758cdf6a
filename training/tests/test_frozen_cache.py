"""The cache of frozen layers: values read from files equal computed ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from planted import ITEMS, write_planted
from plugrank_training.config import Config, SimilarityConfig
from plugrank_training.data.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import Examples, make_split
from plugrank_training.fit.batches import Batcher, Dropping, item_inputs
from plugrank_training.fit.frozen_cache import FrozenCache
from plugrank_training.fit.train import FitOptions, fit, predict
from plugrank_training.models.build import make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.groups import freeze
from plugrank_training.models.schema import Schema

CPU = torch.device("cpu")
PROJECTION, LOWER = ("ppm.projection",), ("ppm.projection", "ppm.transformer")
WHOLE = (*LOWER, "ppm.attention")


@dataclasses.dataclass(frozen=True)
class Setup:
    catalog: Catalog
    train: Examples
    valid: Examples
    history: HistoryIndex

    def batcher(self, part: Examples, block: int = 700) -> Batcher:
        """Several blocks."""
        return Batcher(part, self.history, 8, 256, CPU, block)

    def model(self, frozen: tuple[str, ...], dtype: str = "f32", similarity: int = 0) -> ClickModel:
        config = dataclasses.replace(Config(), cache_dtype=dtype, similarity=SimilarityConfig(similarity))
        model = make_unified(self.catalog.schema, config, 0)
        freeze(model, frozen)
        return model


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    dataset = Dataset.load(write_planted(tmp_path_factory.mktemp("planted") / "set"))
    split = make_split(dataset, "global")
    items, users = (make(dataset, split.train, Config()) for make in (item_features, user_features))
    vectors = np.random.default_rng(1).standard_normal((ITEMS, 6)).astype(np.float32)
    present = (torch.arange(ITEMS) % 5 > 0).float().unsqueeze(1)
    catalog = make_catalog(dataset, Schema(items, users, (("text", 6),), 15, 15), [vectors], present)
    return Setup(catalog, split.train, split.valid, HistoryIndex(dataset, 15, 15))


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("frozen", [PROJECTION, LOWER, WHOLE])
def test_scores_are_the_same(setup: Setup, tmp_path: Path, frozen: tuple[str, ...], dtype: str) -> None:
    model, batcher = setup.model(frozen, dtype), setup.batcher(setup.valid)
    computed = predict(model, setup.catalog, batcher)
    catalog = FrozenCache(tmp_path, "data").attach(model, setup.catalog, [batcher])
    assert (catalog.frozen is not None, batcher.states is not None) == (True, frozen != PROJECTION)
    # In f16 a last bit may round the other way.
    assert np.abs(predict(model, catalog, batcher) - computed).max() < (1e-5 if dtype == "f32" else 2e-2)


def test_states_take_half_in_f16(setup: Setup, tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("f32", "f16"):
        batcher = setup.batcher(setup.valid)
        FrozenCache(tmp_path, "data").attach(setup.model(LOWER, dtype), setup.catalog, [batcher])
        assert batcher.states is not None
        sizes[dtype] = sum(stored.nbytes for stored in batcher.states.outputs.values())
        rows = batcher.states.rows(0, np.arange(2), 3, CPU)
        assert {value.dtype for value in rows.values()} == {torch.float32}
    assert 0 < 2 * sizes["f16"] == sizes["f32"]


def test_similarity_is_stored_beside_a_frozen_projection_alone(setup: Setup, tmp_path: Path) -> None:
    model, batcher = setup.model(LOWER, similarity=4), setup.batcher(setup.valid)
    computed = predict(model, setup.catalog, batcher)
    catalog = FrozenCache(tmp_path, "data").attach(model, setup.catalog, [batcher])
    assert catalog.frozen is not None
    assert {"item_vector", "similarity_vector"} == set(catalog.frozen.outputs)
    assert np.abs(predict(model, catalog, batcher) - computed).max() < 1e-5
    # A projection that trains reads the vectors, so that storing what similarity makes of them would save nothing.
    trains = setup.model((), similarity=4)
    assert FrozenCache(tmp_path, "data").attach(trains, setup.catalog, []).frozen is None


def test_a_dropped_item_reads_as_missing(setup: Setup, tmp_path: Path) -> None:
    model, items = setup.model(PROJECTION).eval(), torch.arange(20)
    stored = FrozenCache(tmp_path, "data").attach(model, setup.catalog, [])
    made = [model.encode_items(item_inputs(c, items, Dropping(item=1.0))) for c in (setup.catalog, stored)]
    assert all(torch.allclose(made[0][name], made[1][name], atol=1e-6) for name in made[0])
    made = [model.encode_items(item_inputs(c, items, Dropping())) for c in (setup.catalog, stored)]
    assert all(torch.allclose(made[0][name], made[1][name], atol=1e-6) for name in made[0])


@pytest.mark.parametrize("frozen", [PROJECTION, LOWER])
def test_training_is_the_same(setup: Setup, tmp_path: Path, frozen: tuple[str, ...]) -> None:
    options = FitOptions("test", 1, 1, 9, 4e-3, 1e-3, 4e-3, 0.1, Dropping(), seed=7)
    weights = []
    for cached in (False, True):
        model, train, valid = setup.model(frozen), setup.batcher(setup.train), setup.batcher(setup.valid)
        catalog = setup.catalog
        if cached:
            catalog = FrozenCache(tmp_path, "data").attach(model, catalog, [train, valid])
        fit(model, catalog, train, valid, options)
        weights.append(model.state_dict())
    # Sums in another order; Adam divides by small numbers.
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-3) for name in weights[0])


def test_cache_files_are_found_by_fingerprint(setup: Setup, tmp_path: Path) -> None:
    cache, model = FrozenCache(tmp_path, "data"), setup.model(LOWER)

    def folders() -> set[str]:
        cache.attach(model, setup.catalog, [setup.batcher(setup.valid)])
        return {path.name for path in tmp_path.iterdir()}

    first = folders()
    assert len(first) == 2
    assert folders() == first
    with torch.no_grad():
        model.branches["host"].join.weight.add_(1.0)
    assert folders() == first
    with torch.no_grad():
        model.branches["ppm"].projection.missing.add_(1.0)
    assert len(folders()) == 4
    other = dataclasses.replace(setup.catalog, present=1.0 - setup.catalog.present)
    cache.attach(model, other, [setup.batcher(setup.valid)])
    assert len(list(tmp_path.iterdir())) == 6


def test_insufficient_disk_space_is_an_error(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(ValueError, match=r"unified\.freeze: outputs of the frozen layers take"):
        FrozenCache(tmp_path, "data").attach(setup.model(LOWER), setup.catalog, [])


def test_outputs_of_trained_layers_are_not_cached(setup: Setup, tmp_path: Path) -> None:
    for frozen in ((), ("ppm.transformer",), ("host.embeddings",)):
        batcher = setup.batcher(setup.valid)
        catalog = FrozenCache(tmp_path, "data").attach(setup.model(frozen), setup.catalog, [batcher])
        assert catalog is setup.catalog
        assert batcher.states is None
    assert not list(tmp_path.iterdir())


def test_spaces_of_similarity_of_other_sizes_are_stored_apart(setup: Setup, tmp_path: Path) -> None:
    cache = FrozenCache(tmp_path, "data")
    for dim in (2, 4):
        model = setup.model(LOWER, similarity=dim)
        batcher = setup.batcher(setup.valid)
        stored = cache.attach(model, setup.catalog, [batcher])
        assert (
            np.abs(predict(model, stored, batcher) - predict(model, setup.catalog, setup.batcher(setup.valid))).max()
            < 1e-5
        )
