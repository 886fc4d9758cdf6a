"""The section on lists: what `lists` measured of a run."""

from __future__ import annotations

import html
from typing import Any

from plugrank_training.report.tables import number, table

METRICS = ("recall@20", "ndcg@20", "recall@100", "clicked@20")
TITLES = {"own": "Each with its own retrieval", "fixed": "One candidate set for all"}


def bounded(found: dict[str, float] | None, sign: str = "") -> str:
    """A value with its bounds; of a difference, a star where they exclude 0. A dash for what is not defined."""
    if found is None:
        return "-"
    star = " *" if sign and (found["low"] > 0 or found["high"] < 0) else ""
    return f"{found['value']:{sign}.4f} [{found['low']:{sign}.4f}, {found['high']:{sign}.4f}]{star}"


def lists_section(report: dict[str, Any]) -> str:
    """Tables of both ways of retrieval, differences of UniM, sources, and who was left out."""
    moment = "when the part begins" if report["moments"] == "cut" else "at moments of the user's own clicks"
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in report["left_out"].items())
    note = (
        f"{report['part']} part, lists {moment}: {report['requests']:,} of {report['users']:,} users "
        f"({report['users_without_past_clicks']:,} without a click before), {report['later_clicks']:,} later clicks, "
        f"{report['cold_later_clicks']:.1%} of them on the {report['cold_items']:,} of {report['items']:,} items that "
        f"nobody was shown before. Seeds {report['seeds']}; intervals: 95%, 1,000 draws of seeds and users, * excludes "
        f"0. Left out: {left_out}."
    )
    made = [f'<h2>Lists</h2><p class="note">{html.escape(note)}</p>']
    for kind, title in TITLES.items():
        rows = {name: kinds[kind] for name, kinds in report["rows"].items() if kind in kinds}
        if rows:
            made.append(f"<h3>{title}</h3>{quality(rows)}{gains(report, kind)}{sources(rows)}")
    return "".join(made)


def quality(rows: dict[str, dict[str, Any]]) -> str:
    """Metrics, coverage and cold items of every row."""
    head = ["lists", *METRICS, "coverage", "cold places", "cold hits", "calibration, cold", "warm"]
    lines = []
    for name, row in rows.items():
        shares = [f"{row[key]:.1%}" for key in ("coverage", "cold_places", "cold_hits")]
        ratios = [number(row[key], 2) for key in ("calibration_cold", "calibration_warm")]
        lines.append([name, *(bounded(row.get(metric)) for metric in METRICS), *shares, *ratios])
    return table(head, lines)


def gains(report: dict[str, Any], kind: str) -> str:
    """What UniM, or the served lists, have over each other row."""
    made = []
    for main in ("unified", "served"):
        over = {name: kinds[kind] for name, kinds in report.get(f"{main}_over", {}).items() if kind in kinds}
        if over:
            lines = [[name, *(bounded(found.get(metric), "+") for metric in METRICS)] for name, found in over.items()]
            past = {name: found["with_past"] for name, found in over.items() if "with_past" in found}
            lines += [
                [f"{name}, users with a click before", *(bounded(found.get(metric), "+") for metric in METRICS)]
                for name, found in past.items()
            ]
            made.append(table([f"{main} over", *METRICS], lines))
    return "".join(made)


def sources(rows: dict[str, dict[str, Any]]) -> str:
    """By source: later clicks it retrieved, its share of the first places and of the hits, calibration."""
    lines = []
    for name, row in rows.items():
        for source, told in row["sources"].items():
            share = f"{row['retrieved'][source]:.3f}" if "retrieved" in row else ""
            cells = [share, f"{told['places']:.1%}", f"{told['hits']:.1%}", number(told["calibration"], 2)]
            lines.append([f"{name}, {source}", *cells])
    return table(["by source", "later clicks retrieved", "of the first 20", "of hits", "calibration"], lines)
