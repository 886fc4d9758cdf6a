"""Each feature of the playground, as a person uses it."""

import re
import struct
import zlib
from pathlib import Path

import pytest
from looks import no_violations, no_wider_than_the_screen
from playwright.sync_api import Locator, Page, expect

from conftest import MODES, Mode, Opened, Site, photograph


def column(page: Page, place: int) -> Locator:
    return page.locator("article.side").nth(place)


def listed(side: Locator) -> list[str]:
    return [item.get_attribute("data-item") or "" for item in side.locator("ol.items > li").all()]


def test_shoppers_are_selected_by_taste(play: Page) -> None:
    shopper = play.get_by_role("combobox", name="Shopper")
    told = [option.inner_text() for option in shopper.locator("option").all()]
    assert len(told) >= 10
    assert all(re.fullmatch(r"[\w\-, /]+ \(u\d+, \d+ clicks\)", text) for text in told[:-2]), told
    ranking, past = column(play, 0).locator("ol.items"), play.locator("#past").inner_text()
    before = ranking.inner_text()
    shopper.select_option(index=1)
    expect(play.locator("#past")).not_to_have_text(past)
    # The ranking may come after the past.
    expect(ranking).not_to_have_text(before)
    expect(play.locator("ul.past img.pic").first).to_be_visible()
    shopper.select_option(label="somebody new, nothing clicked")
    expect(play.locator("#past")).to_contain_text("Nothing is known about this shopper")
    shopper.select_option(label="another id")
    play.get_by_label("User id").fill("u3")
    play.keyboard.press("Enter")
    expect(play.locator("ul.past li").first).to_be_visible()


def test_a_click_moves_the_ranking(play: Page) -> None:
    side = column(play, 0)
    first = side.locator("ol.items > li").first
    clicked, title = first.get_attribute("data-item"), first.locator(".title").inner_text()
    first.get_by_role("button", name=f"Click: {title}").click()
    expect(play.get_by_role("status").first).to_contain_text(f"Recorded a click on {title}")
    expect(play.get_by_role("status").first).to_contain_text(re.compile(r"\d+ moved, [1-9]\d* came in"))
    assert clicked not in listed(side)
    expect(side.locator(".move.new").first).to_be_visible()
    expect(side.locator(".move.up").first).to_be_visible()
    expect(play.locator("ul.past li").first).to_contain_text(title)


def test_two_rungs_are_shown_side_by_side(play: Page) -> None:
    expect(column(play, 0)).to_have_attribute("aria-label", "as served")
    expect(column(play, 0).locator(".chip").first).to_have_text("full")
    expect(column(play, 1).locator(".chip").first).to_have_text("idrec")
    assert listed(column(play, 0)) != listed(column(play, 1))
    play.get_by_label("Beside it").select_option(label="retrieval alone, nothing scored")
    expect(column(play, 1).locator(".chip").first).to_have_text("retrieval order")
    expect(column(play, 1)).to_contain_text("not scored")
    # What was asked for is no degradation.
    expect(play.locator("#note")).to_be_hidden()
    play.get_by_label("Beside it").select_option(label="nothing")
    expect(play.locator("article.side")).to_have_count(1)


def test_an_item_shows_its_explanation(play: Page) -> None:
    why = column(play, 0).get_by_role("button", name=re.compile("^Why:")).first
    why.focus()
    play.keyboard.press("Enter")
    expect(why).to_have_attribute("aria-expanded", "true")
    box = column(play, 0).locator(".why").first
    for text in ("Named by", "Place given", "Score", "Click chance with PPM", "without PPM"):
        expect(box).to_contain_text(text)
    chances = re.findall(r"([\d.]+)%", box.inner_text())
    assert len(chances) == 2
    assert chances[0] != chances[1]
    play.keyboard.press("Enter")
    expect(box).to_be_hidden()


