"""Folders as other writers make them, valid and invalid ones; the loader's tests read the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.problems import FolderError
from plugrank_training.data.raw_column import texts_of

CASES = Path(__file__).parents[2] / "shared" / "dataset" / "tests" / "cases"
EXPECTED: dict[str, list[str]] = json.loads((CASES / "cases.json").read_text(encoding="utf-8"))


def problems(folder: Path) -> list[str]:
    """`file column rule` of all that is wrong, sorted."""
    try:
        Dataset.load(folder)
    except FolderError as error:
        return sorted(" ".join(key) for key in error.keys)
    except DatasetError as error:
        return ["dataset.json  readable"] if "dataset.json" in str(error) else [str(error)]
    return []


@pytest.mark.parametrize("case", EXPECTED)
def test_a_case_is_read_or_refused_as_the_loader_does(case: str) -> None:
    assert problems(CASES / case) == EXPECTED[case]


def test_all_problems_are_reported_with_counts_and_first_rows() -> None:
    with pytest.raises(FolderError) as caught:
        Dataset.load(CASES / "many_problems")
    text = str(caught.value)
    assert "the dataset folder has 7 problems:" in text
    assert "items.parquet, column `item_id`, row 1: null" in text
    assert "interactions.parquet, column `label`, row 1: 2 is neither 0 nor 1 (4 such rows: 1, 3, 5, ...)" in text


def test_every_valid_case_holds_the_same_shop() -> None:
    plain = Dataset.load(CASES / "plain")
    same = (
        "codec_",
        "polars",
        "duckdb",
        "pandas_index",
        "spark_parts",
        "large_types",
        "dictionaries",
        "time_",
        "label_",
    )
    valid = [name for name in EXPECTED if not EXPECTED[name]]
    cases = [name for name in valid if name.startswith(same)]
    assert all(any(name.startswith(prefix) for name in cases) for prefix in same)
    for case in cases:
        found = Dataset.load(CASES / case)
        assert (found.item_ids, found.categories, texts_of(found.item_columns)) == (
            plain.item_ids,
            plain.categories,
            texts_of(plain.item_columns),
        ), case
        assert found.timestamp.tolist() == plain.timestamp.tolist(), case
        assert found.label.tolist() == plain.label.tolist(), case


def test_items_of_the_log_without_content_are_kept() -> None:
    dataset = Dataset.load(CASES / "unlisted_items")
    assert (dataset.item_ids, dataset.unlisted_items) == (["i1", "i2", "i3", "i4"], 2)
    assert (dataset.titles[2:], dataset.categories[2:], texts_of(dataset.item_columns)["brand"][2:]) == (
        ["", ""],
        [[], []],
        ["", ""],
    )
    assert dataset.rows == 8
