"""A browser on the local Discord."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\S+")
PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def scripted(*arguments: str) -> Iterator[str]:
    """The address of a local Discord with a scripted model, in a process of its own."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    command = [sys.executable, "-m", "tests.bot.cli.scripted_discord", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(found[0] for line in process.stdout if (found := ADDRESS.search(line)))
        finally:
            process.kill()


@contextlib.contextmanager
def browsing(url: str, **options: Any) -> Iterator[Page]:
    """An open page, which must say no error in the browser's console."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Berlin", **options})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(url)
        expect(page.locator("#channel-composer")).to_be_visible(timeout=30_000)
        yield page
        browser.close()
        assert errors == []


def send(page: Page | Frame, text: str) -> None:
    """Type and press Enter, once: the page sees to the rest."""
    composer = page.locator("#channel-composer-input")
    composer.fill(text)
    composer.press("Enter")
    expect(composer).to_have_value("", timeout=20_000)


def beside(page: Page) -> Frame:
    """Open the latest thread; the frame that it stands in."""
    page.locator(".thread-summary").last.click()
    expect(page.locator("#local-thread iframe")).to_be_visible()
    page.wait_for_timeout(500)
    frame = page.frame(url=re.compile("beside="))
    assert frame is not None
    return frame
