"""A plain ranking server: FastAPI, numpy tables and ONNX Runtime, scoring only.

    python server.py --tables tables.safetensors --port 8101 --workers 2

What a careful Python team writes in an afternoon, and what Plugrank is measured against. The tables are made
by `plugrank-bench prepare`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from safetensors import safe_open

TABLES = "BENCH_TABLES"
PR_SET_PDEATHSIG = 1


class Ranker:
    """Item records and user states in numpy arrays, and a session of one thread."""

    def __init__(self, path: str):
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["tables"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        self.ids: list[str] = about["items"]
        self.rows = {item: row for row, item in enumerate(self.ids)}
        self.users = {user: row for row, user in enumerate(about["users"])}
        self.slope, self.intercept = about["platt"]
        # One contiguous table [items, dim] for each candidate input.
        self.tables: list[tuple[str, np.ndarray]] = []
        # By user, the inputs that do not depend on the candidates.
        self.states: list[dict[str, np.ndarray]] = [{} for _ in self.users]
        offsets = tensors["user.offsets"]
        for entry in about["inputs"]:
            name = entry["name"]
            if entry["reads"] == "record":
                columns = slice(entry["offset"], entry["offset"] + entry["dim"])
                self.tables.append((name, np.ascontiguousarray(tensors["records"][:, columns])))
                continue
            for user, state in enumerate(self.states):
                begin, end = int(offsets[user]), int(offsets[user + 1])
                match entry["reads"]:
                    case "state" if entry["per_entry"]:
                        state[name] = tensors[entry["tensor"]][None, begin:end]
                    case "state":
                        state[name] = tensors[entry["tensor"]][user : user + 1]
                    case "mask":
                        state[name] = np.ones((1, end - begin), np.float32)
                    case "recency":
                        state[name] = tensors["user.recency"][user : user + 1]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(about["graph"], options, providers=["CPUExecutionProvider"])

    def rank(self, user: str, candidates: list[str], k: int) -> list[dict[str, object]]:
        """The `k` most probable candidates, best first."""
        rows = np.fromiter((self.rows[item] for item in candidates), np.int64, len(candidates))
        inputs = dict(self.states[self.users[user]])
        for name, table in self.tables:
            inputs[name] = table.take(rows, axis=0)[None]
        logits = self.session.run(None, inputs)[0][0]
        ctr = 1.0 / (1.0 + np.exp(-(self.slope * logits + self.intercept)))
        k = min(k, len(candidates))
        best = np.argpartition(-ctr, k - 1)[:k]
        best = best[np.argsort(-ctr[best])]
        return [
            {"item_id": candidates[place], "rank": rank, "score": score, "ctr": score}
            for rank, (place, score) in enumerate(zip(best.tolist(), ctr[best].tolist(), strict=True), 1)
        ]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Loads the tables, and sees to it that a worker ends with the process that started it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    app.state.ranker = Ranker(os.environ[TABLES])
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/rank")
async def rank(request: Request) -> Response:
    """Ranks the candidates of the body for its user."""
    body = orjson.loads(await request.body())
    items = request.app.state.ranker.rank(body["user_id"], body["candidates"], body["k"])
    return Response(orjson.dumps({"user_id": body["user_id"], "items": items}), media_type="application/json")


@app.get("/readyz")
async def readyz() -> Response:
    """Answers once the tables are loaded."""
    return Response("ready")


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="file written by `plugrank-bench prepare`")
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    os.environ[TABLES] = str(arguments.tables)
    quiet = {"access_log": False, "log_level": "warning"}
    uvicorn.run("server:app", host="127.0.0.1", port=arguments.port, workers=arguments.workers, **quiet)


if __name__ == "__main__":
    main()
