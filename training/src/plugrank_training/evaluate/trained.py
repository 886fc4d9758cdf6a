"""A fitted model and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from plugrank_training.data.examples import Examples
from plugrank_training.data.splits import Split
from plugrank_training.evaluate.calibrate import apply, calibrate, recentred
from plugrank_training.evaluate.metrics import evaluate
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.schema import LIST_TASK, MAIN_TASK


@dataclass(frozen=True)
class TaskScores:
    """What a model says of a further task."""

    calibration: dict[str, Any]
    # Logits of the test part, f64 [n]; None where it was left alone.
    test: np.ndarray | None

    def probability(self) -> np.ndarray | None:
        """Calibrated probabilities of the test part, f64 `[n]`."""
        return None if self.test is None else apply(self.calibration, self.test)


@dataclass(frozen=True)
class Trained:
    """One fitted model with its logits and calibration."""

    # None for a baseline, which is no network.
    model: ClickModel | None
    # Of the main task.
    valid: np.ndarray
    # None where the test part was left alone.
    test: np.ndarray | None
    calibration: dict[str, Any]
    report: dict[str, Any]
    # By task; a baseline has the main one alone.
    further: Mapping[str, TaskScores] = field(default_factory=dict)

    @classmethod
    def measured(
        cls,
        model: ClickModel | None,
        logits: tuple[np.ndarray, np.ndarray | None],
        split: Split,
        kind: str,
        report: dict[str, Any],
        tasks: Sequence[str] = (),
    ) -> Trained:
        """Calibrate on the validation part (`logits`, of the main task or `[n, tasks]`, are of it and of the test part)
        and measure; `tasks` are the further ones."""
        valid, test = (one[:, None] if one is not None and one.ndim == 1 else one for one in logits)
        if valid is None:
            raise ValueError("a model is calibrated on the validation part")
        calibration = calibrate(kind, valid[:, 0], split.valid.label)
        measured: dict[str, Any] = {"calibration": calibration}
        for place, found, part in (("valid", valid, split.valid), ("test", test, split.test)):
            if found is not None:
                measured[place] = finite(evaluate(part.user, part.label, apply(calibration, found[:, 0])))
        further = {}
        for column, task in enumerate(tasks, 1):
            known = split.valid.further[task] >= 0
            if not known.any():
                raise ValueError(
                    f"task `{task}`: no label is known in the validation part; set tasks.weights.{task} = 0"
                )
            entry = calibrate(kind, valid[known, column], split.valid.further[task][known])
            told: dict[str, Any] = {"calibration": entry}
            for place, found, part in (("valid", valid, split.valid), ("test", test, split.test)):
                if found is not None:
                    told[place] = task_metrics(part, task, apply(entry, found[:, column]))
            measured.setdefault("tasks", {})[task] = told
            further[task] = TaskScores(entry, None if test is None else test[:, column])
        return cls(model, valid[:, 0], None if test is None else test[:, 0], calibration, report | measured, further)

    def refitted(
        self,
        model: ClickModel,
        logits: tuple[np.ndarray, np.ndarray | None],
        split: Split,
        report: dict[str, Any],
    ) -> Trained:
        """What is served after a refit: `model`, with its `logits` (`[n, tasks]`) of the validation and the test part.

        The validation part, which it has read, gives the level of the calibration; slope and figures of that part are
        the first fit's."""
        valid, test = logits
        calibration = recentred(self.calibration, valid[:, 0], split.valid.label)
        told = dict(self.report) | report | {"calibration": calibration}
        if test is not None:
            told["test"] = finite(evaluate(split.test.user, split.test.label, apply(calibration, test[:, 0])))
        further, tasks = {}, dict(told.get("tasks", {}))
        for column, (task, one) in enumerate(self.further.items(), 1):
            known = split.valid.further[task] >= 0
            entry = recentred(one.calibration, valid[known, column], split.valid.further[task][known])
            tasks[task] = tasks[task] | {"calibration": entry}
            if test is not None:
                tasks[task] |= {"test": task_metrics(split.test, task, apply(entry, test[:, column]))}
            further[task] = TaskScores(entry, None if test is None else test[:, column])
        told |= {"tasks": tasks} if tasks else {}
        main = None if test is None else test[:, 0]
        return replace(self, model=model, test=main, calibration=calibration, report=told, further=further)

    def calibrations(self) -> dict[str, Any]:
        """Of all tasks, as a manifest has them."""
        made = {MAIN_TASK: self.calibration} | {task: one.calibration for task, one in self.further.items()}
        level = self.report.get("list_level")
        return made if level is None else made | {LIST_TASK: list_calibration(level)}

    def network(self) -> ClickModel:
        """The model. Raises `TypeError` for a baseline, which is no network."""
        if self.model is None:
            raise TypeError("a baseline has no network")
        return self.model

    def probability(self) -> np.ndarray | None:
        """Calibrated click probabilities of the test part, f64 `[n]`."""
        return None if self.test is None else apply(self.calibration, self.test)


def list_calibration(level: float) -> dict[str, Any]:
    """Of the output of lists, from its `list_level`: the sigmoid of a small share's logarithm is about that share."""
    return {"method": "platt", "a": 1.0, "b": -level}


def task_metrics(part: Examples, task: str, probability: np.ndarray) -> dict[str, float | None]:
    """Metrics of a further task over the impressions whose label is known, and how many these are."""
    label = part.further[task]
    known = label >= 0
    return {"rows": int(known.sum())} | finite(evaluate(part.user[known], label[known], probability[known]))


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: null for what is not defined, such as the AUC of one class."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
