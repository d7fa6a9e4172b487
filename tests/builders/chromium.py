"""Pages in headless Chromium."""

import shutil
from collections.abc import Iterator
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def open_browser(sync_api: Any) -> Iterator[Any]:
    """Yield a browser that is closed afterwards."""
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=120_000)
        yield opened
        opened.close()


def watch(page: Any, seen: dict[str, list[str]]) -> None:
    """Collect every error and warning a page reports and every address it asks for."""
    page.on("pageerror", lambda error: seen["errors"].append(str(error)))
    page.on("console", lambda message: seen["errors"].append(message.text) if message.type != "log" else None)
    page.on("request", lambda request: seen["requests"].append(request.url))
