"""A headless Chromium that turns a page into a JPEG picture and the text lines that can be seen on it."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screens.layouts import Page

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession
    from playwright.sync_api import Page as Tab

WIDTH_PX, SCALE, MOST_CSS_PX = 720, 2, 780
JPEG_QUALITY = 85
_SCRIPT = Path(__file__).with_name("lines.js")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--disable-font-subpixel-positioning",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
"""One look whatever the desktop: no subpixel colours, no hinting of the system's, no colour profile. With
subpixel positions of glyphs, 26 of 60 pictures depended on what the tab had shown before (Chromium 150)."""
_CJK = "集市换货龘"


class BrowserFault(Exception):
    """The browser or a font is missing; the message says what to do."""


@dataclass(frozen=True)
class Shot:
    """A picture and its text. Boxes are `[x1, y1, x2, y2]` in pixels of the picture."""

    jpeg: bytes
    lines: list[dict[str, Any]]


def browser_path(given: str | None = None) -> str:
    """The browser that is to draw: as given, as CHROMIUM names it, or the first that is installed."""
    named = given or os.environ.get("CHROMIUM")
    for name in [named] if named else ["chromium", "chromium-browser", "google-chrome"]:
        if path := shutil.which(name):
            return path
    raise BrowserFault(
        f"there is no browser {named or 'chromium'}: install Chromium, or name one (--browser, CHROMIUM)"
    )


class Camera:
    """Takes pictures of pages, one after another, in one tab."""

    def __init__(self, tab: Tab, session: CDPSession) -> None:
        self._tab, self._session = tab, session
        self._script = _SCRIPT.read_text("utf-8")

    def take(self, page: Page, quality: int = JPEG_QUALITY) -> Shot:
        self._show(page.body)
        lines = self._tab.evaluate(self._script, [WIDTH_PX / SCALE, page.height, SCALE])
        clip = {"x": 0, "y": 0, "width": WIDTH_PX / SCALE, "height": page.height, "scale": SCALE}
        shot = self._session.send(
            "Page.captureScreenshot",
            {"format": "jpeg", "quality": quality, "clip": clip, "optimizeForSpeed": True},
        )
        return Shot(base64.b64decode(shot["data"]), lines)

    def _show(self, body: str) -> None:
        self._tab.set_content(f"<!doctype html>{body}", wait_until="load")

    def need_fonts(self, fonts: Sequence[str]) -> None:
        """Raises BrowserFault for a font that is not installed or has no Chinese characters."""
        for font in fonts:
            self._show(f'<p id="p" style="font-family:\'{font}\'">{_CJK}</p>')
            self._session.send("DOM.enable")
            self._session.send("CSS.enable")
            root = self._session.send("DOM.getDocument")["root"]["nodeId"]
            node = self._session.send("DOM.querySelector", {"nodeId": root, "selector": "#p"})["nodeId"]
            used = self._session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
            names = {part["familyName"] for part in used}
            if names != {font}:
                raise BrowserFault(
                    f"the font `{font}` is missing or not Chinese: the browser draws `{_CJK}` with "
                    f"{', '.join(sorted(names)) or 'nothing'}. "
                    "Install it (Debian: fonts-wqy-microhei, fonts-noto-cjk), or name another with --font."
                )


@contextmanager
def camera(browser: str, fonts: Sequence[str]) -> Iterator[Camera]:
    """A camera with the fonts at hand. Raises BrowserFault when the browser or a font is missing."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise BrowserFault(
            "playwright is missing: pip install playwright (its own browsers are not needed)"
        ) from None
    with sync_playwright() as playwright:
        try:
            process = playwright.chromium.launch(executable_path=browser, args=list(_FLAGS))
        except Error as error:
            raise BrowserFault(f"{browser} does not start: {error.message.splitlines()[0]}") from None
        size = {"width": WIDTH_PX // SCALE, "height": MOST_CSS_PX}
        tab = process.new_page(viewport=size, device_scale_factor=SCALE)  # type: ignore[arg-type]
        taking = Camera(tab, tab.context.new_cdp_session(tab))
        try:
            taking.need_fonts(fonts)
            yield taking
        finally:
            process.close()
