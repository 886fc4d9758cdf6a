"""What every page must be."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def no_violations(page: Page) -> None:
    """By all rules of axe: WCAG and what it calls best practice."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def no_wider_than_the_screen(page: Page) -> None:
    """A page that moves sideways is no page for a phone."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} pixels too wide"
