"""Mermaid itself, in Chromium: says whether a diagram is one, and what somebody sees of it."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path

from tests.support.browsers import Tab
from tests.support.chromium import Chromium

_SCRIPT = ("mermaidx", "mermaidx/assets/mermaid.js")
"""The package, and the file in it, that is Mermaid's own `mermaid.min.js` as released."""
_PAGE = """<!doctype html><meta charset="utf-8"><title>Mermaid</title>
<script src="{script}"></script><script>mermaid.initialize({{startOnLoad: false}})</script>
"""
_PARSE = "mermaid.parse(%s).then(() => '', (error) => String(error.message || error))"
_RENDER = """(async () => {
  const { svg } = await mermaid.render("drawn", %s);
  const drawn = new DOMParser().parseFromString(svg, "text/html").querySelector("svg");
  return [...drawn.querySelectorAll("text")].map((each) => each.textContent.trim());
})()"""


class Mermaid:
    """Mermaid as a page has it that changes no setting of its. Use as a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._chromium = Chromium(directory)
        self._tab: Tab | None = None

    async def refusal(self, diagram: str) -> str:
        """Why it is no diagram; empty: it is one."""
        return str(await self._page.evaluate(_PARSE % json.dumps(diagram)))

    async def drawn(self, diagram: str) -> list[str]:
        """Every text of the picture, in the order in which it was drawn."""
        found = await self._page.evaluate(_RENDER % json.dumps(diagram))
        return [str(text) for text in found if text]

    def _page_file(self) -> Path:
        package, path = _SCRIPT
        script = Path(str(distribution(package).locate_file(path))).resolve(strict=True)
        page = self._directory / "mermaid.html"
        page.write_text(_PAGE.format(script=script.as_uri()))
        return page

    @property
    def _page(self) -> Tab:
        assert self._tab is not None, "use it as a context manager"
        return self._tab

    async def __aenter__(self) -> Mermaid:
        await self._chromium.start()
        self._tab = await self._chromium.tab()
        await self._tab.open(self._page_file().as_uri())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._chromium.stop()
