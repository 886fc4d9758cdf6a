"""The adapters of MIND, EB-NeRD and MicroLens, on small made-up files in their published layouts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from plugrank_training.data.adapters.layouts import convert, detect
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.raw_column import texts_of

# 15 November 2019, 8:00 UTC, and 18 May 2023, 8:00 UTC, in ms.
MIND_DAY, EB_DAY = 1_573_804_800_000, 1_684_396_800_000


def converted(source: Path) -> Dataset:
    convert(source, source.parent / "out", progress=False)
    return Dataset.load(source.parent / "out")


def log(dataset: Dataset) -> list[tuple[str, str, int, int]]:
    columns = (dataset.user, dataset.item, dataset.timestamp, dataset.label)
    return [(dataset.user_ids[u], dataset.item_ids[i], int(t), int(y)) for u, i, t, y in zip(*columns, strict=True)]


def news(identity: str, category: str, subcategory: str, title: str, abstract: str = "") -> str:
    return "\t".join([identity, category, subcategory, title, abstract, "https://x", "[]", "[]"]) + "\n"


def make_mind(folder: Path) -> Path:
    """Two parts; one article in both; a user in both, whose first impression is in the second file's lines."""
    train, dev = folder / "MINDsmall_train", folder / "MINDsmall_dev"
    for part in (train, dev):
        part.mkdir(parents=True)
    (train / "news.tsv").write_text(
        news("N10", "sports", "golf", "Swing") + news("N2", "news", "news", 'A "fair" vote', "On polls."), "utf-8"
    )
    (dev / "news.tsv").write_text(news("N10", "sports", "golf", "Later title") + news("N3", "", "", ""), "utf-8")
    (train / "behaviors.tsv").write_text(
        "1\tU9\t11/15/2019 9:00:00 AM\tN2 N10\tN10-0 N2-1\n2\tU10\t11/15/2019 1:00:00 PM\t\tN2-0\n", "utf-8"
    )
    (dev / "behaviors.tsv").write_text("1\tU9\t11/16/2019 12:30:00 AM\tN2 N10 N2\tN3-1\n", "utf-8")
    return folder


def test_mind_in_parts(tmp_path: Path) -> None:
    source = make_mind(tmp_path / "mind")
    assert detect(source).name == "MIND, parts in folders"
    assert detect(source / "MINDsmall_train").name == "MIND"
    dataset = converted(source)
    hour = 3_600_000
    nine = MIND_DAY + hour
    assert log(dataset) == [
        # What U9 clicked before their first impression, the latest a second before it.
        ("U9", "N2", nine - 2000, 1),
        ("U9", "N10", nine - 1000, 1),
        ("U9", "N2", nine, 1),
        ("U9", "N10", nine, 0),
        ("U10", "N2", MIND_DAY + 5 * hour, 0),
        ("U9", "N3", MIND_DAY + 16 * hour + hour // 2, 1),
    ]
    assert dataset.item_ids == ["N2", "N3", "N10"]
    # What both parts have is taken from the first by name.
    assert dataset.titles == ['A "fair" vote', "", "Later title"]
    assert dataset.texts == ["On polls.", "", ""]
    assert dataset.categories == [["news"], [], ["sports", "golf"]]
    assert texts_of(dataset.item_columns) == {"subcategory": ["news", "", "golf"]}
    assert (dataset.meta.name, dataset.meta.time, dataset.meta.negatives) == ("mind", "ms", "logged")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\tU9\t11/15/2019 9:00:00 AM\t\tN10\n", r"behaviors\.tsv, line 1: impression `N10` has no label"),
        ("1\tU9\t11/15/2019 9:00:00 AM\t\tN77-1\n", r"line 1: news id `N77` is not in news\.tsv"),
        ("1\tU9\t2019-11-15 09:00\t\tN2-1\n", r"line 1: time `2019-11-15 09:00` is not of the form"),
        ("1\tU9\t11/15/2019 9:00:00 AM\tN2-1\n", r"line 1: 4 field\(s\), but 5 expected"),
    ],
)
def test_a_malformed_line_of_mind_is_named(line: str, message: str, tmp_path: Path) -> None:
    source = make_mind(tmp_path / "mind") / "MINDsmall_train"
    (source / "behaviors.tsv").write_text(line, "utf-8")
    with pytest.raises(DatasetError, match=message):
        convert(source, tmp_path / "out", progress=False)


