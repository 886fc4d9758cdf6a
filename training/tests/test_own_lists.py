"""A separate model output for lists: trained, replayed, exported and trained on, beside that of clicks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from planted import write_planted
from plugrank_training.config import (
    Config,
    HistoryConfig,
    HostConfig,
    ImageConfig,
    ListConfig,
    NextClickConfig,
    PpmConfig,
    TextConfig,
    UnifiedConfig,
    load_config,
)
from plugrank_training.data.examples import Examples
from plugrank_training.evaluate.lists.replayed_run import ListOptions, open_replay
from plugrank_training.evaluate.trained import list_calibration
from plugrank_training.export.bundle import export_bundle
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.export_stage import bundle_of
from plugrank_training.fit.increment import catalog_of, open_increment, train_on, warm_start
from plugrank_training.fit.prepare import Prepared, prepare, tasks_of
from plugrank_training.fit.run import Run, open_run
from plugrank_training.fit.stages import FittedModels, fit_models, start_network
from plugrank_training.fit.train import FitOptions, Scorer, combined_loss, predict_tasks
from plugrank_training.models.build import make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.options import Options
from shops import random_dataset

LISTS = ListConfig(share=0.5, output="own", negatives=8)
QUICK = Config(
    text=TextConfig(dim=16, layers=1, heads=2, vocabulary=200, max_tokens=12, steps=100, learning_rate=5e-3),
    image=ImageConfig(encoder="none"),
    history=HistoryConfig(clicks=15, impressions=15),
    host=HostConfig(recent_clicks_days=(30.0,), click_rates=True),
    next_clicks=NextClickConfig(epochs=1, logged=True),
    ppm=PpmConfig(epochs=2, learning_rate=5e-3),
    lists=LISTS,
    unified=UnifiedConfig(epochs=6, learning_rate=5e-3, user_level=True),
)
BOTH = ("click", "next_click")


@dataclass(frozen=True)
class Shop:
    """Two networks, fitted on the planted set."""

    run: Run
    prepared: Prepared
    fitted: FittedModels


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("own")
    data = write_planted(folder / "set")
    options = Options(data, folder / "out", None, "plugrank", None, 0, torch.device("cpu"), no_test=True)
    run = open_run(options, QUICK)
    prepared = prepare(run, show_groups=False)
    return Shop(run, prepared, fit_models(run, prepared, ("idrec", "unified")))


def test_both_outputs_learn(shop: Shop) -> None:
    """`click` tells clicks from refusals; the other tells what is clicked next from the rest of the catalog."""
    trained = shop.fitted.models["unified"]
    assert trained.network().tasks == shop.fitted.models["idrec"].network().tasks == BOTH
    auc = trained.report["valid"]["auc"]
    # A click is of the liked colour in 0.85 of its impressions, a refusal in 0.15 of them.
    assert auc is not None
    assert auc > 0.7
    # It has no label, so it is measured by lists alone.
    assert "tasks" not in trained.report
    every = predict_tasks(trained.network(), shop.prepared.catalog, shop.run.batcher(shop.run.split.valid))
    assert np.allclose(every[:, 0], trained.valid)
    liked = shop.run.split.valid.label == 1
    assert every[liked, 1].mean() > every[~liked, 1].mean() + 0.1
    assert np.corrcoef(every[:, 0], every[:, 1])[0, 1] < 0.99


def test_shares_of_the_catalog_sum_to_one(shop: Shop) -> None:
    """The level is taken from a few drawn items of each list; here all items are scored."""
    trained = shop.fitted.models["unified"]
    model, run, count = trained.network(), shop.run, len(shop.run.dataset.item_ids)
    clicked = np.flatnonzero(run.split.valid.label)[:60]
    user, moment = (np.repeat(values[clicked], count) for values in (run.split.valid.user, run.split.valid.timestamp))
    item = np.tile(np.arange(count, dtype=np.int32), len(clicked))
    part = Examples(user, item, moment, np.zeros(len(user), dtype=np.int8))
    batcher = Batcher(part, run.history, count, 2048, run.options.device)
    batcher.recent = run.recent
    logits = predict_tasks(model, shop.prepared.catalog, batcher)[:, 1].reshape(len(clicked), count)
    entry = trained.calibrations()["next_click"]
    assert entry == list_calibration(trained.report["list_level"])
    log_share = np.log(np.exp(logits + entry["b"]).sum(axis=1)).mean()
    # What was clicked before is not drawn, so the rest of the catalog has less than all.
    assert abs(log_share) < 0.5


def test_lists_are_ordered_by_their_own_output(shop: Shop) -> None:
    replay, _ = open_replay(shop.run, shop.prepared, ListOptions(users=20))
    trained = shop.fitted.models["unified"]
    candidates = replay.retrieve(None)
    lists = replay.network(trained, candidates, "test")
    request, given = replay.requests.requests[0], candidates[0]
    part = Examples(
        np.full(len(given.items), request.user, dtype=np.int32),
        given.items.astype(np.int32),
        np.full(len(given.items), request.moment, dtype=np.int64),
        np.zeros(len(given.items), dtype=np.int8),
    )
    batcher = Batcher(part, shop.run.history, len(given.items), 2048, shop.run.options.device)
    batcher.recent = shop.run.recent
    every = predict_tasks(trained.network(), shop.prepared.catalog, batcher)
    order = np.argsort(-every[:, 1], kind="stable")
    listed = lists.items[0][lists.items[0] >= 0]
    assert listed.tolist() == given.items[order][: len(listed)].tolist()
    # By `click` the order would differ, and the probabilities are those of `click`.
    assert order.tolist() != np.argsort(-every[:, 0], kind="stable").tolist()
    calibration = trained.calibration
    expected = 1 / (1 + np.exp(-(calibration["a"] * every[order, 0] + calibration["b"])))
    assert np.allclose(lists.probability[0][: len(listed)], expected[: len(listed)])


def test_recent_clicks_start_the_logit_where_lists_are_trained(shop: Shop) -> None:
    def weight_of_shares(config: Config) -> float:
        model = start_network(replace(shop.run, config=config), shop.prepared, "idrec", None)
        parts = model.parts()
        place = next(n for n, part in enumerate(parts) if isinstance(part, RecentPopularity))
        last = sum(part.cross_dim for part in parts[: place + 1]) - 1
        assert model.wide_lists is not None
        return float(model.wide_lists.weight[0, last])

    assert weight_of_shares(QUICK) == 1.0
    assert weight_of_shares(replace(QUICK, lists=replace(LISTS, share=0.0))) == 0.0


def test_each_loss_trains_its_own_head(shop: Shop) -> None:
    """The first layer is common; heads and weights of pairs are not."""
    model = shop.fitted.models["unified"].network()
    drawn = shop.run.batcher(shop.run.split.valid, negatives=shop.prepared.negatives)
    batch = next(iter(drawn.passes(None)))
    options = FitOptions("test", 1, 1, 1, 1e-3, 0.0, 1e-3, 0.0, Dropping(), 0, lists=0.5)
    scored = Scorer(model.train(), shop.prepared.catalog, options)(batch)

    def moved(lists: float) -> dict[str, float]:
        model.zero_grad()
        loss = combined_loss(scored, batch, replace(options, lists=lists), model.labelled_tasks)
        loss.backward(retain_graph=True)
        parts = {
            "click": model.head,
            "lists": model.task_heads[0],
            "wide": model.wide_lists,
            "common": model.from_cross,
        }
        found = {}
        for name, part in parts.items():
            assert part is not None
            found[name] = sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)
        return found

    of_lists, of_clicks = moved(1.0), moved(0.0)
    model.eval()
    assert of_lists["click"] == 0 < of_clicks["click"]
    assert of_clicks["lists"] == of_clicks["wide"] == 0 < min(of_lists["lists"], of_lists["wide"])
    assert min(of_lists["common"], of_clicks["common"]) > 0


def check_outputs(folder: Path, graph: str, model: ClickModel) -> None:
    """Both outputs of a bundle's reference rows are what the model scores."""
    tensors = load_file(folder / "reference.safetensors")
    start = f"{graph}/in/"
    given = {k.removeprefix(start): torch.from_numpy(v) for k, v in tensors.items() if k.startswith(start)}
    state = {k.removeprefix("user_"): v for k, v in given.items() if k.startswith("user_")}
    candidate = {k.removeprefix("candidate_"): v for k, v in given.items() if k.startswith("candidate_")}
    with torch.no_grad():
        expected = [f(state, candidate, given["recency_bucket"]) for f in (model.score, model.score_lists)]
    for task, logits in zip(BOTH, expected, strict=True):
        assert np.abs(tensors[f"{graph}/out/{task}"] - logits.numpy()).max() < 1e-4
    assert not torch.allclose(*expected)


