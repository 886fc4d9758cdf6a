"""The report: one self-contained page, with the numbers it was made of."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from days import Days
from plugrank_training.cli import main
from plugrank_training.report.equal_terms import ablation, cost, interval, over_others
from plugrank_training.report.page import page, quality, slices
from plugrank_training.report.tables import table


class Tags(HTMLParser):
    """Open tags, and whether all were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br", "path", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_a_run_is_reported_on_a_page(days: Days, tmp_path: Path) -> None:
    run = days.first.parent
    arguments = ["report", str(run), "--out", str(tmp_path), "--dataset", str(days.old), "--seconds", "0.2"]
    assert main([*arguments, "--measure", "miss,end-to-end,serving", "--device", "cpu"]) == 0
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    measured = found["measured"]["first"]
    told = json.loads((run / "report.json").read_text(encoding="utf-8"))
    # With every vector there, the curve begins at what the run was scored at (which calibration does not change).
    assert abs(measured["miss_tolerance"]["unified"][0] - told["unified"]["test"]["auc"]) < 1e-6
    assert abs(measured["miss_tolerance"]["idrec"] - told["idrec"]["test"]["auc"]) < 1e-6
    assert measured["miss_tolerance"]["unified"][-1] < measured["miss_tolerance"]["unified"][0]
    costs = measured["iteration"]
    assert all(cost["rows"] > 0 and cost["seconds_per_million"] > 0 for cost in costs.values())
    assert costs["idrec"]["times_idrec"] == 1.0
    times = {name: cost["cpu_times_idrec"] for name, cost in costs.items()}
    assert times["unified, end to end"] > times["unified, cached vectors"] > 1.0
    assert told["unified"]["fit"]["cpu_seconds_per_million_rows"] > told["idrec"]["fit"]["cpu_seconds_per_million_rows"]
    graphs = measured["serving"]["graphs"]
    assert graphs["unified, nothing cached"]["ms"] > graphs["unified, cached"]["ms"]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    assert all(link.startswith("#") for link in parser.links)
    assert parser.seen.count("svg") == 2
    assert not re.search(r"\bnan\b", text)
    assert text.index("<h2>Quality, on equal terms") < text.index("<h2>What unified has over each")
    assert text.index("<h2>What unified has over each") < text.index("<h2>What each part adds")
    assert text.index("<h2>What each part adds") < text.index("<h2>Cost of training") < text.index("<h2>Cold start")
    for name in ("Quality", "Cold start", "Miss tolerance", "Iteration efficiency", "Serving cost"):
        assert f"<h2>{name}" in text
    # No reading of the test part was added.
    assert len(json.loads((run / "test_reads.json").read_text(encoding="utf-8"))) == 2


