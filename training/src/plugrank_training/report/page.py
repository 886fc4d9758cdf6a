"""The report as one HTML page that needs nothing else: tables, and plots as SVG within it."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from plugrank_training.report.equal_terms import ablation, command_note, cost, interval, measured_part, over_others
from plugrank_training.report.lists import lists_section
from plugrank_training.report.tables import number, table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .7rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr:nth-child(even) { background: #f4f6f8 }
th { border-bottom: 2px solid #888 } .note { color: #555 } svg { max-width: 100%; height: auto }
"""
METRICS = (
    ("auc", "AUC"),
    ("gauc", "GAUC"),
    ("centred_auc", "centred AUC"),
    ("log_loss", "log loss"),
    ("normalised_entropy", "NE"),
    ("calibration_ratio", "calibration"),
    ("ece", "ECE"),
)


def quality(run: dict[str, Any]) -> str:
    """Metrics of all models, with deviations over seeds and paired intervals."""
    part = measured_part(run)
    names = [name for name in run["models"] if part in run[name]]
    rows = []
    for name in names:
        one = run[name]
        # A run of an earlier version may lack a metric.
        cells = [number(one[part].get(key)) + spread(one, part, key, len(run["seeds"])) for key, _ in METRICS]
        rows.append([name, *cells])
    head = ["model", *(title for _, title in METRICS)]
    reads = [f"{name}: {run[name]['test_reads']}" for name in names if run[name].get("test_reads", 1) > 1]
    said = f" The test part was read more than once: {', '.join(reads)}." if reads else ""
    who = "items" if run["split"] == "items" else "users"
    kept = "" if part == "test" else " The test part was left alone: these are of the validation part."
    note = (
        f"The same impressions, histories and features for every row. Seeds {run['seeds']}, ± deviation over them; "
        f"intervals: 95%, 1,000 draws of seeds and {who} together, * excludes 0.{said}{kept}"
    )
    if run.get("left_out"):
        note += " Left out: " + "; ".join(f"{count:,} {reason}" for reason, count in run["left_out"].items()) + "."
    return table(head, rows) + f'<p class="note">{html.escape(note)}</p>{command_note(run)}'


def spread(one: dict[str, Any], part: str, key: str, seeds: int) -> str:
    """Deviation over seeds."""
    value = one.get(f"{part}_deviation", {}).get(key)
    return f" ± {value:.4f}" if seeds > 1 and value is not None else ""


def tasks(run: dict[str, Any]) -> list[str]:
    """Metrics of the tasks beside `click`, a row a model and task; nothing where there is none."""
    rows = []
    for name in run["models"]:
        for task, told in run[name].get("tasks", {}).items():
            found = told.get("test", told["valid"])
            rows.append([f"{name}, {task}", f"{found['rows']:,}", *(number(found.get(key)) for key, _ in METRICS)])
    head = ["model and task", "known labels", *(title for _, title in METRICS)]
    return ["<h2>Further tasks</h2>", table(head, rows)] if rows else []


def slices_key(run: dict[str, Any]) -> str:
    """Where a model's slices of the measured part stand."""
    return "slices" if measured_part(run) == "test" else "valid_slices"


def slices(run: dict[str, Any], metric: str, title: str) -> str:
    """A metric of every model on every slice."""
    key = slices_key(run)
    names = [name for name in run["models"] if key in run[name]]
    parts = list(dict.fromkeys(part for name in names for part in run[name][key]))
    rows = []
    for part in parts:
        found = [run[name][key].get(part) for name in names]
        count = next((one["rows"] for one in found if one), 0)
        rows.append([part, f"{count:,}", *(number(one[metric]) if one else "-" for one in found)])
    return table([title, "impressions", *names], rows)


def figure(lines: dict[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str) -> str:
    """Lines as SVG; one that is a single number is drawn across."""
    # Text as text, and ids that do not change from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plugrank"}):
        drawn = Figure(figsize=(6.5, 3.6))
        axes = drawn.add_subplot()
        for name, (xs, ys) in lines.items():
            if len(ys) == 1:
                axes.axhline(ys[0], linestyle="--", color="grey", label=name)
            else:
                axes.plot(xs, ys, marker="o", label=name)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        drawn.tight_layout()
        out = io.StringIO()
        drawn.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def bars(run: dict[str, Any]) -> str:
    """AUC of the measured part, all and cold items, as SVG."""
    measured = measured_part(run)
    names = [name for name in run["models"] if measured in run[name]]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plugrank"}):
        drawn = Figure(figsize=(8, 3.2 + 0.1 * len(names)))
        axes = drawn.add_subplot()
        for shift, part in ((-0.2, "all"), (0.2, "cold items")):
            values = [run[n][measured]["auc"] if part == "all" else cold(run, n) for n in names]
            kept = [(place, value) for place, value in enumerate(values) if value is not None]
            axes.barh([place + shift for place, _ in kept], [value - 0.5 for _, value in kept], 0.38, 0.5, label=part)
        axes.axvline(0.5, color="grey")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="AUC")
        axes.legend()
        drawn.tight_layout()
        out = io.StringIO()
        drawn.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def cold(run: dict[str, Any], name: str) -> float | None:
    """A model's AUC on cold items."""
    found: float | None = run[name].get(slices_key(run), {}).get("cold items", {}).get("auc")
    return found


