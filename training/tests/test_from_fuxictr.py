"""Models that FuxiCTR trained: what it predicts through its own loader is what the exported bundle says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fuxi_shop import PARAMS, FuxiShop, train_fuxictr, write_fuxi_shop
from plugrank_training import Number, from_fuxictr
from plugrank_training.cli import main

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fuxictr_model.py"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> FuxiShop:
    return write_fuxi_shop(tmp_path_factory.mktemp("fuxi"))


@pytest.mark.parametrize("name", PARAMS)
def test_a_trained_model_is_served_as_fuxictr_scores_it(
    shop: FuxiShop, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, scores = train_fuxictr(shop, name, tmp_path)
    assert scores.std() > 0.02
    out = tmp_path / "bundle"
    subprocess.run([sys.executable, str(EXAMPLE), name, str(checkpoint), str(shop.data), str(out)], check=True)
    predictions = {name: pa.array(shop.events[name]) for name in ("user_id", "item_id", "timestamp", "label")}
    pq.write_table(pa.table(predictions | {"score": pa.array(scores)}), tmp_path / "scores.parquet")
    compared = ["parity", str(tmp_path / "scores.parquet"), "--bundle", str(out), "--dataset", str(shop.dataset)]
    assert main([*compared, "--rows", "1000"]) == 0
    assert "1000 impressions, largest difference" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    columns = {side: [one["column"] for one in found] for side, found in manifest["features"].items()}
    assert columns == {
        "item": ["item_id", "brand", "categories", "tags", "price"],
        "user": ["user_id", "gender"],
        "request": ["device"],
        "candidate": [],
    }
    assert manifest["history"] == {"clicks": 10, "impressions": 0}


def test_what_a_bundle_cannot_carry_is_named(shop: FuxiShop, tmp_path: Path) -> None:
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
