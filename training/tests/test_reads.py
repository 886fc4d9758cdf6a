"""The ledger of reads of test parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugrank_training.evaluate import test_ledger


def test_reading_with_other_weights_is_refused_and_with_equal_ones_allowed(tmp_path: Path) -> None:
    file = tmp_path / "reads.json"
    first = test_ledger.TestLedger(file, again=False, described={"data": "d", "salt": "plugrank"})
    first.read("part", "unified", 0, "weights-a")
    # Another run, of another output folder, that shares the file.
    other = test_ledger.TestLedger(file, again=False)
    other.read("part", "unified", 0, "weights-a")
    assert other.readings("part", "unified", 0) == 1
    with pytest.raises(ValueError, match="was scored for `unified`, seed 0"):
        other.read("part", "unified", 0, "weights-b")
    other.read("part", "unified", 1, "weights-b")
    other.read("another part", "unified", 0, "weights-b")
    test_ledger.TestLedger(file, again=True).read("part", "unified", 0, "weights-b")
    entries = json.loads(file.read_text())
    assert [entry["key"] for entry in entries] == ["weights-a", "weights-b", "weights-b", "weights-b"]
    assert entries[0]["salt"] == "plugrank"
    assert test_ledger.TestLedger(file, again=False).readings("part", "unified", 0) == 2


def test_a_test_part_is_recognised_under_another_version_of_torch(tmp_path: Path) -> None:
    """Fingerprints change with it; what data, split, salt and fold are does not."""
    file, part = tmp_path / "reads.json", {"data": "d", "part": "global", "salt": "plugrank", "fold": None}
    test_ledger.TestLedger(file, again=False, described=part).read("before", "unified", 0, "weights-a")
    later = test_ledger.TestLedger(file, again=False, described=part)
    assert later.readings("after", "unified", 0) == 1
    with pytest.raises(ValueError, match="was scored for `unified`, seed 0"):
        later.read("after", "unified", 0, "weights-b")
    salted = test_ledger.TestLedger(file, again=False, described=part | {"salt": "other"})
    assert salted.readings("after", "unified", 0) == 0
    salted.read("after", "unified", 0, "weights-b")
