"""Vectors on disk, found by a hash of the content they were made of: what was encoded once is not encoded again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from plugrank_training.progress_bar import progress_bar

DIGEST = 16


def content_hash(content: bytes) -> bytes:
    """Sixteen bytes that change with the content."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


class VectorStore:
    """Two files that only grow: `NAME.vectors`, f32 rows, and `NAME.hashes`, the content hash of each row.

    Rows are written before their hashes and both are flushed for every batch, so that whatever moment encoding stops
    at, what is complete is found again and the torn rest is cut off. One name is one encoder: put its version there.
    """

    def __init__(self, folder: Path, name: str, dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dim = dim
        self.vectors, self.hashes = folder / f"{name}.vectors", folder / f"{name}.hashes"
        for path in (self.vectors, self.hashes):
            path.touch()
        count = min(self.vectors.stat().st_size // (4 * dim), self.hashes.stat().st_size // DIGEST)
        os.truncate(self.vectors, count * 4 * dim)
        os.truncate(self.hashes, count * DIGEST)
        known = self.hashes.read_bytes()
        self.rows = {known[row * DIGEST : (row + 1) * DIGEST]: row for row in range(count)}

    def fill(
        self, keys: Sequence[bytes | None], encode: Callable[[list[int]], np.ndarray], batch: int, title: str
    ) -> int:
        """Encode what is not there yet; gives how many. `encode(places in keys)` -> f32 `[places, dim]`.

        `keys` are content hashes; None stands for nothing to encode.
        """
        wanted = {key: place for place, key in enumerate(keys) if key is not None and key not in self.rows}
        places = list(wanted.values())
        if not places:
            return 0
        with (
            self.vectors.open("ab") as vectors,
            self.hashes.open("ab") as hashes,
            progress_bar(total=len(places), desc=title, unit="item") as bar,
        ):
            for start in range(0, len(places), batch):
                chosen = places[start : start + batch]
                made = np.ascontiguousarray(encode(chosen), dtype=np.float32)
                if made.shape != (len(chosen), self.dim):
                    raise ValueError(f"{title}: encoder gave {made.shape}, not {(len(chosen), self.dim)}")
                for file, content in ((vectors, made.tobytes()), (hashes, b"".join(keys[p] or b"" for p in chosen))):
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                for place in chosen:
                    self.rows[keys[place] or b""] = len(self.rows)
                bar.update(len(chosen))
        return len(places)

    def copy_into(self, target: np.ndarray, keys: Sequence[bytes | None], chunk: int = 65536) -> None:
        """Write the vector of each key into the rows of `target` `[keys, dim]`, zeros where there is none."""
        if not self.rows:
            return
        stored = np.memmap(self.vectors, dtype=np.float32, mode="r").reshape(-1, self.dim)
        for start in range(0, len(keys), chunk):
            places = np.array([self.rows.get(key, -1) if key else -1 for key in keys[start : start + chunk]])
            found = stored[np.maximum(places, 0)]
            found[places < 0] = 0.0
            target[start : start + len(places)] = found
