"""A fitted model and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from plugrank_training.data.splits import Split
from plugrank_training.evaluate.calibrate import apply, calibrate
from plugrank_training.evaluate.metrics import evaluate
from plugrank_training.models.click_model import ClickModel


@dataclass(frozen=True)
class Trained:
    """One fitted model with its logits and calibration."""

    # None for a baseline, which is no network.
    model: ClickModel | None
    valid: np.ndarray
    # None where the test part was left alone.
    test: np.ndarray | None
    calibration: dict[str, Any]
    report: dict[str, Any]

    @classmethod
    def measured(
        cls,
        model: ClickModel | None,
        logits: tuple[np.ndarray, np.ndarray | None],
        split: Split,
        kind: str,
        report: dict[str, Any],
    ) -> Trained:
        """Calibrate on the validation part (`logits` are of it and of the test part) and measure."""
        valid, test = logits
        calibration = calibrate(kind, valid, split.valid.label)
        measured: dict[str, Any] = {"calibration": calibration}
        for place, found, part in (("valid", valid, split.valid), ("test", test, split.test)):
            if found is not None:
                measured[place] = finite(evaluate(part.user, part.label, apply(calibration, found)))
        return cls(model, valid, test, calibration, report | measured)

    def network(self) -> ClickModel:
        """The model. Raises `TypeError` for a baseline, which is no network."""
        if self.model is None:
            raise TypeError("a baseline has no network")
        return self.model

    def probability(self) -> np.ndarray | None:
        """Calibrated click probabilities of the test part, f64 `[n]`."""
        return None if self.test is None else apply(self.calibration, self.test)


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: null for what is not defined, such as the AUC of one class."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
