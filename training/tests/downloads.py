"""Small made-up sources in every layout the adapter of film ratings knows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PLOTS = (
    "movie_id\tdirector\tactors\tplot\n"
    '2\tAda Bell\tTom Oak, Mia Ash\tA "quoted" tale of  two rivers.\n'
    "10\t\t\t\n"
    "77\tNobody\tNo one\tA film the catalog does not have.\n"
)


def write(path: Path, text: str, encoding: str = "latin-1") -> None:
    path.write_bytes(text.encode(encoding))


def add_extras(folder: Path) -> None:
    """Plots, two good posters (films 2 and 10) and one for no film."""
    write(folder / "plots.tsv", PLOTS, "utf-8")
    (folder / "posters").mkdir()
    for name, colour in (("2.jpg", "red"), ("10.png", "blue"), ("99.jpg", "green")):
        Image.new("RGB", (6, 9), colour).save(folder / "posters" / name)


def make_100k(folder: Path) -> Path:
    """Three films, two users, four ratings, two at one time."""
    folder.mkdir()
    write(folder / "u.genre", "unknown|0\nComedy|1\nDrama|2\n\n")
    write(
        folder / "u.item",
        "10|Caf\xe9, Le (Rivi\xe8re) (1971)|05-Mar-1971||http://x|0|1|1\n"
        "2|Two Rivers (1995) (V)|01-Jan-1995||http://y|0|0|1\n"
        "3|unknown||||1|0|0\n",
    )
    write(folder / "u.user", "10|17|F|none|V0R2M\n9|56|M|writer|55105\n")
    write(folder / "u.data", "10\t2\t3\t500\n9\t10\t4\t500\n9\t2\t5\t400\r\n10\t3\t1\t900\n")
    return folder


def write_movies_and_users(folder: Path) -> None:
    films = "2::Two Rivers (1995)::Drama\n10::Caf\xe9, Le (Rivi\xe8re)(1971)::Comedy|Drama\n3::Odd::\n"
    write(folder / "movies.dat", films)
    write(folder / "users.dat", "10::F::1::10::V0R2M\n9::M::56::20::55105\n")


def make_1m(folder: Path) -> Path:
    """The same films and users."""
    folder.mkdir()
    write_movies_and_users(folder)
    write(folder / "ratings.dat", "10::2::3::500\n9::10::4::500\n9::2::5::400\n10::3::1::900\n")
    return folder


def make_sequences(folder: Path) -> Path:
    """Two sequences; film 4 is not in `movies.dat`."""
    folder.mkdir()
    write_movies_and_users(folder)
    table = {"user_id": ["9", "10"], "item_ids": [["2", "10", "4"], ["3", "2"]]}
    pq.write_table(pa.table(table), folder / "sequences.parquet")
    return folder


def make_latest(folder: Path) -> Path:
    """Half stars, quoted titles, a film without genres, tags."""
    folder.mkdir()
    write(
        folder / "movies.csv",
        'movieId,title,genres\n2,"Two Rivers, a Tale (1995)",Drama\n10,Caf\xe9 (1971),Comedy|Drama\n'
        "3,Odd,(no genres listed)\n",
        "utf-8",
    )
    write(
        folder / "ratings.csv",
        "userId,movieId,rating,timestamp\n9,2,5.0,400\n9,10,4.0,500\n10,2,3.5,500\n10,3,0.5,900\n",
        "utf-8",
    )
    write(
        folder / "tags.csv",
        'userId,movieId,tag,timestamp\n9,2,River,1\n10,2,river,2\n10,2,"slow, calm",3\n9,3, ,4\n',
        "utf-8",
    )
    return folder


def make_movietweetings(folder: Path) -> Path:
    """The same films and ratings, out of 10: 8 and more is a click; 7 is none."""
    folder.mkdir()
    films = "10::Caf\xe9, Le (Rivi\xe8re) (1971)::Comedy|Drama\n2::Two Rivers (1995)::Drama\n3::Odd::\n"
    write(folder / "movies.dat", films, "utf-8")
    write(folder / "ratings.dat", "10::2::7::500\n9::10::8::500\n9::2::10::400\n10::3::0::900\n", "utf-8")
    return folder