def test_a_run_without_a_bundle_is_measured_too(days: Days, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the configuration in its report: here with drawn items, sparse tables and a layer that is frozen by name."""
    run = tmp_path / "run"
    shutil.copytree(days.first.parent, run, ignore=shutil.ignore_patterns("bundle*"))
    told = json.loads((run / "report.json").read_text(encoding="utf-8"))
    told["config"]["lists"] |= {"share": 0.5, "output": "own"}
    told["config"]["unified"] |= {"sparse_embeddings": True, "ranking": 0.3, "freeze": ["ppm.projection"]}
    (run / "report.json").write_text(json.dumps(told), encoding="utf-8")
    arguments = ["report", str(run), "--out", str(tmp_path), "--dataset", str(days.old), "--seconds", "0.2"]
    assert main([*arguments, "--measure", "iteration", "--device", "cpu"]) == 0
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    costs = found["measured"]["run"]["iteration"]
    assert set(costs) == {
        "idrec",
        "unified, cached vectors",
        "unified, lower layers frozen and cached",
        "unified, PPM frozen and cached",
        "unified, frozen as configured",
    }
    assert all(cost["seconds_per_million"] > 0 for cost in costs.values())
    assert main([*arguments, "--measure", "serving", "--device", "cpu"]) == 1
    assert "leave `serving` out of --measure" in capsys.readouterr().err


def test_miss_tolerance_is_over_seeds(days: Days, tmp_path: Path) -> None:
    from plugrank_training.data.loaded import Loaded
    from plugrank_training.fit.increment import Past
    from plugrank_training.fit.run import open_run
    from plugrank_training.options import Options
    from plugrank_training.report.curves import miss_tolerance

    # The first seed is on the disk; the second goes into a copy.
    shutil.copytree(days.first.parent, tmp_path / "run")
    loaded = Loaded.read(days.old, tmp_path / "run" / "stages")
    options = Options(days.old, tmp_path / "run", "global", "plugrank", None, 0, torch.device("cpu"))
    run = open_run(options, Past.read(days.first).config, loaded)
    both = miss_tolerance(run, loaded, (0, 1))
    alone = [miss_tolerance(run, loaded, (seed,)) for seed in (0, 1)]
    for name in ("unified", "idrec"):
        each = np.array([one[name] for one in alone])
        assert np.allclose(both[name], each.mean(0))
        assert np.allclose(both[f"{name}_deviation"], each.std(0, ddof=1))
        assert np.any(each[0] != each[1])
    none, every = both["over_idrec"][0], both["over_idrec"][-1]
    assert none["low"] < none["difference"] < none["high"]
    assert every["difference"] < none["difference"]


def test_miss_tolerance_has_the_host_that_reads_vectors(days: Days, tmp_path: Path) -> None:
    from plugrank_training.config import SimilarityConfig
    from plugrank_training.data.loaded import Loaded
    from plugrank_training.fit.increment import Past
    from plugrank_training.fit.run import open_run
    from plugrank_training.options import Options
    from plugrank_training.report.curves import miss_tolerance

    shutil.copytree(days.first.parent, tmp_path / "run")
    loaded = Loaded.read(days.old, tmp_path / "run" / "stages")
    config = replace(Past.read(days.first).config, similarity=SimilarityConfig(4))
    models = ("idrec", "idrec-similarity", "unified")
    cpu, run = torch.device("cpu"), tmp_path / "run"
    options = Options(days.old, run, "global", "plugrank", None, 0, cpu, models=models, again=True)
    found = miss_tolerance(open_run(options, config, loaded), loaded, (0,))
    assert len(set(found["idrec-similarity"])) == len(found["share"])
    over, whole = found["over_idrec-similarity"], found["over_whole_idrec-similarity"]
    assert over[0] == whole[0]
    assert over[-1] != whole[-1]
    gain = found["unified"][0] - found["idrec-similarity"][0]
    assert over[0]["low"] < gain < over[0]["high"]


def test_a_longer_history_is_measured_on_validation(days: Days, tmp_path: Path) -> None:
    from plugrank_training.data.loaded import Loaded
    from plugrank_training.fit.increment import Past
    from plugrank_training.fit.run import open_run
    from plugrank_training.options import Options
    from plugrank_training.report.curves import longer_history

    loaded = Loaded.read(days.old, tmp_path)
    options = Options(days.old, tmp_path, "global", "plugrank", None, 0, torch.device("cpu"))
    found = longer_history(open_run(options, Past.read(days.first).config, loaded), loaded, (0.5, 1.0))
    assert (len(found["auc"]), found["unified_window"]) == (2, 0.5)
    assert not (tmp_path / "test_reads.json").exists()


def test_a_page_without_measurements(days: Days) -> None:
    run = json.loads((days.first.parent / "report.json").read_text(encoding="utf-8"))
    run["dataset"] = "<b>odd</b> & name"
    text = page({"runs": {"a": run}, "measured": {}})
    assert "&lt;b&gt;odd&lt;/b&gt; &amp; name" in text
    assert "Miss tolerance" not in text


def test_sections_have_intervals_costs_and_commands() -> None:
    """Rows, gains with intervals, what each part adds, what it cost, and the command of each."""
    gain = {"difference": 0.02, "low": 0.01, "high": 0.03}
    none = {"difference": 0.001, "low": -0.01, "high": 0.012}

    def row(auc: float, **against: dict[str, float]) -> dict[str, object]:
        metrics = dict.fromkeys(("auc", "gauc", "centred_auc", "log_loss"), auc)
        told = {"valid": metrics, "valid_deviation": dict.fromkeys(metrics, 0.0012)}
        told["valid_slices"] = {"past 1 to 19": {"rows": 60, "auc": auc, "gauc": auc - 0.1}}
        fit = {"seconds": 20.0 * auc, "rows": 1000, "seconds_per_million_rows": 20000.0 * auc}
        named = {name.replace("_", "-"): {"auc": one, "gauc": none} for name, one in against.items()}
        return told | {"fit": fit, "against": named}

    run = {
        "models": ["idrec", "idrec-similarity", "unified"],
        "idrec": row(0.5),
        "idrec-similarity": row(0.7, idrec=gain),
        "unified": row(0.75, idrec=gain, idrec_similarity=none) | {"refit": {"seconds": 17.0}},
        "seeds": [0, 1],
        "split": "global",
        "command": "python -m plugrank_training train --dataset 'a b'",
    }
    text = quality(run)
    assert "0.7500 ± 0.0012" in text
    assert "of the validation part" in text
    assert "draws of seeds and users together" in text
    over = over_others(run)
    assert "<td>idrec-similarity</td><td>+0.0010 [-0.0100, +0.0120]</td>" in over
    assert "<td>idrec</td><td>+0.0200 [+0.0100, +0.0300] *</td>" in over
    added = ablation(run)
    assert "PPM beyond similarity: unified over idrec-similarity" in added
    assert "semantic ids" not in added
    costs = cost(run)
    assert "<td>unified</td><td>1,000</td><td>15.0</td><td>17.0</td><td>15000.0</td><td>1.50</td>" in costs
    # By processor time, where that is all that was spent.
    fits = {
        name: run[name]["fit"] | {"cpu_seconds_per_million_rows": 10.0 * (i + 1)}
        for i, name in enumerate(run["models"])
    }
    fits = {name: {"fit": fit | {"cpu_seconds": 1.0}} for name, fit in fits.items()}
    on_cpu = cost(run | {"device": "cpu"} | {name: run[name] | fits[name] for name in run["models"]})
    assert "<td>unified</td><td>1,000</td><td>15.0</td><td>17.0</td><td>30.0</td><td>3.00</td>" in on_cpu
    assert "processor seconds per 1M rows" in on_cpu
    for section in (text, over, added, costs):
        assert "<code>python -m plugrank_training train --dataset &#x27;a b&#x27;</code>" in section
    assert "<td>past 1 to 19</td><td>60</td><td>0.4000</td>" in slices(run, "gauc", "GAUC")
    assert over_others({"models": ["idrec"], "idrec": row(0.5)}) == ""


def test_stars_mark_intervals_that_exclude_zero() -> None:
    assert interval({"difference": 0.02, "low": 0.01, "high": 0.03}).endswith("*")
    assert not interval({"difference": 0.02, "low": -0.01, "high": 0.03}).endswith("*")
    assert interval({"difference": 0.1, "low": None, "high": None}) == ""
    assert "<td>&lt;</td>" in table(["a"], [["<"]])


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "no report.json" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "o"), "--measure", "speed"]) == 1
    assert "no measurement `speed`" in capsys.readouterr().err


def test_excluded_users_are_reported() -> None:
    run = {"models": ["a"], "a": {"test": {"auc": 0.7}}, "seeds": [0], "split": "warm"}
    assert "Left out" not in quality(run)
    assert "Left out: 1,200 users with too few clicks; 9 clicks." in quality(
        run | {"left_out": {"users with too few clicks": 1200, "clicks": 9}}
    )