def at(hour: int, day: int = 18) -> datetime:
    return datetime(2023, 5, day, hour)


def write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def behaviors(rows: list[tuple[int, datetime, list[int], list[int], float | None]]) -> dict[str, pa.Array]:
    """Rows of user, time, seen, clicked and age."""
    user, time, seen, clicked, age = zip(*rows, strict=True)
    return {
        "impression_id": pa.array(range(len(rows)), pa.uint32()),
        "user_id": pa.array(user, pa.uint32()),
        "impression_time": pa.array(time, pa.timestamp("us")),
        "article_ids_inview": pa.array(seen, pa.list_(pa.int32())),
        "article_ids_clicked": pa.array(clicked, pa.list_(pa.int32())),
        "age": pa.array(age, pa.float64()),
        "is_subscriber": pa.array([True] * len(rows)),
    }


def histories(rows: list[tuple[int, list[datetime], list[int]]]) -> dict[str, pa.Array]:
    user, time, article = zip(*rows, strict=True)
    return {
        "user_id": pa.array(user, pa.uint32()),
        "impression_time_fixed": pa.array(time, pa.list_(pa.timestamp("us"))),
        "article_id_fixed": pa.array(article, pa.list_(pa.int32())),
    }


def make_ebnerd(folder: Path) -> Path:
    """Three articles, two users; user 5 is in both parts, user 12 in the second alone."""
    articles = {
        "article_id": pa.array([1000, 7, 20], pa.int32()),
        "title": pa.array(["Zlatan", "Vejret", None]),
        "subtitle": pa.array([" Til salg. ", None, None]),
        "body": pa.array(["Drømmer du?", "Sol.", None]),
        "category_str": pa.array(["sport", "vejr", "krimi"]),
        "topics": pa.array([["Fodbold", "sport"], [], None], pa.list_(pa.string())),
        "published_time": pa.array([at(8), at(9), None], pa.timestamp("us")),
        "article_type": pa.array(["article_default"] * 3),
        "premium": pa.array([True, False, False]),
        "sentiment_label": pa.array(["Neutral", None, "Negative"]),
    }
    write_table(folder / "articles.parquet", articles)
    first = [(5, at(10), [7, 1000], [1000], 50.0), (5, at(11), [20], [7], None)]
    write_table(folder / "train" / "behaviors.parquet", behaviors(first))
    write_table(folder / "train" / "history.parquet", histories([(5, [at(8), at(9)], [20, 999])]))
    write_table(folder / "validation" / "behaviors.parquet", behaviors([(12, at(10, 25), [7], [], 30.0)]))
    late = histories([(5, [at(8), at(10)], [20, 1000]), (12, [at(12)], [1000])])
    write_table(folder / "validation" / "history.parquet", late)
    return folder


def test_ebnerd_of_two_parts(tmp_path: Path) -> None:
    dataset = converted(make_ebnerd(tmp_path / "eb"))
    hour = 3_600_000
    assert log(dataset) == [
        # Once, though both histories tell of it; the one at 10 stands in the impressions already.
        ("5", "20", EB_DAY, 1),
        ("5", "7", EB_DAY + 2 * hour, 0),
        ("5", "1000", EB_DAY + 2 * hour, 1),
        # Clicked and not told as seen.
        ("5", "7", EB_DAY + 3 * hour, 1),
        ("5", "20", EB_DAY + 3 * hour, 0),
        ("12", "1000", EB_DAY + 4 * hour, 1),
        ("12", "7", EB_DAY + (7 * 24 + 2) * hour, 0),
    ]
    assert dataset.item_ids == ["7", "20", "1000"]
    assert dataset.titles == ["Vejret", "", "Zlatan"]
    assert dataset.texts == ["Sol.", "", "Til salg.\nDrømmer du?"]
    assert dataset.categories == [["vejr"], ["krimi"], ["sport", "Fodbold"]]
    assert texts_of(dataset.item_columns)["premium"] == ["no", "no", "yes"]
    assert texts_of(dataset.item_columns)["sentiment_label"] == ["", "Negative", "Neutral"]
    created = pq.read_table(tmp_path / "out" / "items.parquet")["created_at"].to_pylist()
    assert created == [EB_DAY + hour, None, EB_DAY]
    # Without gender and postcode, which nobody has.
    assert texts_of(dataset.user_columns) == {"age": ["50", "30"], "is_subscriber": ["yes", "yes"]}
    notes = (tmp_path / "out" / "dataset.json").read_text()
    assert "1 interactions with articles that are not in articles.parquet are left out" in notes


