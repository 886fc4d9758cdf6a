"""The report of each column's use, and the error about columns that a model reads and the data lacks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from plugrank_training.data.catalog import Catalog, make_catalog
from plugrank_training.data.columns import column_table, column_uses, refuse_absent, unlisted_note
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.raw_column import Words
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import Schema
from plugrank_training.models.transforms import Transform
from shops import valid_tables, write_folder

SCHEMA = Schema(
    (
        Feature.of("item_id", ["2", "10", "a"]),
        Feature.of("categories", ["x"], length=2),
        Feature.of("brand", ["acme"]),
        Feature.of("colour", ["red"]),
        Feature.number("price", Transform("log1p")),
    ),
    (Feature.of("gender", ["F"]),),
    (),
    5,
    5,
    (Feature.number("dwell", Transform()),),
    (Feature.number("stock", Transform("buckets", bounds=(1.0, 5.0))),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tables = valid_tables()
    tables["items"] |= {"available": [True, False, True], "maker": pa.nulls(3, pa.string()), "size": ["s", "m", "l"]}
    tables["interactions"] |= {"dwell": pa.array([1.0, 2.0, 3.0]), "position": pa.array([0, 1, 2], pa.int32())}
    tables["items"]["born"] = pa.array([1, 2, 3], pa.timestamp("us"))
    tables["interactions"] |= {"stock": [3, None, 7], "label_buy": [True, False, None]}
    return write_folder(tmp_path, tables)


def catalog(folder: Path) -> Catalog:
    return make_catalog(Dataset.load(folder), SCHEMA, [], torch.zeros(3, 0))


def test_the_use_of_every_column_is_reported(folder: Path) -> None:
    uses = {(use.table, use.column): use for use in column_uses(Dataset.load(folder), SCHEMA)}
    brand = uses["items.parquet", "brand"]
    assert (brand.use, brand.missing, brand.unknown) == ("feature `brand`, 1 values", 1 / 3, 1 / 3)
    assert uses["items.parquet", "categories"].use == "feature `categories`, 1 values, up to 2 a row"
    assert uses["items.parquet", "categories"].unknown == 1 / 3
    assert uses["items.parquet", "price"].use == "feature `price`, number, log1p"
    assert uses["items.parquet", "born"].use == "not used: is timestamp[us], which is neither text, number nor bool"
    assert uses["interactions.parquet", "label_buy"].use == "label of the task `buy`"
    assert uses["interactions.parquet", "stock"].use == "feature `stock`, number in 3 buckets, given for each candidate"
    assert uses["interactions.parquet", "stock"].missing == 1 / 3
    assert uses["items.parquet", "maker"].use.startswith("not used: no value in any row")
    assert uses["items.parquet", "size"].use.startswith("not used: no value in any row, or the model does not read it")
    assert uses["items.parquet", "available"].use == "not ranked where false"
    assert uses["items.parquet", "colour"].use == "absent: the model reads it"
    assert uses["interactions.parquet", "dwell"].use.startswith("feature `dwell`, number")
    assert uses["interactions.parquet", "position"].use == "not read by training"
    lines = column_table(list(uses.values())).splitlines()
    assert lines[0].split() == ["table", "column", "missing", "unknown", "what", "it", "became"]
    assert "items.parquet         brand         33.3%    33.3%  feature `brand`, 1 values" in lines


def test_a_column_that_the_model_reads_must_be_there(folder: Path) -> None:
    data = Dataset.load(folder)
    with pytest.raises(DatasetError, match=r"items\.parquet: no column colour\); .* --allow-absent colour"):
        refuse_absent(SCHEMA, data, ())
    refuse_absent(SCHEMA, data, ("colour",))
    assert catalog(folder).item_ids["colour"].tolist() == [0, 0, 0]


def test_items_of_the_log_without_content_are_reported(folder: Path) -> None:
    assert unlisted_note(Dataset.load(folder)) == ""
    tables = valid_tables()
    tables["interactions"]["item_id"] = ["2", "new", "10"]
    data = Dataset.load(write_folder(folder, tables))
    assert unlisted_note(data) == "interactions.parquet names what the other tables lack: 1 items without content"


def test_one_id_of_a_list_is_its_first_value() -> None:
    """As the serving side encodes `categories` for a feature of length 1."""
    feature = Feature.of("categories", ["x", "y"])
    assert feature.encoder(Words.of([["y", "x"], [], None, ["z"], "x"]))(slice(None)).tolist() == [3, 0, 0, 1, 2]
