"""The page of the local Discord, with a scripted model: each point that simcord's own page lacks or would lose with an update."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.bot.cli.browsing import PHONE, beside, browsing, scripted, send

ROOT = Path(__file__).parents[3]
FOOT, ANSWER = "How many eyes does my foot have?", "The answer is 2. Your foot has 2 eyes."
PATIENCE = 30_000

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with scripted() as found:
        yield found


@pytest.fixture
def page(url: str) -> Iterator[Page]:
    with browsing(url) as opened:
        yield opened


def articles(page: Page) -> Any:
    return page.locator("article.channel-message")


def answered(page: Page, count: int) -> None:
    """Wait until that many answers have their thread."""
    expect(page.locator(".thread-summary")).to_have_count(count, timeout=PATIENCE)


def threads(page: Page) -> int:
    page.wait_for_timeout(500)
    return page.locator(".thread-summary").count()


def command(page: Page, question: str, *, private: bool = False) -> None:
    page.locator("#channel-composer-input").press_sequentially("/ask", delay=30)
    expect(page.locator("[role=option]").first).to_contain_text("/ask")
    page.keyboard.press("Enter")
    expect(page.locator(".command-option-input")).to_be_focused()
    page.keyboard.type(question)
    if private:
        page.locator(".command-ghost").click()
        page.get_by_role("option", name=re.compile("private")).click()
        page.keyboard.press("Enter")  # the first choice is True
        expect(page.locator(".command-option-input").last).to_have_value("True")
    page.keyboard.press("Enter")


def test_a_slash_command_thinks_once_and_answers_there(page: Page) -> None:
    before, known = articles(page).count(), threads(page)
    command(page, "Slowly?")
    expect(page.locator(".message-loading")).to_have_count(1, timeout=PATIENCE)
    answered(page, known + 1)
    expect(page.locator(".message-loading")).to_have_count(0)
    assert articles(page).count() == before + 1
    expect(articles(page).last).to_contain_text("you used /ask")
    expect(articles(page).last).to_contain_text("slow.")


def test_a_private_answer_is_shown(page: Page) -> None:
    command(page, FOOT, private=True)
    expect(articles(page).last).to_contain_text(ANSWER, timeout=PATIENCE)
    expect(articles(page).last).to_contain_text("Only you can see this")
    expect(page.locator(".message-loading")).to_have_count(0)


def test_what_is_sent_in_a_hurry_or_from_an_old_page_gets_through(page: Page) -> None:
    def outdate(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        route.continue_(post_data=json.dumps({**body, "published_revision": 1}))

    page.route("**/api/action", outdate)
    send(page, "Slowly?")
    expect(articles(page).last).to_contain_text("so so", timeout=PATIENCE)  # it changes while the others are sent
    for text in ("one", "two", "three"):
        page.locator("#channel-composer-input").fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#channel-composer-input")).to_have_value("", timeout=20_000)
    for text in ("one", "two", "three"):
        expect(page.locator(".message-content").get_by_text(text, exact=True)).to_have_count(1)
    expect(page.locator("#local-notice")).to_have_count(0)


def test_what_is_sent_while_the_page_is_busy_is_sent_afterwards(page: Page) -> None:
    held: list[Route] = []
    page.route("**/api/action", lambda route: route.continue_() if held else held.append(route))
    page.locator("#channel-composer-input").fill("first")
    with page.expect_request("**/api/action", timeout=PATIENCE):
        page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    page.locator("#channel-composer-input").fill("and second")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    held[0].continue_()
    expect(page.locator(".message-content").get_by_text("and second", exact=True)).to_have_count(1, timeout=PATIENCE)


def test_the_time_is_the_visitors(page: Page) -> None:
    send(page, "What time is it?")
    time = page.locator("time[datetime]").last
    age = datetime.now(UTC) - datetime.fromisoformat(time.get_attribute("datetime") or "")
    assert timedelta(seconds=-5) < age < timedelta(minutes=2)
    shown = page.locator("time.message-time").last
    when = datetime.fromisoformat(shown.get_attribute("datetime") or "")
    if page.evaluate("d => new Date(d).toDateString() === new Date().toDateString()", when.isoformat()):
        clock = page.evaluate("d => new Date(d).toLocaleTimeString('en-US', {timeStyle: 'short'})", when.isoformat())
        expect(shown).to_contain_text(f"Today at {clock}")


def test_it_is_ours_and_shows_no_tools(page: Page) -> None:
    assert page.title() == "#ask-me | Forward Pass"
    for tool in ("#toolbar", "#messages-sidebar", "#inspector-panel"):
        expect(page.locator(tool)).to_be_hidden()
    assert "simcord" not in page.inner_text("body").lower()
    known = threads(page)
    send(page, FOOT)
    answered(page, known + 1)
    expect(page.get_by_text("started a thread")).to_have_count(0)
    face = page.locator(".avatar-bot").last.evaluate("e => getComputedStyle(e).backgroundImage")
    assert "local-icon.svg" in face


def test_a_starter_question_is_asked_by_a_click(page: Page) -> None:
    known = threads(page)
    expect(page.locator(".local-starters button")).to_have_count(3)
    page.get_by_role("button", name=FOOT, exact=True).click()
    answered(page, known + 1)
    expect(articles(page).last).to_contain_text(ANSWER)


def test_a_thread_opens_beside_the_channel(page: Page) -> None:
    known = threads(page)
    send(page, FOOT)
    answered(page, known + 1)
    thread = beside(page)
    expect(thread.locator(".channel-message").get_by_text("Inner voice").first).to_be_visible(timeout=PATIENCE)
    expect(thread.locator(".channel-header")).to_contain_text(FOOT)
    expect(thread.locator("#local-rooms")).to_be_hidden()
    channel, frame = page.locator("#preview-stage").bounding_box(), page.locator("#local-thread").bounding_box()
    assert channel is not None
    assert frame is not None
    assert channel["x"] + channel["width"] <= frame["x"] + 1
    assert frame["x"] + frame["width"] <= 1281
    send(thread, f"@Forward Pass {FOOT}")
    expect(articles(thread).last).to_contain_text(ANSWER, timeout=PATIENCE)
    thread.get_by_role("button", name="Close thread").click()
    expect(page.locator("#local-thread")).to_have_count(0)
    page.locator(".local-room.local-thread").last.click()
    expect(page.locator("#local-thread iframe")).to_be_visible()


def test_private_messages_with_the_bot_can_be_read_and_written(page: Page) -> None:
    page.locator(".local-room.local-private").click()
    expect(page.locator("#local-beginning h2")).to_have_text("Private messages with Forward Pass")
    assert page.title() == "Forward Pass"
    send(page, FOOT)
    expect(articles(page).last).to_contain_text(ANSWER, timeout=PATIENCE)
    page.locator(".local-room.local-channel").click()
    expect(page.locator("#local-beginning h2")).to_have_text("Welcome to #ask-me!")


def test_the_menu_of_a_message_has_the_bots_commands(page: Page) -> None:
    known = threads(page)
    send(page, FOOT)
    answered(page, known + 1)
    answer = articles(page).last
    answer.hover()
    answer.get_by_role("button", name="Apps").click()
    page.get_by_role("menuitem", name="Inner voice").click()
    expect(page.get_by_text("Only you can see this").last).to_be_visible(timeout=PATIENCE)
    expect(articles(page).last).to_contain_text("Inner voice", timeout=PATIENCE)
    articles(page).filter(has_text=ANSWER).last.click(button="right")
    expect(page.get_by_role("menuitem")).to_have_text(["Inner voice", "Layer dump"])
    page.keyboard.press("Escape")
    expect(page.get_by_role("menuitem")).to_have_count(0)
    articles(page).filter(has_text=ANSWER).last.click(button="right")
    page.get_by_role("menuitem", name="Layer dump").click()
    expect(page.get_by_text("Choose what should be in it").last).to_be_visible(timeout=PATIENCE)


def test_it_fits_a_phone(url: str) -> None:
    with browsing(url, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        known = threads(page)
        page.get_by_role("button", name=FOOT, exact=True).tap()
        answered(page, known + 1)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert page.evaluate("document.getElementById('channel-timeline').scrollWidth") <= PHONE["width"]
        expect(page.locator("#local-rooms")).not_to_be_in_viewport()
        page.locator(".local-draw").tap()
        expect(page.locator("#local-rooms")).to_be_in_viewport()
        page.locator(".local-room.local-thread").last.tap()
        expect(page.locator("#local-rooms")).not_to_be_in_viewport()
        frame = page.locator("#local-thread").bounding_box()
        assert frame is not None
        assert (frame["x"], frame["width"]) == (0, PHONE["width"])
        size = page.locator(".message-content").last.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 15


def test_it_speaks_chinese_where_the_bot_does() -> None:
    with scripted("zh-CN") as url, browsing(url, locale="zh-CN") as page:
        expect(page.locator("#local-beginning h2")).to_have_text("欢迎来到 #ask-me！")
        expect(page.locator("#channel-composer-input")).to_have_attribute("placeholder", "发消息到 #ask-me")


def test_every_word_is_there_in_both_languages() -> None:
    script = (ROOT / "bot" / "data" / "local" / "local.js").read_text(encoding="utf-8")
    tables = re.findall(r'"(?:en-US|zh-CN)": \{(.*?)\n    \}', script, re.S)
    english, chinese = (re.findall(r"^      (\w+): \"", table, re.M) for table in tables)
    assert english == chinese != []


def test_simcord_is_the_version_that_the_page_was_made_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pinned = f"=={version('simcord')}"
    assert project["demo"] == [f"simcord[preview]{pinned}"]
    assert f"simcord[preview]{pinned}" in project["test"]
    assert f"simcord{pinned}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
