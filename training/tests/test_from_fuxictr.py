"""Models that FuxiCTR trained: predictions through its own loader equal those of the exported bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples import run_script
from fuxi_shop import PARAMS, FuxiShop, train_fuxictr, write_fuxi_shop
from plugrank_training import Number, from_fuxictr
from plugrank_training.cli import main
from server import needs_server, served


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> FuxiShop:
    return write_fuxi_shop(tmp_path_factory.mktemp("fuxi"))


@dataclass(frozen=True)
class Served:
    """A model as a bundle, and the file of FuxiCTR's own predictions."""

    bundle: Path
    scores: Path


@pytest.fixture(scope="module", params=list(PARAMS))
def trained(shop: FuxiShop, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Trained by FuxiCTR, made a bundle by the script of the docs."""
    home = tmp_path_factory.mktemp("trained")
    checkpoint, scores = train_fuxictr(shop, request.param, home)
    assert scores.std() > 0.02
    run_script("fuxictr_model", request.param, checkpoint, shop.data, home / "bundle")
    columns = {name: pa.array(shop.events[name]) for name in ("user_id", "item_id", "timestamp", "label")}
    columns["context.device"] = pa.array(shop.events["device"])
    pq.write_table(pa.table(columns | {"score": pa.array(scores)}), home / "scores.parquet")
    return Served(home / "bundle", home / "scores.parquet")


def compared(trained: Served, capsys: pytest.CaptureFixture[str], *asked: str) -> None:
    """`parity` over 1,000 impressions, which fails above 1e-4."""
    capsys.readouterr()
    assert main(["parity", str(trained.scores), *asked, "--rows", "1000"]) == 0
    assert "1000 impressions, largest difference" in capsys.readouterr().out


@needs_server
def test_a_server_answers_as_fuxictr_scores(
    shop: FuxiShop, trained: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(trained.bundle, shop.dataset, tmp_path / "server") as url:
        compared(trained, capsys, "--url", url, "--budget-ms", "20000")


def test_the_bundle_gives_the_scores_of_fuxictr(
    shop: FuxiShop, trained: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    compared(trained, capsys, "--bundle", str(trained.bundle), "--dataset", str(shop.dataset))
    out = trained.bundle
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    columns = {side: [one["column"] for one in found] for side, found in manifest["features"].items()}
    assert columns == {
        "item": ["item_id", "brand", "categories", "tags", "price"],
        "user": ["user_id", "gender"],
        "request": ["device"],
        "candidate": [],
    }
    assert manifest["history"] == {"clicks": 10, "impressions": 0}


def test_unsupported_features_are_named(shop: FuxiShop, tmp_path: Path) -> None:
    described = json.loads((shop.data / "feature_map.json").read_text())
    described["features"] += [
        {"picture": {"source": "item", "type": "embedding"}},
        {"hour": {"source": "weather", "type": "categorical", "vocab_size": 26}},
    ]
    changed = tmp_path / "feature_map.json"
    changed.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"`picture`: is of type embedding; .*`hour`: has the source `weather`"):
        from_fuxictr("DIN.model", changed, shop.data / "feature_vocab.json", model="DIN")
    described["features"] = described["features"][:-2]
    changed.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="`brand`: is no number, but `numbers` has it"):
        from_fuxictr(
            "DIN.model", changed, shop.data / "feature_vocab.json", model="DIN", numbers={"brand": Number("brand")}
        )
    with pytest.raises(ValueError, match="no feature brnad"):
        from_fuxictr(
            "DIN.model",
            shop.data / "feature_map.json",
            shop.data / "feature_vocab.json",
            model="DIN",
            columns={"brnad": "brand"},
        )


def test_weights_of_another_network_are_refused(shop: FuxiShop, tmp_path: Path) -> None:
    checkpoint, _ = train_fuxictr(shop, "DIN", tmp_path)
    files = (checkpoint, shop.data / "feature_map.json", shop.data / "feature_vocab.json")
    with pytest.raises(ValueError, match="does not fit the model that `params` describe"):
        from_fuxictr(*files, model="DIN", embedding_dim=4, **PARAMS["DIN"])
