"""The page of recent requests."""

import urllib.request

import pytest
from looks import no_violations, no_wider_than_the_screen
from playwright.sync_api import expect

from conftest import MODES, Mode, Opened, Site, photograph


def ask(site: Site, body: bytes) -> None:
    request = urllib.request.Request(
        f"{site.url}/v1/rank", data=body, headers={"content-type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=30).close()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_admin_pages_are_accessible(opened: Opened, site: Site, mode: Mode) -> None:
    ask(site, b'{"user_id": "u1"}')
    page = opened.page(f"{site.admin}/debug/requests", mode)
    request = page.locator("details").last
    request.locator("summary").click()
    expect(request.get_by_role("rowheader", name="rank.scoring")).to_be_visible()
    photograph(page, f"admin-{mode}")
    no_violations(page)
    no_wider_than_the_screen(page)
