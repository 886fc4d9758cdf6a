"""What the site changes of the pages: links out of `docs/` become text, folders of pages come into the navigation."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
# Folders whose pages are listed by their first lines.
FOLDERS = {"Runbooks": "runbooks", "Decisions": "decisions"}
# The script that draws diagrams, where the environment names one; the theme takes it instead of fetching one.
MERMAID = os.environ.get("MERMAID")
MERMAID_IN_SITE = "assets/javascripts/mermaid.min.js"


def on_config(config: Any) -> Any:
    """Add what lies in `FOLDERS`, and the script for diagrams."""
    if MERMAID:
        config["extra_javascript"].append(MERMAID_IN_SITE)
    docs = Path(config["docs_dir"])
    for title, folder in FOLDERS.items():
        pages = sorted((docs / folder).glob("*.md"))
        if pages:
            config["nav"].append({title: [{heading(page): f"{folder}/{page.name}"} for page in pages]})
    return config


def heading(page: Path) -> str:
    """The first heading of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), page.stem)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link to a file that is not part of the site becomes its text."""
    here = posixpath.dirname(page.file.src_uri)

    def replaced(match: re.Match[str]) -> str:
        text, target = match.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return match.group()
        path = posixpath.normpath(posixpath.join(here, target.partition("#")[0]))
        inside = not path.startswith("..") and (path.endswith((".md", ".svg", ".png")))
        return match.group() if inside else text

    return LINK.sub(replaced, markdown)


def on_post_build(config: Any) -> None:
    """Bring the script for diagrams along."""
    if MERMAID:
        shutil.copy(MERMAID, Path(config["site_dir"]) / MERMAID_IN_SITE)
