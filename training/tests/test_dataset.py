"""The dataset folder: what is read, and error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_rank
from plugrank_training.data.raw_column import texts_of
from shops import valid_tables, write_folder


def test_shorter_ids_come_first_then_bytes() -> None:
    ids = ["10", "9", "ä", "b", "a", "100", "Z"]
    ordered = [ids[row] for row in np.argsort(shortlex_rank(ids))]
    # `ä` is two bytes in UTF-8 and starts with 0xC3, so it comes after `10`.
    assert ordered == ["9", "Z", "a", "b", "10", "ä", "100"]


def test_a_valid_folder_is_read(tmp_path: Path) -> None:
    dataset = Dataset.load(write_folder(tmp_path, valid_tables()))
    assert dataset.item_ids == ["2", "10", "a"]
    assert dataset.titles == ["Two", "Ten", ""]
    assert dataset.texts == ["", "", "words"]
    assert dataset.categories == [["x", "y"], [], []]
    assert dataset.images == ["images/2.png", None, None]
    assert texts_of(dataset.item_columns) == {"brand": ["acme", "", "globex"], "price": ["1", "2", "3"]}
    assert texts_of(dataset.user_columns) == {"gender": ["F", ""]}
    assert dataset.user.tolist() == [1, 0, 1]
    assert dataset.item.tolist() == [0, 0, 1]
    assert dataset.timestamp.tolist() == [100, 200, 200]
    assert dataset.label.tolist() == [1, 0, 1]
    assert (dataset.user.dtype, dataset.item.dtype) == (np.int32, np.int32)
    assert (dataset.timestamp.dtype, dataset.label.dtype) == (np.int64, np.int8)
    assert dataset.truth is None
    assert (dataset.meta.name, dataset.meta.time, dataset.meta.negatives) == ("made-up", "ms", "logged")


def test_optional_columns_may_be_absent_and_strings_may_be_dictionaries(tmp_path: Path) -> None:
    tables = valid_tables()
    del tables["items"]["image"], tables["items"]["created_at"]
    tables["interactions"]["item_id"] = pa.array(["2", "2", "10"]).dictionary_encode()
    dataset = Dataset.load(write_folder(tmp_path, tables))
    assert dataset.images == [None, None, None]
    assert dataset.item.tolist() == [0, 0, 1]


def test_an_empty_log_is_no_error(tmp_path: Path) -> None:
    tables = valid_tables()
    tables["interactions"] = {name: pa.array(values)[:0] for name, values in tables["interactions"].items()}
    assert Dataset.load(write_folder(tmp_path, tables)).rows == 0


def test_truth_must_match_the_impressions(tmp_path: Path) -> None:
    tables = valid_tables()
    log = tables["interactions"]
    tables["truth"] = {name: log[name] for name in ("user_id", "item_id", "timestamp")}
    tables["truth"]["probability"] = pa.array([0.5, 0.25, 1.0], pa.float32())
    truth = Dataset.load(write_folder(tmp_path, tables)).truth
    assert truth is not None
    assert truth.tolist() == [0.5, 0.25, 1.0]
    tables["truth"]["item_id"] = ["2", "10", "10"]
    with pytest.raises(DatasetError, match=r"truth\.parquet, column `item_id`, row 1: differs"):
        Dataset.load(write_folder(tmp_path, tables))
    tables["truth"] = {name: pa.array(values)[:2] for name, values in tables["truth"].items()}
    with pytest.raises(DatasetError, match=r"truth\.parquet: has 2 rows, but interactions\.parquet has 3"):
        Dataset.load(write_folder(tmp_path, tables))


WRONG: list[tuple[str, str, Any, str]] = [
    ("items", "item_id", ["2", "10", "2"], r"items\.parquet, column `item_id`, row 2: `2` already stands in row 0"),
    ("items", "item_id", ["2", "10", None], r"items\.parquet, column `item_id`, row 2: null"),
    ("items", "item_id", ["2", "", "a"], r"items\.parquet, column `item_id`, row 1: an id may not be empty"),
    ("items", "title", [1, 2, 3], r"items\.parquet, column `title`: must be of type string, not int64"),
    ("items", "categories", ["x", "y", "z"], r"items\.parquet, column `categories`: must be of type list of string"),
    ("items", "image", ["../2.png", None, None], r"column `image`, row 0: .* path inside the folder"),
    ("items", "image", [None, "images/none.png", None], r"column `image`, row 1: there is no file `images/none\.png`"),
    ("interactions", "label", [1, 2, 0], r"column `label`, row 1: 2 is neither 0 nor 1"),
    ("interactions", "label", [1, 0, 300], r"column `label`, row 2: 300 is neither 0 nor 1"),
    ("interactions", "label", [1.0, 0.0, 1.0], r"column `label`: must be of an integer type or bool, not double"),
    ("interactions", "timestamp", [100, None, 200], r"column `timestamp`, row 1: null"),
    ("interactions", "timestamp", [100, 300, 200], r"column `timestamp`, row 2: comes before the row above it"),
    ("interactions", "user_id", ["u10", "u10", "u2"], r"column `timestamp`, row 2: comes before the row above it"),
]


@pytest.mark.parametrize(("table", "column", "values", "message"), WRONG)
def test_an_invalid_value_is_named(tmp_path: Path, table: str, column: str, values: Any, message: str) -> None:
    tables = valid_tables()
    tables[table][column] = values
    with pytest.raises(DatasetError, match=message):
        Dataset.load(write_folder(tmp_path, tables))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"time": "seconds"}, r'dataset\.json: `time` must be "ms" or "order", not \'seconds\''),
        ({"negatives": None}, r'dataset\.json: `negatives` must be "logged" or "matched", not None'),
        ({"name": 3}, r"dataset\.json: `name` must be a string"),
        ({"negatives": "matched"}, r"column `label`, row 1: 0, but dataset\.json says"),
    ],
)
def test_invalid_meta_is_named(tmp_path: Path, meta: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Dataset.load(write_folder(tmp_path, valid_tables(), **meta))


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        Dataset.load(tmp_path / "none")
    folder = write_folder(tmp_path / "shop", valid_tables())
    (folder / "users.parquet").write_bytes(b"not parquet")
    with pytest.raises(DatasetError, match=r"users\.parquet: cannot be read as parquet"):
        Dataset.load(folder)
    (folder / "users.parquet").unlink()
    with pytest.raises(DatasetError, match=r"users\.parquet: the file is missing"):
        Dataset.load(folder)
    tables = valid_tables()
    del tables["interactions"]["label"]
    with pytest.raises(DatasetError, match=r"interactions\.parquet, column `label`: the column is missing"):
        Dataset.load(write_folder(tmp_path / "other", tables))
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset\.json: not valid JSON"):
        Dataset.load(folder)


def test_a_large_log_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to reading it whole, and an error names the row in the whole file."""
    tables = valid_tables()
    count = 50
    tables["interactions"] = {
        "user_id": ["u2"] * count,
        "item_id": [("2", "10", "a")[n % 3] for n in range(count)],
        "timestamp": pa.array(range(count), pa.int64()),
        "label": pa.array([n % 2 for n in range(count)], pa.int8()),
    }
    whole = Dataset.load(write_folder(tmp_path / "a", tables))
    monkeypatch.setattr("plugrank_training.data.interaction_file.PIECE", 7)
    parts = Dataset.load(tmp_path / "a")
    for name in ("user", "item", "timestamp", "label"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert getattr(whole, name).dtype == getattr(parts, name).dtype
    tables["interactions"]["item_id"][40] = ""
    with pytest.raises(DatasetError, match=r"column `item_id`, row 40: an id may not be empty"):
        Dataset.load(write_folder(tmp_path / "b", tables))
