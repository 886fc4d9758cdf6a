"""The tables of lists as text."""

from __future__ import annotations

from typing import Any

from plugrank_training.evaluate.lists.metrics import LONG, SHORT
from plugrank_training.evaluate.lists.shown import CLICKED

METRICS = (f"recall@{SHORT}", f"ndcg@{SHORT}", f"recall@{LONG}", CLICKED)


def list_table(report: dict[str, Any], kind: str) -> str:
    """One line a row, in Markdown, for one way of retrieval; then differences from each other row."""
    head = ["row", *METRICS, "coverage", "cold places", "cold hits", "calibration cold / warm"]
    lines = [head, ["---"] * len(head)]
    for name, kinds in report["rows"].items():
        if kind not in kinds:
            continue
        row = kinds[kind]
        cells = [name]
        for metric in METRICS:
            cells.append(bounded(row[metric]))
        cells += [f"{row[key]:.1%}" for key in ("coverage", "cold_places", "cold_hits")]
        cells.append(" / ".join(number(row[key]) for key in ("calibration_cold", "calibration_warm")))
        lines.append(cells)
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    for title in ("unified", "served"):
        over = {name: kinds for name, kinds in report.get(f"{title}_over", {}).items() if kind in kinds}
        if not over:
            continue
        lines = [[f"{title} over", *METRICS], ["---"] * (1 + len(METRICS))]
        for name, kinds in over.items():
            lines.append([name, *(gain(kinds[kind][metric]) for metric in METRICS)])
        for name, kinds in over.items():
            if "with_past" in kinds[kind]:
                found = kinds[kind]["with_past"]
                lines.append([f"{name}, users with a click before", *(gain(found[metric]) for metric in METRICS)])
        text += "\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return text


def row_table(report: dict[str, Any]) -> str:
    """How each model tells clicks from refusals on the validation part, mean and deviation over seeds, in Markdown."""
    found: dict[str, dict[str, dict[str, float]]] = report["valid"]
    metrics = list(dict.fromkeys(metric for row in found.values() for metric in row))
    lines = [["validation impressions", *metrics], ["---"] * (1 + len(metrics))]
    for name, row in found.items():
        cells = [f"{row[key]['value']:.4f} ± {row[key]['deviation']:.4f}" if key in row else "" for key in metrics]
        lines.append([name, *cells])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def source_table(report: dict[str, Any], kind: str) -> str:
    """By row and source: share of the first places, of the hits, calibration; and later clicks among candidates."""
    head = ["row", "source", "later clicks retrieved", f"of the first {SHORT}", "of hits", "calibration"]
    lines = [head, ["---"] * len(head)]
    for name, kinds in report["rows"].items():
        row = kinds.get(kind, {"sources": {}})
        for source, told in row["sources"].items():
            share = f"{row['retrieved'][source]:.3f}" if "retrieved" in row else ""
            lines.append(
                [name, source, share, f"{told['places']:.1%}", f"{told['hits']:.1%}", number(told["calibration"])]
            )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float | None) -> str:
    """Two digits; the empty string for None."""
    return "" if value is None else f"{value:.2f}"


def bounded(found: dict[str, float] | None, sign: str = "") -> str:
    """A value with its interval; the empty string where it is not defined."""
    return "" if found is None else f"{found['value']:{sign}.4f} [{found['low']:{sign}.4f}, {found['high']:{sign}.4f}]"


def gain(found: dict[str, float] | None) -> str:
    """A difference with its interval."""
    return bounded(found, "+")
