"""Lists of a simulated shop by their expected clicks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planted import write_planted
from plugrank_training.cli import main
from plugrank_training.data.dataset import Dataset
from plugrank_training.evaluate.true_clicks.knowable import Log, knowable_lists, learned_taste, traits_of
from plugrank_training.evaluate.true_clicks.measure import gains, told
from plugrank_training.evaluate.true_clicks.shop_truth import ShopTruth, contrasting, read_truth

CONFIG = """
[text]
dim = 16
layers = 1
heads = 2
vocabulary = 200
max_tokens = 12
steps = 60
learning_rate = 0.005
[image]
encoder = "none"
[history]
clicks = 15
impressions = 15
[ppm]
epochs = 1
[unified]
epochs = 1
learning_rate = 0.005
"""


def truth_of(logits: np.ndarray) -> ShopTruth:
    shoppers = len(logits)
    return ShopTruth(0, 0.4, np.arange(shoppers), tuple(map(str, range(shoppers))), logits)


def test_expected_clicks_by_hand() -> None:
    truth = truth_of(np.array([[0.0, 2.0, -1.0, 1.0]]))
    expected = 1 / (1 + np.exp(-1.0)) + 1 / (1 + np.exp(1.0 + 0.4 * np.log(2.0)))
    assert abs(truth.expected_clicks(0, np.array([3, 2])) - expected) < 1e-12
    assert truth.best(0, np.array([0, 2, 3])).tolist() == [3, 0, 2]
    # Beyond the tenth place nothing counts.
    many = truth_of(np.zeros((1, 30)))
    assert many.expected_clicks(0, np.arange(30)) == many.expected_clicks(0, np.arange(10))


def test_rows_are_compared() -> None:
    truth = truth_of(np.array([[3.0, -3.0, -3.0, 0.0], [-3.0, 3.0, -3.0, 0.0]]))
    popularity = [np.array([2, 3]), np.array([2, 3])]
    half = [np.array([0, 3]), np.array([2, 3])]
    best = [truth.best(place, np.arange(4))[:2] for place in (0, 1)]
    assert told(truth, popularity) | {"expected_clicks": 0} == {
        "expected_clicks": 0,
        "distinct_items": 2,
        "overlap": 1.0,
    }
    assert told(truth, half)["overlap"] == 0.5
    assert told(truth, half)["distinct_items"] == 3
    found = gains(truth, {"popularity": popularity, "idrec": popularity, "unified": half, "best possible": best})
    clicks = {name: told(truth, each)["expected_clicks"]["value"] for name, each in (("p", popularity), ("u", half))}
    assert abs(found["over_rival"] - (clicks["u"] / clicks["p"] - 1)) < 1e-12
    assert abs(found["way_to_best"]["unified"] - 0.5) < 1e-9
    assert found["way_to_best"]["idrec"] == 0
    # The most different shoppers are chosen.
    three = truth_of(np.array([[5.0, 0.0, 0.0], [4.9, 0.1, 0.0], [0.0, 4.0, 0.0]]))
    assert set(contrasting(three, np.arange(3), 2)) in ({0, 2}, {1, 2})


def made_shop(rows: int) -> tuple[ShopTruth, Log, np.ndarray]:
    """Thirty shoppers and 200 items of three traits with a quality of their own; clicks on the first 150 items."""
    random = np.random.default_rng(4)
    tastes, traits, quality = random.normal(size=(30, 3)), random.normal(size=(200, 3)), random.normal(size=200)
    truth = truth_of(tastes @ traits.T + quality - 1.0)
    user, item = random.integers(0, 30, rows), random.integers(0, 150, rows)
    label = (random.random(rows) < 1.0 / (1.0 + np.exp(-truth.logits[user, item]))).astype(np.int8)
    return truth, Log(user, item, label), np.arange(150, 200)


def test_oracle_lists_of_fresh_items() -> None:
    truth, log, fresh = made_shop(12_000)
    items = np.arange(200)
    traits = traits_of(truth, items)
    assert traits.rows.shape == (200, 3)
    again = traits.tastes @ traits.rows.T + traits.common
    apart = truth.logits - again
    # A shopper's offset for all items does not affect the order, and is left out.
    assert np.abs(apart - apart.mean(axis=1, keepdims=True)).max() < 1e-9
    lists = knowable_lists(truth, log, items, fresh, (10, 10))
    assert next(iter(lists)) == "traits and taste known"
    clicks = {
        name: np.mean([truth.expected_clicks(place, row) for place, row in enumerate(rows)])
        for name, rows in lists.items()
    }
    assert all(sorted(row.tolist()) == fresh.tolist() for rows in lists.values() for row in rows)
    best = np.mean([truth.expected_clicks(place, truth.best(place, fresh)) for place in range(30)])
    known, whole, short = clicks.values()
    # Quality cannot be known, a taste only as far as there are clicks.
    assert best > known > whole > short > np.mean([truth.expected_clicks(place, fresh) for place in range(30)])


def test_taste_is_learned_from_clicks() -> None:
    truth, log, _ = made_shop(60_000)
    traits = traits_of(truth, np.arange(200))
    mine = log.user == 3
    taste = learned_taste(traits.rows[log.item[mine]], traits.common[log.item[mine]], log.label[mine])
    assert np.abs(taste - traits.tastes[3]).max() < 0.3
    assert np.abs(learned_taste(traits.rows[:0], traits.common[:0], log.label[:0])).max() == 0.0


def test_the_command_ranks_for_every_shopper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_planted(tmp_path / "set")
    data = Dataset.load(folder)
    random = np.random.default_rng(0)
    users = [data.user_ids[row] for row in np.unique(data.user)[:6].tolist()]
    shoppers = [
        {
            "user_id": user,
            "style": "red",
            "not_style": "blue",
            "departments": ["chairs", "lamps"],
            "budget": "low",
            "logits": random.normal(size=len(data.item_ids)).tolist(),
        }
        for user in users
    ]
    end = int(data.timestamp[-1]) + 1
    told_truth = {"at": end, "position": 0.4, "items": data.item_ids, "clicks": [], "shoppers": shoppers}
    file, config = tmp_path / "truth.json", tmp_path / "config.toml"
    file.write_text(json.dumps(told_truth))
    config.write_text(CONFIG)
    out = tmp_path / "out"
    arguments = ["true-clicks", "--dataset", str(folder), "--out", str(out), "--truth", str(file)]
    assert main([*arguments, "--config", str(config), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("likes red chairs and lamps, low prices; not blue") == 3
    report = json.loads((out / "true-clicks.json").read_text())
    assert list(report["all"]) == ["popularity", "idrec", "unified", "best possible"]
    values = {name: row["expected_clicks"]["value"] for name, row in report["all"].items()}
    assert values["best possible"] == max(values.values())
    oracles = ("traits and taste known", "taste from the whole log", "taste from 15 clicks and 15 refusals")
    known = list(report["knowable"])
    assert len(known) == (len(oracles) if report["fresh_items"] else 0)
    assert all(name.endswith(oracle) for name, oracle in zip(known, oracles, strict=False))
    truth = read_truth(file, data)
    clicked = [np.unique(data.item[(data.user == user) & (data.label == 1)]) for user in truth.users]
    rest = [np.setdiff1d(np.arange(len(data.item_ids)), seen) for seen in clicked]
    best = [truth.expected_clicks(place, truth.best(place, items)) for place, items in enumerate(rest)]
    assert abs(values["best possible"] - np.mean(best)) < 1e-9
    file.write_text(json.dumps(told_truth | {"items": ["nowhere"]}))
    assert main(arguments) == 1
    assert "'nowhere' is missing there, or not in the data set" in capsys.readouterr().err
    assert main([*arguments, "--models", "popularity"]) == 1
    assert "only networks make lists" in capsys.readouterr().err