def measured(found: dict[str, Any]) -> list[str]:
    """Sections of what was measured beside quality."""
    made = []
    if "miss_tolerance" in found:
        one = found["miss_tolerance"]
        lines = {"unified": (one["share"], one["unified"]), "idrec": ([], [one["idrec"]])}
        columns = ["unified", *(name for name in ("idrec-similarity",) if name in one)]
        compared = [name for name in one if name.startswith("over_")]
        lines |= {name: (one["share"], one[name]) for name in columns}
        plot = figure(lines, "share of items without vector and features", "test AUC")
        rows = [
            [
                f"{share:.0%}",
                *(f"{one[name][place]:.4f} ± {one[f'{name}_deviation'][place]:.4f}" for name in columns),
                *(interval(one[name][place]) for name in compared),
            ]
            for place, share in enumerate(one["share"])
        ]
        note = (
            f"Means and deviations over {len(one['seeds'])} seed(s), {one['draws']} draws of the missing items each; "
            f"IDRec {one['idrec']:.4f} ± {one['idrec_deviation']:.4f}. Intervals are paired, over {one['resampled']}."
        )
        titles = ["missing", *(f"{name}, test AUC" for name in columns), *(name.replace("_", " ") for name in compared)]
        told = table(titles, rows)
        made.append(f'<h2>Miss tolerance</h2>{plot}{told}<p class="note">{note}</p>')
    if "longer_history" in found:
        one = found["longer_history"]
        note = f"Validation; unified training reads the newest {one['unified_window']:.0%} throughout."
        plot = figure({"unified": (one["window"], one["auc"])}, "share of the past that pre-training reads", "AUC")
        made.append(f'<h2>Longer history</h2>{plot}<p class="note">{note}</p>')
    if "iteration" in found:
        costs = found["iteration"]
        rows = [
            [
                name,
                f"{c['seconds_per_million']:.1f}",
                f"{c['times_idrec']:.2f}",
                number(c.get("cpu_times_idrec"), 2),
                number(c["peak_megabytes"], 0),
            ]
            for name, c in costs.items()
        ]
        head = ["training", "seconds per 1M examples", "times IDRec", "by processor time", "peak memory, MB"]
        note = "Medians over batches; all take turns on the same batches in one process, by its losses and optimizers."
        made.append(f'<h2>Iteration efficiency</h2>{table(head, rows)}<p class="note">{note}</p>')
    if "serving" in found:
        one = found["serving"]
        rows = [[name, number(g["ms"], 3), f"{g['rows_per_second']:,.0f}"] for name, g in one["graphs"].items()]
        note = (
            f"{one['candidates']} candidates, history of {one['history']}, ONNX Runtime, {one['threads']} CPU thread."
        )
        made.append(f'<h2>Serving cost</h2>{table(["model", "ms", "rows/s"], rows)}<p class="note">{note}</p>')
    return made


def page(content: dict[str, Any]) -> str:
    """The whole page of `{"runs": {name: report.json}, "measured": {name: measurements}}`, and where there are any
    `"lists": {name: [lists.json]}`."""
    parts = []
    for name, run in content["runs"].items():
        title = html.escape(f"{name}: {run['dataset']}, split {run['split']}")
        rows = ", ".join(f"{count:,} {part}" for part, count in run["rows"].items())
        parts.append(f'<h1>{title}</h1><p class="note">Impressions: {rows}. Device: {html.escape(run["device"])}.</p>')
        parts += ["<h2>Quality, on equal terms</h2>", quality(run), over_others(run)]
        parts += [lists_section(one) + command_note(one) for one in content.get("lists", {}).get(name, [])]
        parts += [
            ablation(run),
            cost(run),
            bars(run),
            *tasks(run),
            "<h2>Cold start and other slices</h2>",
            slices(run, "auc", "AUC"),
            slices(run, "gauc", "GAUC"),
            command_note(run),
        ]
        parts += measured(content["measured"].get(name, {}))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Training report</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
