"""Who read the test part when: it is to be read once for a model and seed, and never without saying so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugrank_training.distributed import is_main
from plugrank_training.durable import write_durably


class TestLedger:
    """`test_reads.json`: one entry for each time that a model was scored on a test part."""

    def __init__(self, path: Path, again: bool) -> None:
        self.path, self.again = path, again
        self.entries: list[dict[str, Any]] = []
        if path.is_file():
            self.entries = json.loads(path.read_text(encoding="utf-8"))

    def readings(self, split: str, model: str, seed: int) -> int:
        """How often the part was read for this model and seed."""
        return sum((e["split"], e["model"], e["seed"]) == (split, model, seed) for e in self.entries)

    def read(self, split: str, model: str, seed: int, key: str) -> None:
        """Write a reading down, before it happens. `key` names what is scored: weights, configuration, data.

        Raises `ValueError` where another `key` of the same model and seed was scored on it before, unless `again`.
        """
        same = [e for e in self.entries if (e["split"], e["model"], e["seed"]) == (split, model, seed)]
        if same and not self.again:
            raise ValueError(
                f"the test part was scored for `{model}`, seed {seed}, on {same[-1]['at']} with another configuration. "
                "Choices are made on validation (--no-test); --again scores it once more and says so in the report"
            )
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.entries.append({"split": split, "model": model, "seed": seed, "key": key, "at": at})
        if is_main():
            write_durably(self.path, json.dumps(self.entries, indent=1).encode())