def png(path: Path) -> Path:
    """A red picture of 8 by 8."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xd0\x20\x20" * 8) * 8
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def test_an_added_item_is_ranked(play: Page, tmp_path: Path) -> None:
    play.get_by_role("button", name="Add it").click()
    expect(play.get_by_role("alert")).to_contain_text("give it a name")
    item = play.get_by_role("form", name="A new item")
    item.get_by_label("Title").fill("Norvik boho lantern")
    item.get_by_label("Categories").fill("garden, lanterns")
    item.get_by_label("Text").fill("Our handwoven lantern brings rattan to the terrace.")
    item.get_by_label("Further features").fill("brand=Norvik, price_band=2")
    item.get_by_label("Picture").set_input_files(png(tmp_path / "lantern.png"))
    play.get_by_role("button", name="Add it").click()
    expect(play.locator("#entered")).to_contain_text(re.compile(r"entered at place \d+ of \d+"))
    play.get_by_role("button", name="Take it away again").click()
    expect(play.locator("#entered")).to_contain_text("is gone")


def test_filters_diversity_and_budget(play: Page) -> None:
    play.get_by_role("button", name="Add a filter").click()
    play.get_by_label("Column").fill("categories")
    value = play.get_by_role("textbox", name="Value", exact=True)
    value.fill("bags")
    value.press("Enter")
    rows = column(play, 0).locator("ol.items > li")
    expect(rows.first).to_contain_text("bags")
    expect(rows).to_have_count(10)
    for row in rows.all():
        expect(row).to_contain_text("bags")
    play.get_by_role("button", name="Remove").click()
    play.get_by_label("Diversity").select_option(label="none")
    play.get_by_role("button", name="Rank", exact=True).click()
    expect(rows.filter(has_not_text="bags").first).to_be_visible()
    plain = listed(column(play, 0))
    play.get_by_label("Diversity").select_option(label="much")
    play.wait_for_function(
        "before => JSON.stringify([...document.querySelectorAll('article.side')[0].querySelectorAll('ol.items > li')]"
        ".map(item => item.dataset.item)) !== JSON.stringify(before)",
        arg=plain,
    )
    play.get_by_label("Budget").fill("1")
    play.get_by_label("Budget").press("Enter")
    expect(play.get_by_role("alert")).to_be_visible()


def test_errors_name_the_field(play: Page) -> None:
    items = play.get_by_label("Items", exact=True)
    items.fill("0")
    items.press("Enter")
    expect(play.get_by_role("alert")).to_contain_text("Items: is 0; it must be 1 to 500")
    expect(items).to_have_attribute("aria-invalid", "true")
    expect(items).to_be_focused()
    play.route("**/v1/rank", lambda route: route.abort())
    items.fill("5")
    items.press("Enter")
    expect(play.get_by_role("alert")).to_contain_text("The server does not answer")


def test_dropped_candidates_are_listed(play: Page) -> None:
    left = play.get_by_role("region", name="Left out")
    left.locator("summary").click()
    expect(left.get_by_role("listitem").first).to_contain_text(re.compile(r"i\d+: seen"))


def test_time_and_rungs_are_shown(play: Page) -> None:
    lanes = column(play, 0).locator(".lane")
    for lane, stage in zip(lanes.all(), ("retrieval", "scoring", "reranking"), strict=True):
        expect(lane).to_contain_text(re.compile(rf"{stage}.*[\d.]+ ms of [\d.]+ ms, full", re.DOTALL))
    expect(column(play, 1).locator(".lane").nth(1)).to_contain_text("idrec")


def test_server_metrics_are_shown(play: Page) -> None:
    live = play.locator("#live")
    for name in ("Rankings a second", "p50", "p99", "Rows from memory", "Answers by rung"):
        expect(live).to_contain_text(name)
    expect(live).to_contain_text(re.compile(r"full \d+"))
    expect(live).to_contain_text(re.compile(r"p50\s*[\d.]+ ms"))


def results(hidden: str | None = None) -> dict[str, object]:
    """Results as the server tells them, of an experiment that ran for twelve days."""
    began, day = 1_790_000_000_000, 86_400_000

    def lifts(at: int) -> list[dict[str, object]]:
        wide = 0.2 / at**0.5
        clicks = {"low": 0.08 - wide, "high": 0.08 + wide}
        value = {"low": -0.1 - wide, "high": -0.1 + wide}
        return [
            {"metric": "click/exposure", "arm": "ppm", "lift": 0.08, "interval": clicks},
            {"metric": "value/unit", "arm": "ppm", "lift": -0.1, "interval": value},
        ]

    arms = [{"name": name, "units": 6000, "exposures": 30000.0, "outcomes": []} for name in ("idrec", "ppm")]
    return {
        "experiment": "ppm-first",
        "days": 12.0,
        "control": "idrec",
        "arms": arms,
        "hidden": hidden,
        "metrics": [] if hidden else [{"metric": name, "arm": "ppm"} for name in ("click/exposure", "value/unit")],
        "over_time": [{"at": began + at * day, "units": 1000 * at, "lifts": lifts(at)} for at in range(1, 13)],
    }


EXPERIMENTS = {"experiments": [{"name": "ppm-first", "shares": {"idrec": 0.5, "ppm": 0.5}}]}


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_experiments_show_lifts_with_intervals_over_time(opened: Opened, site: Site, mode: Mode) -> None:
    answers = {"**/v1/experiments": EXPERIMENTS, "**/v1/experiments/ppm-first/results": results()}
    page = opened.page(site.url, mode, answers)
    panel = page.get_by_role("region", name="Experiments")
    expect(panel).to_contain_text("12.0 days. idrec: 6000 units, 30000 lists")
    # 0.2 / sqrt(12) is 5.77%.
    expect(panel).to_contain_text("ppm +8.00% (+2.23% to +13.8%) against idrec: better")
    chart = panel.get_by_role(
        "img", name=re.compile(r"^Lift of ppm over idrec in click.exposure, from .*: now \+8.00%")
    )
    points = (chart.locator("polyline").get_attribute("points") or "").split()
    band = (chart.locator("polygon").get_attribute("points") or "").split()
    assert (len(points), len(band)) == (12, 24)
    top, bottom = (float(corner.split(",")[1]) for corner in (band[11], band[12]))
    line = float(points[11].split(",")[1])
    assert top < line < bottom, "the line is within the band"
    chart.scroll_into_view_if_needed()
    photograph(page, f"experiments-{mode}")
    no_violations(page)
    no_wider_than_the_screen(page)
    panel.get_by_label("Metric").select_option("value/unit")
    expect(panel).to_contain_text("against idrec: worse")
    expect(panel.get_by_label("Metric")).to_be_focused()


def test_an_experiment_with_a_sample_ratio_mismatch_shows_no_lift(opened: Opened, site: Site) -> None:
    off = results(hidden="the arms have [10, 90] units where [50, 50] were due")
    answers = {"**/v1/experiments": EXPERIMENTS, "**/v1/experiments/ppm-first/results": off}
    panel = opened.page(site.url, answers=answers).get_by_role("region", name="Experiments")
    expect(panel).to_contain_text("No lift is shown: the arms have [10, 90] units")
    expect(panel.get_by_role("img")).to_have_count(0)


def test_the_playground_works_by_keyboard_alone(play: Page) -> None:
    play.keyboard.press("Tab")
    expect(play.get_by_role("link", name="Skip to the ranking")).to_be_focused()
    play.keyboard.press("Enter")
    expect(play.locator("#answer")).to_be_focused()
    play.keyboard.press("/")
    expect(play.get_by_role("combobox", name="Shopper")).to_be_focused()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_playground_is_accessible(opened: Opened, site: Site, mode: Mode) -> None:
    page = opened.page(site.url, mode)
    page.locator("ol.items > li").first.wait_for()
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name=re.compile("^Why:")).first.click()
    expect(page.locator(".why").first).to_contain_text("without PPM")
    page.get_by_role("button", name=re.compile("^Click:")).first.click()
    expect(page.get_by_role("status").first).to_contain_text("Recorded")
    page.get_by_role("button", name=re.compile("^Why:")).first.click()
    expect(page.locator("#live")).to_contain_text("p99")
    photograph(page, f"playground-{mode}")
    no_violations(page)
    no_wider_than_the_screen(page)
    page.get_by_label("Items", exact=True).fill("many")
    page.get_by_label("Items", exact=True).press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    no_violations(page)
