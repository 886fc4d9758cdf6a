"""Training on a data set that is larger than the memory it may use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HERE = Path(__file__).parent
LIMIT_MB = 64


def write_large(folder: Path, rows: int, items: int, dim: int) -> Path:
    """A random log with item vectors beside it; clicks follow a number of the vector."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    users = max(10, rows // 100)
    names = {"item": [f"i{n}" for n in range(items)], "user": [f"u{n}" for n in range(users)]}
    empty = pa.array([""] * items)
    columns = {"item_id": names["item"], "title": empty, "text": empty, "image": pa.nulls(items, pa.string())}
    columns |= {"categories": pa.array([[]] * items, pa.list_(pa.string())), "created_at": pa.nulls(items, pa.int64())}
    pq.write_table(pa.table(columns), folder / "items.parquet")
    pq.write_table(pa.table({"user_id": names["user"]}), folder / "users.parquet")
    vectors = random.standard_normal((items, dim)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    user, item = random.integers(0, users, rows), random.integers(0, items, rows)
    label = random.random(rows) < 1 / (1 + np.exp(-2 * vectors[item, 0]))
    log = {
        "user_id": pa.DictionaryArray.from_arrays(pa.array(user, pa.int32()), names["user"]),
        "item_id": pa.DictionaryArray.from_arrays(pa.array(item, pa.int32()), names["item"]),
        "timestamp": pa.array(np.arange(rows), pa.int64()),
        "label": pa.array(label.astype(np.int8), pa.int8()),
    }
    pq.write_table(pa.table(log), folder / "interactions.parquet", row_group_size=1 << 17)
    meta = {"name": "large", "time": "ms", "negatives": "logged"}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by Linux's RLIMIT_DATA: run it on Linux")
def test_a_data_set_larger_than_memory_trains(tmp_path: Path) -> None:
    rows, items, dim = 1_000_000, 40_000, 256
    data = write_large(tmp_path / "set", rows, items, dim)
    write_large(data / "small", 20_000, 500, dim)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        # Compiled kernels, up to 1,024 shapes of batches: much beside the limit, and nothing to do with the data.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
    }

    def run(kind: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(HERE / "fit_large.py"), str(data), str(LIMIT_MB), kind]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)

    refused = run("memory")
    assert refused.returncode != 0
    # Native code may end the process where an allocation fails.
    ended = refused.returncode < 0
    assert ended or "MemoryError" in refused.stderr or "not enough memory" in refused.stderr
    trained = run("mapped")
    assert trained.returncode == 0, trained.stderr[-2000:]
    found = json.loads(trained.stdout.splitlines()[-1])
    assert found["rows"] == rows * 8 // 10 // 4
    assert found["losses"][-1] < 0.62
    mapped = sum(path.stat().st_size for path in data.rglob("*.npy") if "small" not in path.parts)
    assert mapped > 1.3 * LIMIT_MB * 1_000_000
