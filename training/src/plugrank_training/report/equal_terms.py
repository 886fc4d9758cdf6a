"""The first sections of the page: every row on the same impressions, what UniM has over each, what each part adds and
what it costs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from plugrank_training.report.tables import number, table

METRICS = (("auc", "AUC"), ("gauc", "GAUC"), ("centred_auc", "centred AUC"), ("log_loss", "log loss"))
MAIN = "unified"
# What a part adds: the row with it, the row without it, and what the part is.
PARTS = (
    ("idrec-similarity", "idrec", "similarity of content to the history, no PPM"),
    ("idrec-vectors", "idrec", "frozen modal vectors as a feature"),
    ("idrec-semantic", "idrec", "semantic ids of the content"),
    ("idrec-sequence", "idrec", "a pre-trained sequence of ids"),
    ("unified", "idrec", "PPM, and similarity where it is configured"),
    ("unified", "idrec-similarity", "PPM beyond similarity"),
    ("unified-similarity", "idrec-similarity", "PPM, both with similarity"),
)


def interval(entry: dict[str, float | None] | None) -> str:
    """A difference with its bounds; a star where they exclude 0."""
    if not entry or entry["difference"] is None or entry["low"] is None or entry["high"] is None:
        return ""
    star = " *" if entry["low"] > 0 or entry["high"] < 0 else ""
    return f"{entry['difference']:+.4f} [{entry['low']:+.4f}, {entry['high']:+.4f}]{star}"


def measured_part(run: dict[str, Any]) -> str:
    """`test` where the run read the test part, else `valid`."""
    return "test" if any("test" in run[name] for name in run["models"]) else "valid"


def command_note(told: dict[str, Any]) -> str:
    """The command that a section's figures come from, where the report tells it."""
    return f'<p class="note">By <code>{html.escape(told["command"])}</code></p>' if told.get("command") else ""


def gains(run: dict[str, Any], rows: Sequence[tuple[str, str, str]], head: str) -> str:
    """A line for each (title, model, baseline) that the run compared; nothing where it compared none."""
    lines = []
    for title, name, baseline in rows:
        found = run.get(name, {}).get("against", {}).get(baseline)
        if found:
            lines.append([title, *(interval(found.get(key)) for key, _ in METRICS)])
    return table([head, *(title for _, title in METRICS)], lines) if lines else ""


def over_others(run: dict[str, Any]) -> str:
    """What UniM has over each row that it was compared with."""
    baselines = run.get(MAIN, {}).get("against", {})
    made = gains(run, [(name, MAIN, name) for name in baselines], f"{MAIN} over")
    return f"<h2>What {MAIN} has over each</h2>{made}{command_note(run)}" if made else ""


def ablation(run: dict[str, Any]) -> str:
    """What each part adds to the row without it."""
    made = gains(run, [(f"{what}: {name} over {base}", name, base) for name, base, what in PARTS], "what is added")
    return f"<h2>What each part adds</h2>{made}{command_note(run)}" if made else ""


def cost(run: dict[str, Any]) -> str:
    """Seconds that each network trained and each baseline took, as the run measured them."""
    # Other work on the machine hardly changes processor time; a GPU's work is not in it.
    told = [run[name].get("fit", {}) for name in run["models"]]
    by_processor = run.get("device") == "cpu" and all("cpu_seconds" in fit for fit in told if fit.get("rows"))
    compared = "cpu_seconds_per_million_rows" if by_processor else "seconds_per_million_rows"
    base = run.get("idrec", {}).get("fit", {}).get(compared)
    rows = []
    for name in run["models"]:
        fit = run[name].get("fit")
        if "baseline" in run[name]:
            rows.append([name, "-", number(run[name]["baseline"]["seconds"], 1), "-", "-", "-"])
        if not fit or not fit.get("rows"):
            continue
        again = run[name].get("refit", {}).get("seconds")
        cells = [f"{fit['rows']:,}", number(fit["seconds"], 1), number(again, 1), number(fit[compared], 1)]
        rows.append([name, *cells, number(fit[compared] / base, 2) if base else "-"])
    if not rows:
        return ""
    kind = "processor seconds" if by_processor else "seconds"
    head = ["model", "rows trained", "seconds", "seconds of the refit", f"{kind} per 1M rows", "times IDRec"]
    note = (
        "Of the first run's fits, evaluations on the validation part included and pre-training not. Seconds are wall "
        "time, on whatever else ran then."
    )
    return f'<h2>Cost of training</h2>{table(head, rows)}<p class="note">{note}</p>{command_note(run)}'
