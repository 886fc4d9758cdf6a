"""Conversion of a log by a map: use of its columns, counts of dropped rows, error messages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from plugrank_training.cli import main
from plugrank_training.data.adapters.log_convert import convert_log
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.raw_column import texts_of

LOG = """\
visitor,product,when,event,price,device
v2,10,2026-11-18T10:00:01Z,view,9.5,phone
v1,9,2026-11-18 10:00:00,click,12,phone
v1,10,2026-11-18T10:00:00,view,9.5,desk
,9,2026-11-18T10:00:05,click,12,desk
v1,,2026-11-18T10:00:05,click,12,desk
v3,9,yesterday,click,12,desk
v3,9,2026-11-18T12:00:06+02:00,buy,12,
v3,11,2026-11-18T10:00:07,heartbeat,,
v3,11,2026-11-18T10:00:08,,,
"""
MAP = """\
name = "shop"
user_id = "visitor"
item_id = "product"
timestamp = "when"
keep = ["device"]
[log]
files = "log.csv"
[label]
column = "event"
positive = ["click", "buy"]
ignored = "heartbeat"
[items]
features = "price"
rename = { price = "price_text" }
buckets = {}
"""


def write(folder: Path, text: str = MAP, log: str = LOG) -> Path:
    """A map and its log; gives the map."""
    (folder / "log.csv").write_text(log, encoding="utf-8")
    path = folder / "log.toml"
    path.write_text(text, encoding="utf-8")
    return path


def meta(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return found


def test_a_log_is_converted_to_a_dataset_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["convert", "--map", str(write(tmp_path)), str(out)]) == 0
    dataset = Dataset.load(out)
    assert dataset.timestamp.tolist() == [dataset.timestamp[0], *(dataset.timestamp[0] + n for n in (0, 1000, 6000))]
    assert dataset.timestamp[0] == np.datetime64("2026-11-18T10:00:00", "ms").astype(np.int64)
    users = [dataset.user_ids[row] for row in dataset.user]
    items = [dataset.item_ids[row] for row in dataset.item]
    assert list(zip(users, items, dataset.label.tolist(), strict=True)) == [
        ("v1", "9", 1),
        ("v1", "10", 0),
        ("v2", "10", 0),
        ("v3", "9", 1),
    ]
    assert texts_of(dataset.item_columns) == {"price_text": ["12", "9.5"]}
    assert dataset.texts[0] == "price_text 12."
    assert pq.read_table(out / "interactions.parquet").column("device").to_pylist() == ["phone", "desk", "phone", None]
    assert meta(out)["converted_from"]["dropped"] == {  # type: ignore[index]
        "rows without a user": 1,
        "rows without a item": 1,
        "rows without a readable time": 1,
        "rows that are heartbeat": 1,
        "rows without a label": 1,
    }
    told = capsys.readouterr().out
    assert "left out: 1 rows without a user" in told
    assert "no key of the map names" not in told
    assert main(["convert", "--map", str(tmp_path / "log.toml"), str(out)]) == 0
    assert "converted by this map before" in capsys.readouterr().out


def test_unmapped_columns_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "items.csv").write_text("product,name,weight\n9,Kettle,2\n", encoding="utf-8")
    text = MAP.replace('keep = ["device"]\n', "").split("[items]")[0] + '[items]\nfiles = "items.csv"\ntitle = "name"\n'
    assert main(["convert", "--map", str(write(tmp_path, text)), str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "columns of log that no key of the map names: price, device" in told
    assert "columns of items that no key of the map names: weight" in told
    assert meta(tmp_path / "out")["converted_from"]["not_mapped"] == {  # type: ignore[index]
        "log": ["price", "device"],
        "items": ["weight"],
    }


def test_items_and_users_from_separate_files(tmp_path: Path) -> None:
    items = pa.table(
        {
            "sku": [9, 10, 9, 77],
            "name": ["Kettle", "Cup", "twice", "Rug"],
            "body": ["Boils.", None, "", "Warm."],
            "path": ["kitchen>kettles", "kitchen", "x", None],
            "price": [12.0, 9.5, 1.0, None],
            "stock": [1, 0, 1, 1],
            "since": pa.array([1_795_000_000] * 4, pa.int64()),
        }
    )
    pq.write_table(items, tmp_path / "items.parquet", compression="zstd")
    (tmp_path / "users.jsonl").write_text('{"visitor": "v1", "city": "Faro"}\n{"visitor": "v9", "city": null}\n')
    text = MAP.split("[items]")[0] + (
        '[items]\nfiles = "items.parquet"\nid = "sku"\ntitle = "name"\ntext = "body"\ncategories = "path"\n'
        'categories_separator = ">"\navailable = "stock"\ncreated_at = { column = "since", unit = "s" }\n'
        "buckets = { price = [10, 20] }\n"
        '[users]\nfiles = "users.jsonl"\nfeatures = "city"\n'
    )
    convert_log(write(tmp_path, text), tmp_path / "out", progress=False)
    dataset = Dataset.load(tmp_path / "out")
    assert (dataset.item_ids, dataset.titles) == (["9", "10", "77"], ["Kettle", "Cup", "Rug"])
    assert dataset.categories == [["kitchen", "kettles"], ["kitchen"], []]
    assert texts_of(dataset.item_columns) == {"price": ["10 to 20", "below 10", ""]}
    assert dataset.created_at is not None
    assert dataset.created_at[0] == 1_795_000_000_000
    assert dict(zip(dataset.user_ids, texts_of(dataset.user_columns)["city"], strict=True)) == {
        "v1": "Faro", "v9": "", "v2": "", "v3": "",
    }  # fmt: skip
    available = pq.read_table(tmp_path / "out" / "items.parquet").column("available").to_pylist()
    assert available == [True, False, True]
    assert meta(tmp_path / "out")["converted_from"]["dropped"]["rows of items whose id stood above"] == 1  # type: ignore[index]


def test_numbers_tasks_actions_and_values(tmp_path: Path) -> None:
    log = (
        "visitor,product,when,event,price,paid,sizes\n"
        "v1,9,2026-11-18T10:00:00,view,9.5,,\nv1,9,2026-11-18T10:00:01,click,9.5,,\n"
        "v2,7,2026-11-18T10:00:02,buy,none,19.99,\nv2,7,2026-11-18T10:00:03,share,3,,\n"
    )
    text = MAP.split("[items]")[0].replace('keep = ["device"]', 'numbers = "price"\naction = "event"\nvalue = "paid"')
    text = text.replace('ignored = "heartbeat"', "") + (
        '[tasks.purchase]\ncolumn = "event"\npositive = "buy"\nignored = "share"\n[items]\nnumbers = "price"\n'
    )
    convert_log(write(tmp_path, text, log), tmp_path / "out", progress=False)
    table = pq.read_table(tmp_path / "out" / "interactions.parquet")
    assert table["price"].to_pylist() == [9.5, 9.5, None, 3.0]
    assert table["label_purchase"].to_pylist() == [0, 0, 1, None]
    assert table["action"].to_pylist() == ["view", "click", "buy", "share"]
    assert table["value"].to_pylist() == [None, None, 19.99, None]
    items = pq.read_table(tmp_path / "out" / "items.parquet")
    assert dict(zip(items["item_id"].to_pylist(), items["price"].to_pylist(), strict=True)) == {"7": 3.0, "9": 9.5}
    assert "price 9.5." in items["text"].to_pylist()
    data = Dataset.load(tmp_path / "out")
    assert (set(data.past_columns), set(data.log_columns)) == ({"action", "value"}, {"price"})
    assert data.task_labels["purchase"].tolist() == [0, 0, 1, -1]
    # A drawn negative has no action, and its label of the purchase task is 0.
    drawn = (
        text.split("[label]")[0]
        + "[sample]\nper_positive = 1\n[tasks.purchase]\n"
        + text.split("[tasks.purchase]\n")[1]
    )
    convert_log(write(tmp_path, drawn, log), tmp_path / "drawn", progress=False)
    table = pq.read_table(tmp_path / "drawn" / "interactions.parquet")
    negatives = table.filter(pc.equal(table["label"], 0))
    assert negatives.num_rows > 0
    assert (set(negatives["action"].to_pylist()), set(negatives["label_purchase"].to_pylist())) == ({None}, {0})
    with pytest.raises(DatasetError, match=r"`tasks\.click`: a task has a name"):
        convert_log(write(tmp_path, MAP + "[tasks.click]\ncolumn = 'event'\n"), tmp_path / "no", progress=False)


def test_negatives_are_drawn_where_only_positives_were_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [f"u{random.integers(8)},i{random.integers(30)},{1_795_000_000 + n}" for n in range(300)]
    text = (
        'name = "likes"\nuser_id = "user"\nitem_id = "item"\ntimestamp = { column = "at", unit = "s" }\n'
        '[log]\nfiles = "log.csv"\nnames = ["user", "item", "at"]\n[sample]\nper_positive = 3\nby = "even"\n'
    )
    convert_log(write(tmp_path, text, "\n".join(lines) + "\n"), tmp_path / "out", progress=False)
    dataset = Dataset.load(tmp_path / "out")
    assert dataset.meta.negatives == "logged"
    assert dataset.label.sum() == 300
    negatives = dataset.label == 0
    assert 0 < negatives.sum() <= 900
    chosen = {(user, item) for user, item in zip(dataset.user[~negatives], dataset.item[~negatives], strict=True)}
    assert not chosen & {(u, i) for u, i in zip(dataset.user[negatives], dataset.item[negatives], strict=True)}
    again = tmp_path / "again"
    convert_log(tmp_path / "log.toml", again, progress=False)
    assert (again / "interactions.parquet").read_bytes() == (tmp_path / "out" / "interactions.parquet").read_bytes()
    without = write(tmp_path, text.split("[sample]")[0], "\n".join(lines) + "\n")
    convert_log(without, tmp_path / "matched", progress=False)
    assert meta(tmp_path / "matched")["negatives"] == "matched"


def test_an_avazu_file(tmp_path: Path) -> None:
    names = (
        "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
        "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
    )
    rows = [
        f"{n},{n % 2},141021{n % 24:02d},1005,0,s,d,c,a,b,e,dev,ip{n % 3},model,1,0,15706,320,50,1722,0,35,-1,79"
        for n in range(30)
    ]
    (tmp_path / "train.gz").write_bytes(gzip.compress("\n".join([names, *rows]).encode()))
    (tmp_path / "log.toml").write_text('layout = "avazu"\n[log]\nfiles = "train.gz"\n')
    convert_log(tmp_path / "log.toml", tmp_path / "out", progress=False)
    dataset = Dataset.load(tmp_path / "out")
    assert (dataset.rows, dataset.item_ids) == (30, ["15706"])
    assert dataset.user_ids[0] == "ip0|model"
    assert dataset.timestamp[0] == np.datetime64("2014-10-21T00:00", "ms").astype(np.int64)
    assert texts_of(dataset.item_columns)["C15"] == ["320"]
    assert "site_id" in pq.read_schema(tmp_path / "out" / "interactions.parquet").names


def test_a_criteo_file(tmp_path: Path) -> None:
    rows = [
        "\t".join([str(n % 2), *map(str, range(13)), *(f"c{column}{n % 4}" for column in range(26))]) for n in range(20)
    ]
    (tmp_path / "day_0").write_text("\n".join(rows) + "\n")
    (tmp_path / "log.toml").write_text('layout = "criteo"\n[log]\nfiles = "day_0"\n')
    convert_log(tmp_path / "log.toml", tmp_path / "out", progress=False)
    dataset = Dataset.load(tmp_path / "out")
    assert (dataset.rows, dataset.meta.time, dataset.timestamp.tolist()) == (20, "order", list(range(20)))
    assert dataset.item_ids[0] == "c20|c150"
    assert dataset.texts[0].startswith("C1 c00. C2 c10.")
    numbers = pq.read_table(tmp_path / "out" / "interactions.parquet")
    assert numbers["I13"].to_pylist()[:2] == [12.0, 12.0]
    # The same as csv with a header line, as others keep it.
    names = ["label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]
    lines = [",".join(names), *(row.replace("\t", ",") for row in rows)]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "csv.toml").write_text('layout = "criteo"\n[log]\nfiles = "train.csv"\nformat = "csv"\nnames = []\n')
    convert_log(tmp_path / "csv.toml", tmp_path / "csv", progress=False)
    assert pq.read_table(tmp_path / "csv" / "interactions.parquet").equals(numbers)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "shop"', "", "`name` is missing"),
        ('user_id = "visitor"', 'user_id = "who"', "`user_id`: there is no column `who`; there are visitor, product"),
        ('keep = ["device"]', 'keeps = "device"', "unknown key `keeps`; known here: action, item_id, items"),
        ('files = "log.csv"', 'files = "none.csv"', "none.csv: there is no such file"),
        ('positive = ["click", "buy"]', "", "no row of the log is left; .*rows whose label is neither 0 nor 1"),
        ("buckets = {}", "buckets = { price = 3 }", "`items.buckets` must name edges"),
        ('rename = { price = "price_text" }', 'rename = { price = "title" }', "`title` has a meaning of its own"),
        (
            'timestamp = "when"',
            'timestamp = { column = "when", unit = "min" }',
            "`timestamp.unit` must be one of s, ms",
        ),
        ('name = "shop"', 'layout = "avasu"', "`layout` must be one of avazu, criteo"),
        ("[label]", "[label", "not valid TOML"),
    ],
)
def test_an_invalid_map_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MAP
    path = write(tmp_path, MAP.replace(old, new))
    with pytest.raises(DatasetError, match=message):
        convert_log(path, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
