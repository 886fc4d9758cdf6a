"""Lines for the person at the terminal."""

from __future__ import annotations

from typing import Any

from plugrank_training.distributed import is_main


def say(text: str) -> None:
    """A line, once however many processes there are."""
    if is_main():
        print(text, flush=True)


def reused_note(reused: bool) -> str:
    """Says that a stage was not run again."""
    return " (reused)" if reused else ""


def fit_note(report: dict[str, Any]) -> str:
    """Metrics of a fit, in one line."""
    summary = report["fit"]
    if not summary["rows"]:
        return "not trained on rows (0 epochs)"
    # A refit is not judged.
    judged = f"validation loss {min(summary['valid_loss']):.4f}, " if summary["valid_loss"] else ""
    return f"{judged}{summary['rows']:,} rows in {summary['seconds']:.0f} s"
