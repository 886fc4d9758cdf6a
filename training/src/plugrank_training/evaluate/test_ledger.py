"""Who read the test part when: it is to be read once for a model and seed, and never without saying so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugrank_training.distributed import is_main
from plugrank_training.durable import write_durably


class TestLedger:
    """`test_reads.json`: one entry for each time that a model was scored on a test part.

    A part is known by data, split, salt and fold, so several output folders may share a file (`--ledger`).
    `described`: the same in words, kept with each entry. A part that is described alike is the same one, though its
    fingerprint changes with the versions of torch and of the stages.
    """

    def __init__(self, path: Path, again: bool, described: Mapping[str, Any] | None = None) -> None:
        self.path, self.again, self.described = path, again, dict(described or {})
        self.entries: list[dict[str, Any]] = []
        if path.is_file():
            self.entries = json.loads(path.read_text(encoding="utf-8"))

    def readings(self, split: str, model: str, seed: int) -> int:
        """How often the part was read for this model and seed."""
        return len(self.entries_of(split, model, seed))

    def entries_of(self, split: str, model: str, seed: int) -> list[dict[str, Any]]:
        """Readings of the part by this model and seed, the oldest first."""

        def same_part(entry: dict[str, Any]) -> bool:
            alike = all(entry.get(name) == value for name, value in self.described.items())
            return entry["split"] == split or (bool(self.described) and alike)

        return [e for e in self.entries if (e["model"], e["seed"]) == (model, seed) and same_part(e)]

    def read(self, split: str, model: str, seed: int, key: str) -> None:
        """Write a reading down, before it happens. `key` names what is scored: weights, configuration, data; what was
        read with the same key before tells nothing new and is no further reading.

        Raises `ValueError` where another `key` of the same model and seed was scored on it before, unless `again`.
        """
        same = self.entries_of(split, model, seed)
        if any(entry["key"] == key for entry in same):
            return
        if same and not self.again:
            raise ValueError(
                f"the test part was scored for `{model}`, seed {seed}, on {same[-1]['at']} with another configuration. "
                "Choices are made on validation (--no-test); --again scores it once more and says so in the report"
            )
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"split": split, "model": model, "seed": seed, "key": key, "at": at}
        self.entries.append(entry | self.described)
        if is_main():
            write_durably(self.path, json.dumps(self.entries, indent=1).encode())
