"""The local Discord, as a person meets it: the real command, the real model, a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, TimeoutError, expect

from models.errors import ModelNotPulledError
from models.loading import embedded
from tests.bot.cli.browsing import CHROMIUM, PHONE, beside, browsing, send

FOOT = "How many eyes does my foot have?"
PATIENCE = 120_000  # milliseconds: a busy machine with two cores

pytestmark = [pytest.mark.browser, pytest.mark.real_model, pytest.mark.timeout(600)]


@contextlib.contextmanager
def demo(**options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running ``forwardpass demo`` that hears Ctrl+C, which a process started in the background of a shell does not."""
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "bot", "demo", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address that a running ``forwardpass demo`` prints."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    try:
        embedded.locate()
    except ModelNotPulledError:
        pytest.skip("needs `forwardpass model pull`")
    with demo(env={**os.environ, "COLUMNS": "200"}) as process:
        assert process.stdout is not None
        try:
            found = next(m[0] for line in process.stdout if (m := re.search(r"http://127\.0\.0\.1:\S+", line)))
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)


@pytest.fixture
def page(url: str) -> Iterator[Page]:
    with browsing(url, viewport={"width": 1400, "height": 1000}) as opened:
        yield opened


def ask(page: Page) -> Frame:
    """Ask, and open the thread under the answer, wide enough for its pictures."""
    page.set_viewport_size({"width": 2200, "height": 1600})
    page.wait_for_timeout(500)
    known = page.locator(".thread-summary").count()
    send(page, FOOT)
    expect(page.locator(".thread-summary")).to_have_count(known + 1, timeout=PATIENCE)
    thread = beside(page)
    expect(thread.get_by_text(re.compile(r"43rd token")).last).to_be_visible(timeout=PATIENCE)
    return thread


def test_a_visitor_asks_reads_the_answer_and_opens_the_thread(page: Page, tmp_path: Path) -> None:
    send(page, FOOT)
    expect(page.get_by_text("The answer is 2. Your foot has 2 eyes.").last).to_be_visible(timeout=PATIENCE)
    small_print = re.compile(r"14 tokens · .* tokens/s · mean token probability \d+")
    expect(page.get_by_text(small_print).last).to_be_visible(timeout=PATIENCE)

    expect(page.locator(".thread-summary")).to_have_count(1, timeout=PATIENCE)
    thread = beside(page)
    expect(thread.get_by_text(re.compile(r"43rd token")).last).to_be_visible(timeout=PATIENCE)
    thread.wait_for_function(
        "() => [...document.images].some(i => i.alt.startsWith('Heat map of 14 answer tokens') && i.naturalWidth > 1000)",
        timeout=PATIENCE,
    )
    expect(thread.get_by_role("button", name="Layers").last).to_be_attached(timeout=PATIENCE)
    page.mouse.move(5, 5)
    page.set_viewport_size({"width": 1400, "height": 1280})
    shot(page, tmp_path, "demo.png")
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1500)
    shot(page, tmp_path, "demo-phone.png")


def shot(page: Page, tmp_path: Path, name: str) -> None:
    page.wait_for_timeout(1500)  # pictures and fonts settle
    picture = Path(os.environ.get("FORWARDPASS_SCREENSHOTS", tmp_path)) / name
    page.screenshot(path=picture)
    assert picture.stat().st_size > 50_000


def press(page: Frame, label: str, words: str, patience: float = PATIENCE / 4) -> None:
    """Press a button of the inner voice until what it brings can be read."""
    for _ in range(5):
        page.wait_for_timeout(1000)
        page.get_by_role("button", name=label).last.click()
        with contextlib.suppress(AssertionError):
            expect(page.get_by_text(words).last).to_be_visible(timeout=patience)
            return
    raise AssertionError(f"{label} brought nothing")


def take_the_first_road(page: Frame) -> None:
    for _ in range(5):
        page.wait_for_timeout(1000)
        with contextlib.suppress(TimeoutError, AssertionError):
            page.get_by_role("combobox", name="Which word instead?").last.click(timeout=5_000)
            page.locator(".select-list:visible .select-option").first.click(timeout=5_000)
            expect(page.get_by_text("Not taken:").last).to_be_visible(timeout=PATIENCE / 4)
            return
    raise AssertionError("no road was taken")


def picture_of_the_message(page: Frame, words: str, tmp_path: Path, name: str) -> None:
    page.wait_for_timeout(1500)  # pictures and fonts settle
    shot = Path(os.environ.get("FORWARDPASS_SCREENSHOTS", tmp_path)) / name
    page.locator("article.channel-message").filter(has_text=words).last.screenshot(path=shot)
    assert shot.stat().st_size > 10_000


def test_a_visitor_asks_why_takes_the_other_road_and_thinks_again(page: Page, tmp_path: Path) -> None:
    thread = ask(page)
    press(thread, "Why?", "a random vector of the same size")
    drawn = "() => [...document.images].some(i => i.alt.startsWith('Bar chart') && i.naturalWidth > 500)"
    thread.wait_for_function(drawn, timeout=PATIENCE)
    picture_of_the_message(thread, "a random vector", tmp_path, "why.png")
    press(thread, "Road not taken", "What if I had said something else?")
    take_the_first_road(thread)
    picture_of_the_message(thread, "Not taken:", tmp_path, "road.png")
    press(thread, "Second thoughts", "I was asked again", PATIENCE)  # a second press would wait in line
    picture_of_the_message(thread, "I was asked again", tmp_path, "second-thoughts.png")


def test_a_visitor_votes_and_looks_into_the_layers(page: Page, tmp_path: Path) -> None:
    thread = ask(page)
    thumb = page.get_by_role("button", name=re.compile("👍")).last
    thumb.click()
    expect(thumb).to_contain_text("1")
    press(thread, "Layers", "Token 5 of 14")
    drawn = "() => [...document.images].some(i => i.alt.startsWith('Table') && i.naturalWidth > 500)"
    thread.wait_for_function(drawn, timeout=PATIENCE)
    picture_of_the_message(thread, "Token 5 of 14", tmp_path, "layers.png")
    press(thread, "Layer dump", "Choose what should be in it, and its format")


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with demo(stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "http://127.0.0.1:" in line:
                break
        first = [line.strip() for line in said if line.strip()][:2]
        assert first[0].startswith("A small Discord is served on this machine, with the real bot in it.")
        assert re.search(r"takes \d+ to \d+ seconds", first[1])
        assert re.search(r"after \d+ seconds", said[-1])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read()
