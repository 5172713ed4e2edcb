"""Debian's Chromium, driven by playwright: what it reports of a page, and nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
)
PATIENCE: Final = 60_000.0  # milliseconds; generous, since nothing waits for it when all is well


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS), timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page, and what went wrong on it."""

    def __init__(self, browser: Browser, url: str, *, dark: bool = False, width: int = 1100, height: int = 900) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-US"
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.asked: set[str] = set()
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on(
            "console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("request", self._asks)
        self.page.on("dialog", self._opens)
        self.page.goto(url, timeout=PATIENCE)

    def text(self, selector: str) -> str:
        """What stands there."""
        return self.page.locator(selector).inner_text()

    def wait_for(self, selector: str, text: str) -> None:
        """Until ``text`` stands there."""
        self.page.locator(selector).filter(has_text=text).first.wait_for()

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        self.page.screenshot(path=str(path), full_page=True)

    def close(self) -> None:
        """Leave."""
        self.context.close()

    def _says(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.faults.append(said.text)

    def _opens(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asks(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.add(request.url)