def test_a_bundle_has_both_and_goes_on(shop: Shop, tmp_path: Path) -> None:
    bundle = bundle_of(shop.run, shop.prepared, shop.fitted.models, None)
    manifest = export_bundle(bundle, tmp_path / "bundle")
    assert manifest["tasks"] == list(BOTH)
    assert manifest["value"] == {"task": "next_click"}
    for graph in ("unified", "idrec"):
        assert [port["name"] for port in manifest["graphs"][graph]["outputs"]] == list(BOTH)
        assert set(manifest["calibration"][graph]) == set(BOTH)
    check_outputs(tmp_path / "bundle", "unified", shop.fitted.models["unified"].network())
    check_next_days(shop, tmp_path / "bundle", tmp_path / "next")


def check_next_days(shop: Shop, bundle: Path, out: Path) -> None:
    """A bundle is trained on with both losses, and the level of its lists is measured again."""
    increment = open_increment(replace(shop.run.options, out=out), bundle, 30)
    catalog = catalog_of(increment)[2]
    assert catalog.schema.tasks == BOTH
    model = make_unified(catalog.schema, increment.config, 0)
    warm_start(model, increment.past.part("unified"))
    before = {name: value.clone() for name, value in model.task_heads.state_dict().items()}
    told = train_on(increment, "unified", model, catalog)
    assert set(told["calibration"]) == set(BOTH)
    assert (
        told["calibration"]["next_click"]["b"] != increment.past.manifest["calibration"]["unified"]["next_click"]["b"]
    )
    moved = any(not torch.equal(before[name], value) for name, value in model.task_heads.state_dict().items())
    assert moved != told["kept"]


def test_invalid_combinations_are_named(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[lists]\noutput = "both"\n')
    with pytest.raises(ConfigError, match=r"lists\.output = `both`: `joint` or `own`"):
        load_config(file)
    file.write_text('[lists]\noutput = "own"\nshare = 1.0\n')
    with pytest.raises(ConfigError, match=r"lists\.share must be below 1"):
        load_config(file)
    data = random_dataset(1)
    assert tasks_of(data, Config(lists=ListConfig(output="own"))) == ("click",)
    named = replace(data, task_labels={"next_click": data.label})
    with pytest.raises(ConfigError, match="label_next_click"):
        tasks_of(named, Config())
    assert tasks_of(data, QUICK) == BOTH
