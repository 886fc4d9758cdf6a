"""The adapter of film ratings in every layout, on made-up sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from downloads import add_extras, make_1m, make_100k, make_latest, make_movietweetings, make_sequences, write
from plugrank_training.cli import main
from plugrank_training.data.adapters.convert import convert_any
from plugrank_training.data.adapters.layouts import convert, detect
from plugrank_training.data.adapters.source import title_year
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.raw_column import texts_of
from shops import valid_tables, write_folder

Make = Callable[[Path], Path]


def converted(make: Make, folder: Path) -> Dataset:
    convert(make(folder / "source"), folder / "out", progress=False)
    return Dataset.load(folder / "out")


def log(dataset: Dataset) -> list[tuple[str, str, int, int]]:
    columns = (dataset.user, dataset.item, dataset.timestamp, dataset.label)
    return [(dataset.user_ids[u], dataset.item_ids[i], int(t), int(y)) for u, i, t, y in zip(*columns, strict=True)]


RATED = [("9", "2", 400_000, 1), ("9", "10", 500_000, 1), ("10", "2", 500_000, 0), ("10", "3", 900_000, 0)]


@pytest.mark.parametrize("make", [make_100k, make_1m, make_latest, make_movietweetings])
def test_ratings_become_a_sorted_log(make: Make, tmp_path: Path) -> None:
    dataset = converted(make, tmp_path)
    assert log(dataset) == RATED
    assert dataset.item_ids == ["2", "3", "10"]
    assert dataset.user_ids == ["9", "10"]
    assert (dataset.meta.time, dataset.meta.negatives) == ("ms", "logged")
    assert dataset.categories == [["Drama"], [], ["Comedy", "Drama"]]
    assert texts_of(dataset.item_columns) == {"release_year": ["1995", "", "1971"], "decade": ["1990s", "", "1970s"]}
    assert dataset.images == [None, None, None]


def test_100k_films_and_users(tmp_path: Path) -> None:
    dataset = converted(make_100k, tmp_path)
    assert dataset.meta.name == "movielens-100k"
    assert dataset.titles == ["Two Rivers (1995) (V)", "unknown", "Café, Le (Rivière) (1971)"]
    assert dataset.texts == ["Drama (1995).", "", "Comedy, Drama (1971)."]
    assert texts_of(dataset.user_columns) == {
        "age_group": ["56+", "under 18"],
        "gender": ["M", "F"],
        "occupation": ["writer", ""],
        "zip_region": ["5", "abroad"],
    }


def test_release_dates_are_when_an_item_was_made(tmp_path: Path) -> None:
    converted(make_100k, tmp_path)
    created = pq.read_table(tmp_path / "out" / "items.parquet")["created_at"].to_pylist()
    # 1 January 1995, none, 5 March 1971, all at 0:00 UTC.
    assert created == [788_918_400_000, None, 36_979_200_000]


def test_1m_users_have_the_same_columns(tmp_path: Path) -> None:
    dataset = converted(make_1m, tmp_path)
    assert dataset.meta.name == "movielens-1m"
    assert dataset.titles[2] == "Café, Le (Rivière)(1971)"
    assert texts_of(dataset.user_columns) == {
        "age_group": ["56+", "under 18"],
        "gender": ["M", "F"],
        "occupation": ["writer", "K-12 student"],
        "zip_region": ["5", "abroad"],
    }


def test_sequences_become_clicks_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(make_sequences(tmp_path / "source"), tmp_path / "out")
    dataset = Dataset.load(tmp_path / "out")
    assert (dataset.meta.time, dataset.meta.negatives) == ("order", "matched")
    assert log(dataset) == [("9", "2", 0, 1), ("10", "3", 0, 1), ("9", "10", 1, 1), ("10", "2", 1, 1), ("9", "4", 2, 1)]
    assert dataset.item_ids == ["2", "3", "4", "10"]
    assert (dataset.titles[2], dataset.texts[2], dataset.categories[2]) == ("", "", [])
    assert "1 item(s) of the sequences are not in movies.dat, kept without title: 4" in capsys.readouterr().out


def test_latest_tags_go_into_the_text(tmp_path: Path) -> None:
    dataset = converted(make_latest, tmp_path)
    assert dataset.titles == ["Two Rivers, a Tale (1995)", "Odd", "Café (1971)"]
    assert dataset.texts == ["Drama (1995). Tags: river, slow, calm.", "", "Comedy, Drama (1971)."]
    assert texts_of(dataset.user_columns) == {}


def test_latest_without_tags(tmp_path: Path) -> None:
    source = make_latest(tmp_path / "source")
    (source / "tags.csv").unlink()
    convert(source, tmp_path / "out", progress=False)
    assert Dataset.load(tmp_path / "out").texts[0] == "Drama (1995)."


@pytest.mark.parametrize("make", [make_100k, make_1m, make_sequences, make_latest, make_movietweetings])
def test_plots_and_posters_are_added_to_the_items(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path / "source")
    add_extras(source)
    (source / "posters" / "3.jpg").write_bytes(b"\xff\xd8\xff not an image")
    out = tmp_path / "out"
    convert(source, out, progress=False)
    dataset = Dataset.load(out)
    told = 'Drama (1995). Directed by Ada Bell. With Tom Oak, Mia Ash. A "quoted" tale of two rivers.'
    by_id = dict(zip(dataset.item_ids, zip(dataset.texts, dataset.images, strict=True), strict=True))
    assert by_id["2"][0].startswith(told)
    assert by_id["10"][0] == "Comedy, Drama (1971)."
    assert {item: image for item, (_, image) in by_id.items() if image} == {"2": "images/2.jpg", "10": "images/10.png"}
    assert sorted(path.name for path in (out / "images").iterdir()) == ["10.png", "2.jpg"]
    with Image.open(out / "images/10.png") as image:
        assert image.getpixel((0, 0)) == (0, 0, 255)
    notes = json.loads((out / "dataset.json").read_text())["converted_from"]["notes"]
    assert any(note.startswith("image left out, 3.jpg") for note in notes)


def test_movietweetings_is_distinguished_from_movielens_1m(tmp_path: Path) -> None:
    dataset = converted(make_movietweetings, tmp_path)
    assert dataset.meta.name == "movietweetings"
    assert texts_of(dataset.user_columns) == {}
    assert dataset.titles[2] == "Café, Le (Rivière) (1971)"
    assert detect(make_1m(tmp_path / "1m")).name == "MovieLens 1M"


def test_an_unchanged_source_is_not_converted_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = make_100k(tmp_path / "source"), tmp_path / "out"
    add_extras(source)
    convert(source, out)
    before = (out / "interactions.parquet").stat().st_ino
    convert(source, out)
    assert (out / "interactions.parquet").stat().st_ino == before
    assert "reused" in capsys.readouterr().out
    write(source / "u.data", "10\t2\t5\t500\n")
    convert(source, out)
    assert log(Dataset.load(out)) == [("10", "2", 500_000, 1)]
    Image.new("RGB", (7, 7)).save(source / "posters" / "3.jpg")
    convert(source, out)
    assert Dataset.load(out).images[1] == "images/3.jpg"
    (out / "items.parquet").unlink()
    convert(source, out)
    assert Dataset.load(out).item_ids == ["2", "3", "10"]


def test_a_failed_conversion_keeps_the_existing_folder(tmp_path: Path) -> None:
    source, out = make_100k(tmp_path / "source"), tmp_path / "out"
    convert(source, out, progress=False)
    write(source / "u.data", "10\t2\t5\t500\n10\t2\n")
    with pytest.raises(DatasetError, match=r"u\.data, line 2: 2 field\(s\), but 4 expected"):
        convert(source, out, progress=False)
    assert log(Dataset.load(out)) == RATED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    source, out = make_100k(tmp_path / "source"), tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="holds files that are not a converted data set"):
        convert(source, out, progress=False)
    assert (out / "thesis.txt").read_text() == "precious"
    with pytest.raises(DatasetError, match="choose a folder other than the source"):
        convert(source, source, progress=False)
    with pytest.raises(DatasetError, match="is a file; name a folder"):
        convert(source, out / "thesis.txt", progress=False)


RATINGS_HEAD = "userId,movieId,rating,timestamp\n"
MALFORMED: list[tuple[Make, str, str, str]] = [
    (make_100k, "u.data", "1\t2\t3\n", r"u\.data, line 1: 3 field\(s\), but 4 expected \(user id, movie id, rating"),
    (make_100k, "u.data", "9\t2\t3\t5\n8\t2\t3\t5\n", r"u\.data, line 2: user id `8` is not in u\.user"),
    (make_100k, "u.data", "9\t7\t3\t5\n", r"line 1: movie id `7` is not in u\.item"),
    (make_100k, "u.data", "9\t2\tgood\t5\n", r"line 1: rating `good` is not a number from 0\.5 to 5"),
    (make_100k, "u.data", "9\t2\t6\t5\n", r"line 1: rating `6` is not a number"),
    (make_100k, "u.data", "9\t2\t4\t-5\n", r"line 1: timestamp `-5` is not a whole number"),
    (make_100k, "u.data", "9\t2\t4\t9999999999999999\n", r"timestamp `9999999999999999` is not a whole number"),
    (make_movietweetings, "ratings.dat", "9::2::11::5\n", r"line 1: rating `11` is not a number from 0 to 10"),
    (make_100k, "u.item", "2|T|soon||x|0|0|1\n", r"u\.item, line 1: release date `soon` is not of the form"),
    (make_100k, "u.item", "2|T|31-Feb-1995||x|0|0|1\n", r"release date `31-Feb-1995` is not of the form"),
    (make_100k, "u.item", "2|T|||x|0|0|y\n", r"u\.item, line 1: flag of genre Drama is `y`, not 0 or 1"),
    (make_100k, "u.item", "2|T|||x|0|1\n", r"u\.item, line 1: 7 field\(s\), but 8 expected"),
    (make_100k, "u.item", "2|T|||x|0|0|1\n2|S|||x|0|0|1\n", r"line 2: movie id `2` already stands in line 1"),
    (make_100k, "u.item", "", r"the source has no films"),
    (make_100k, "u.user", "9|old|M|writer|5\n", r"u\.user, line 1: age `old` is not a whole number"),
    (make_100k, "u.user", " |20|M|writer|5\n", r"u\.user, line 1: user id is empty"),
    (make_100k, "u.genre", "Comedy\n", r"u\.genre, line 1: 1 field\(s\), but 2 expected"),
    (make_1m, "ratings.dat", "9::2::3\n", r"ratings\.dat, line 1: 3 field\(s\), but 4 expected .* '::'"),
    (make_1m, "users.dat", "9::M::56::21::5\n", r"users\.dat, line 1: occupation 21 is not a number from 0 to 20"),
    (make_1m, "movies.dat", "2::T::D\n2::T::D\n", r"movies\.dat, line 2: movie id `2` already stands in line 1"),
    (make_latest, "ratings.csv", RATINGS_HEAD + "9,2,x,5\n", r"ratings\.csv: .*Row #2.* value 'x'"),
    (
        make_latest,
        "ratings.csv",
        "userId,movieId,stars,timestamp\n9,2,4,5\n",
        r"ratings\.csv: .*rating.*columns must",
    ),
    (make_latest, "ratings.csv", RATINGS_HEAD + "9,2,4,5\n9,2,9,5\n", r"line 3: rating 9\.0 is out"),
    (
        make_latest,
        "ratings.csv",
        RATINGS_HEAD + "9,5,4,5\n",
        r"line 2: movieId 5 is not in movies\.csv",
    ),
    (make_latest, "ratings.csv", RATINGS_HEAD + "9,,4,5\n", r"empty value in column movieId"),
    (make_latest, "movies.csv", "id,title\n1,T\n", r"movies\.csv, line 1: the first line must be movieId,title,genres"),
    (make_latest, "movies.csv", "movieId,title,genres\n1,T\n", r"movies\.csv, line 2: 2 field\(s\), but 3 expected"),
    (make_latest, "movies.csv", 'movieId,title,genres\n1,"T" x,D\n', r"movies\.csv, line 2: "),
    (make_latest, "movies.csv", "movieId,title,genres\n1,caf\xe9,D\n", r"movies\.csv: not encoded as UTF-8"),
    (make_latest, "tags.csv", "userId,movieId,tag,timestamp\n1,x,t,1\n", r"tags\.csv, line 2: movieId `x`"),
    (make_1m, "plots.tsv", "id\tdirector\tactors\tplot\n", r"plots\.tsv, line 1: the first line must be movie_id"),
    (make_1m, "plots.tsv", "movie_id\tdirector\tactors\tplot\n2\tx\n", r"plots\.tsv, line 2: 2 field\(s\), but 4"),
    (make_sequences, "sequences.parquet", "text", r"sequences\.parquet: cannot be read as parquet"),
    (
        make_sequences,
        "users.dat",
        "9::M::56::2::5\n",
        r"sequences\.parquet, column `user_id`, row 1: `10` is not in",
    ),
]


@pytest.mark.parametrize(("make", "file", "text", "message"), MALFORMED)
def test_a_malformed_line_is_named(make: Make, file: str, text: str, message: str, tmp_path: Path) -> None:
    source = make(tmp_path / "source")
    write(source / file, text)
    with pytest.raises(DatasetError, match=message):
        convert(source, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_an_unknown_source_is_an_error_that_lists_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        convert(tmp_path / "none", tmp_path / "out", progress=False)
    source = tmp_path / "source"
    source.mkdir()
    (source / "u.data").touch()
    make_1m(source / "ml-1m")
    with pytest.raises(DatasetError) as caught:
        convert(source, tmp_path / "out", progress=False)
    told = str(caught.value)
    assert "100K: u.data, u.item, u.user, u.genre (missing: u.item, u.user, u.genre)" in told
    assert "latest: ratings.csv, movies.csv (missing: ratings.csv, movies.csv)" in told
    assert "Found: ml-1m/, u.data." in told
    assert f"Perhaps you mean {source / 'ml-1m'}." in told


def test_a_dataset_folder_is_returned_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "shop", valid_tables())
    assert convert_any(folder, tmp_path / "out") == folder
    assert "already a dataset folder" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert convert_any(make_1m(tmp_path / "source"), tmp_path / "out", progress=False) == tmp_path / "out"


def test_the_command_prints_the_folder_last_and_errors_end_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = make_100k(tmp_path / "source"), tmp_path / "out"
    assert main(["convert", str(source), str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert main(["convert", "--quiet", str(source), str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["convert", str(tmp_path / "none"), str(out)]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    with pytest.raises(DatasetError):
        main(["--traceback", "convert", str(tmp_path / "none"), str(out)])
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(source)])
    assert caught.value.code == 2


def test_files_are_compressed_with_snappy(tmp_path: Path) -> None:
    converted(make_100k, tmp_path)
    for name in ("items", "users", "interactions"):
        columns = pq.ParquetFile(tmp_path / "out" / f"{name}.parquet").metadata.row_group(0)
        assert {columns.column(place).compression for place in range(columns.num_columns)} == {"SNAPPY"}


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Seven (Se7en) (1995)", "1995"),
        ("2001: A Space Odyssey (1968)", "1968"),
        ("Series (1999-2003)", "1999"),
        ("Series (2016- )", "2016"),
        ("(500) Days (2009)", "2009"),
        ("1984", ""),
        ("Room (12345)", ""),
    ],
)
def test_the_year_is_the_last_in_parentheses(title: str, year: str) -> None:
    assert title_year(title) == year


def test_read_only_sources_make_writable_folders(tmp_path: Path) -> None:
    source = make_100k(tmp_path / "source")
    add_extras(source)
    for path in (source / "posters").iterdir():
        path.chmod(0o444)
    convert(source, tmp_path / "out", progress=False)
    images = list((tmp_path / "out" / "images").iterdir())
    assert images
    assert all(path.stat().st_mode & 0o200 for path in images)