def test_ebnerd_without_validation(tmp_path: Path) -> None:
    source = make_ebnerd(tmp_path / "eb")
    for path in (source / "validation").iterdir():
        path.unlink()
    dataset = converted(source)
    assert dataset.user_ids == ["5"]
    assert len(dataset.label) == 5


def test_a_malformed_table_of_ebnerd_is_named(tmp_path: Path) -> None:
    source = make_ebnerd(tmp_path / "eb")
    write_table(source / "train" / "history.parquet", histories([(5, [at(8)], [20, 7])]))
    with pytest.raises(DatasetError, match=r"history\.parquet.*row 0: 1 times for 2 articles"):
        convert(source, tmp_path / "out", progress=False)
    columns = behaviors([(5, at(10), [7], [], None)])
    del columns["article_ids_clicked"]
    write_table(source / "train" / "behaviors.parquet", columns)
    with pytest.raises(DatasetError, match=r"behaviors\.parquet, column `article_ids_clicked`: the column is missing"):
        convert(source, tmp_path / "out", progress=False)


def make_microlens(folder: Path) -> Path:
    folder.mkdir()
    (folder / "MicroLens-100k_pairs.csv").write_text("user,item,timestamp\n9,20,2000\n10,3,1000\n9,3,1000\n", "utf-8")
    (folder / "MicroLens-100k_title_en.csv").write_text('item,title\n3,Cats, dogs\n7,"A ""big"" day, out"\n', "utf-8")
    (folder / "tags_to_summary.csv").write_text("3,Animals\n", "utf-8")
    covers = folder / "MicroLens-100k_covers"
    covers.mkdir()
    Image.new("RGB", (4, 4)).save(covers / "3.jpg")
    return folder


def test_microlens_are_clicks_alone(tmp_path: Path) -> None:
    dataset = converted(make_microlens(tmp_path / "micro"))
    assert (dataset.meta.time, dataset.meta.negatives) == ("ms", "matched")
    assert log(dataset) == [("9", "3", 1000, 1), ("10", "3", 1000, 1), ("9", "20", 2000, 1)]
    assert dataset.item_ids == ["3", "7", "20"]
    assert dataset.titles == ["Cats, dogs", 'A "big" day, out', ""]
    assert dataset.categories == [["Animals"], [], []]
    assert dataset.images == ["images/3.jpg", None, None]


def test_malformed_files_of_microlens_are_named(tmp_path: Path) -> None:
    source = make_microlens(tmp_path / "micro")
    (source / "MicroLens-100k_title_en.csv").write_text("3,Cats\n3,Dogs\n", "utf-8")
    with pytest.raises(DatasetError, match=r"title_en\.csv, line 2: item `3` stands twice"):
        convert(source, tmp_path / "out", progress=False)
    (source / "MicroLens-100k_pairs.csv").write_text("item,user,timestamp\n3,9,1000\n", "utf-8")
    (source / "MicroLens-100k_title_en.csv").write_text("3,Cats\n", "utf-8")
    with pytest.raises(DatasetError, match="the first line must be user,item,timestamp"):
        convert(source, tmp_path / "out", progress=False)
    (source / "MicroLens-1M_pairs.csv").write_text("user,item,timestamp\n", "utf-8")
    with pytest.raises(DatasetError, match="2 files MicroLens"):
        convert(source, tmp_path / "out", progress=False)
