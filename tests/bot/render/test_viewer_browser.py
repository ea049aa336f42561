"""The viewer as a person uses it, in headless Chromium: pointer, keys, words, lenses, themes; nothing asked of the network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bot.render.viewer import strings, viewer_html
from models import readings
from models.running.engine import TorchEngine
from models.trace import Trace
from models.types import Job
from tests.bot.render.viewer_traces import HOSTILE, hostile_trace, large_trace, whole_trace
from tests.bot.strategies import make_trace

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
SAY = strings("en-US")
FOOT = "How many eyes does my foot have?"

Open = Callable[..., Page]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page of traces; afterwards nothing was complained of, and nothing was asked for but the file itself."""
    troubles: list[str] = []
    requests: list[str] = []
    pages: list[Page] = []

    def go(trace: Trace, *others: Trace, width: int = 1280, locale: str = "en-US", headlines: Any = None, **context: Any) -> Page:
        path = tmp_path / f"viewer-{len(pages)}.html"
        text = viewer_html(trace, others=others, created="2026-11-25", locale=locale, headlines=headlines)
        path.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, **context)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        pages.append(page)
        return page

    yield go
    assert not [page.evaluate("window.pwned") for page in pages if page.evaluate("window.pwned") is not None]
    for page in pages:
        page.close()
    assert troubles == []
    assert len(requests) == len(pages)


def test_the_headline_stands_under_the_answer_in_the_pages_language(opened: Open) -> None:
    page = opened(whole_trace(), headlines={"en-US": "Said <b>“2”</b>.", "zh-CN": "说了“2”。"})
    headline = page.locator("#headline")
    assert headline.inner_text() == "💭 Said <b>“2”</b>."
    page.click("#language")
    expect(headline).to_have_text("💭 说了“2”。")


def test_without_a_headline_there_is_no_gap(opened: Open) -> None:
    assert not opened(whole_trace()).locator("#headline").is_visible()


def middle_of(page: Page, trace: Trace, t: int, depth: int) -> tuple[float, float]:
    """Where a cell is on the screen."""
    page.locator("#map-body").scroll_into_view_if_needed()
    box = page.locator("#map-body").bounding_box()
    assert box is not None
    width, height = box["width"] / trace.length, box["height"] / (trace.depths + 1)
    return box["x"] + width * (t + 0.5), box["y"] + height * (trace.depths - depth + 0.5)


def comes_to(page: Page, condition: str) -> bool:
    """Whether it becomes true in the page, which may draw a moment later (its policy forbids ``wait_for_function``)."""
    for _ in range(100):
        if page.evaluate(condition):
            return True
        page.wait_for_timeout(100)
    return False


def percent(p: float) -> str:
    """As the page writes a probability from 1 % to 99.9 %."""
    return f"{100 * p:.1f}%"


def shown(trace: Trace, t: int, depth: int, rank: int = 0) -> str:
    return readings.token_text(trace, int(trace.top_ids[t, depth, rank])).strip()


def test_it_opens_at_the_pivotal_token(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    t = readings.pivotal(trace)
    assert t is not None
    expect(page.locator("#track-title")).to_contain_text(f"Token {t + 1}, ")
    expect(page.locator("#answer [aria-pressed=true]")).to_have_count(1)
    expect(page.locator("#figures")).to_contain_text(f"depth {readings.handover_depth(trace, t)}, ")
    expect(page.locator("canvas").first).to_be_visible()


def test_pointing_at_a_cell_tells_its_candidates(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    page.mouse.move(*middle_of(page, trace, 1, 9))
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("Token 2, ")
    expect(tip).to_contain_text("at depth 9 of 12")
    expect(tip.locator(".best .word")).to_have_count(trace.k)
    assert tip.locator(".best .word").first.inner_text().strip("␣") == shown(trace, 1, 9)
    expect(tip.locator(".best .value").first).to_have_text(percent(float(trace.top_probs[1, 9, 0])))
    facts = tip.locator(".facts dd").all_inner_texts()
    assert facts[1] == str(int(trace.emitted_rank[1, 9]) + 1)
    assert facts[2] == f"{trace.entropy[1, 9]:.2f} nats"
    assert facts[3] == f"{trace.kl_to_final[1, 9]:.2f} nats"
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()


def test_a_click_follows_the_token(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    page.mouse.click(*middle_of(page, trace, 4, 3))
    expect(page.locator("#track-title")).to_contain_text("Token 5, ")
    expect(page.locator("#cell .cell-head")).to_contain_text("at depth 3 of 12")
    settle = readings.settle_depth(trace, 4)
    told = SAY["never_settled"] if settle is None else f"depth {max(1, settle)}"
    expect(page.locator("#figures")).to_contain_text(f"{SAY['mark_settle']}: {told}")
    page.locator("#answer button").nth(1).click()
    expect(page.locator("#track-title")).to_contain_text("Token 2, ")
    page.locator("#table-details summary").click()
    rows = page.locator("#table tbody tr")
    expect(rows).to_have_count(trace.depths + 1)  # the browser tells of an opened <details> in a task of its own
    expect(rows.first.locator("td").first).to_have_text("12")


def test_the_keyboard_walks_through_the_cells(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    ring = "node => getComputedStyle(node).outlineWidth"
    at_rest = page.locator("#cursor").evaluate(ring)
    page.locator("#map").focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "ArrowDown", "PageDown"):
        page.keyboard.press(key)
    assert page.locator("#cursor").evaluate(ring) != at_rest  # where the keyboard is can be seen
    expect(page.locator("#live")).to_contain_text("Token 2, ")
    expect(page.locator("#live")).to_contain_text(f"depth {trace.depths - 7}.")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#live")).to_contain_text(SAY["remark_tied"])
    page.keyboard.press("End")
    expect(page.locator("#live")).to_contain_text(f"Token {trace.length}, ")


def test_everything_is_reached_by_tab_and_seen(opened: Open) -> None:
    page = opened(whole_trace(), whole_trace(lens="tuned"))
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.className")
        )
    order = ["language", "theme", "metric", "lens", "watch-word", "map", "log"]
    places = [reached.index(name) for name in order]
    assert places == sorted(places), reached
    page.locator("#theme").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.locator("#theme").evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, [role]')]
        .filter(n => !['aria-label', 'aria-labelledby'].some(name => n.getAttribute(name)))
        .filter(n => n.role !== 'status' && !n.textContent.trim() && !n.labels?.length)
        .map(n => n.outerHTML)"""
    )
    assert unnamed == []


def test_words_to_watch(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    expect(page.locator("#watched li")).to_have_count(2)  # those that were followed
    expect(page.locator("#watched")).to_contain_text("was followed at every depth")
    page.fill("#watch-word", "giraffe")
    page.keyboard.press("Enter")
    nowhere = page.locator("#watched li").filter(has_text="giraffe")
    expect(nowhere).to_contain_text(f"is not among the {trace.k} kept candidates at any depth")
    expect(page.locator("#live")).to_contain_text("giraffe")
    expect(page.locator("#track-key")).not_to_contain_text("giraffe")
    word = shown(trace, 3, trace.depths)
    page.fill("#watch-word", word)
    page.get_by_role("button", name="Watch", exact=True).click()
    page.locator("#answer button").nth(3).click()
    expect(page.locator("#watched li").last).to_contain_text("is the emitted token here")
    page.get_by_role("button", name="Stop watching giraffe").click()
    expect(nowhere).to_have_count(0)


def test_another_lens_another_colour(opened: Open) -> None:
    logit, tuned, jacobian = (whole_trace(lens=name) for name in ("logit", "tuned", "jacobian"))
    page = opened(logit, tuned, jacobian)
    before = page.locator("#map-canvas canvas").evaluate("canvas => canvas.toDataURL()")
    page.mouse.click(*middle_of(page, logit, 0, 6))
    value = page.locator("#cell .best .value").first
    expect(value).to_have_text(percent(float(logit.top_probs[0, 6, 0])))
    page.get_by_role("radio", name="Tuned lens").check()
    expect(value).to_have_text(percent(float(tuned.top_probs[0, 6, 0])))
    pictures = {before}
    for name in ("Entropy", "KL to the output", "Rank", "Probability"):
        page.get_by_role("radio", name=name).check()
        pictures.add(page.locator("#map-canvas canvas").evaluate("canvas => canvas.toDataURL()"))
    assert len(pictures) == 5
    page.get_by_role("radio", name="Jacobian lens: disposed to say").check()
    expect(page.locator("#cell")).to_contain_text("Disposed to say")
    expect(page.locator("#lens-note")).to_contain_text("disposed to say")
    expect(page.locator("#scale")).to_contain_text("disposed to say")
    assert "predict" not in page.locator("body").inner_text().lower()


def test_evidence_is_shown_where_there_is_some(opened: Open) -> None:
    trace = whole_trace()
    page = opened(trace)
    for key in ("attribution_title", "attention_title", "self_title", "notes_title"):
        expect(page.get_by_role("heading", name=SAY[key])).to_be_visible()
    expect(page.locator("#causal-title")).to_contain_text("Causal check of token 3, ")
    expect(page.locator("#self")).to_contain_text("says yes with 40.0%")
    expect(page.locator("#self")).to_contain_text("75.0% of 8 further answers")
    page.locator("#causal select").select_option(label=SAY["part_mlp"])
    expect(page.locator("#causal")).to_contain_text("when the MLP of each block is taken out")
    expect(page.locator("#notes")).to_contain_text(f"{SAY['noted_attention']}: no ")
    bare = opened(replace(trace, findings=type(trace.findings)()))
    expect(bare.get_by_role("heading", name=SAY["prompt_title"])).to_be_visible()
    assert bare.locator("#causal, #attribution, #self, #notes").count() == 0


@pytest.mark.parametrize("wanted", ["dark", "light"])
def test_themes(opened: Open, wanted: str) -> None:
    page = opened(whole_trace(), color_scheme=wanted)
    other = {"dark": "light", "light": "dark"}[wanted]
    assert page.locator("html").get_attribute("data-theme") == wanted
    ground = "document.documentElement && getComputedStyle(document.documentElement).backgroundColor"
    first = page.evaluate(ground)
    page.get_by_role("button", name=f"Switch to the {other} theme").click()
    assert page.locator("html").get_attribute("data-theme") == other
    assert page.evaluate(ground) != first


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_its_text_can_be_read(opened: Open, theme: str) -> None:
    """WCAG AA: 4.5 to 1 against the card or the page behind it."""
    page = opened(whole_trace(), color_scheme=theme)
    colours = page.evaluate(
        """() => Object.fromEntries(['ink', 'faint', 'accent', 'warn', 'card', 'back']
        .map(name => [name, getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()]))"""
    )
    for name in ("ink", "faint", "accent", "warn"):
        for ground in ("card", "back"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_chinese_and_back(opened: Open) -> None:
    page = opened(whole_trace(), locale="zh-CN")
    chinese = strings("zh-CN")
    expect(page.locator("#map-title")).to_have_text(chinese["map_title"])
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.get_by_role("button", name="English").click()
    expect(page.locator("#map-title")).to_have_text(SAY["map_title"])
    assert not re.search("[\u4e00-\u9fff]", page.locator("section.controls").inner_text())


def test_a_phone_scrolls_in_one_direction(opened: Open) -> None:
    page = opened(whole_trace(length=24, depths=30), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#map-scroll").evaluate("box => box.scrollWidth > box.clientWidth")
    page.locator("#map").focus()
    page.keyboard.press("End")
    assert page.locator("#map-scroll").evaluate("box => box.scrollLeft") > 0
    page.set_viewport_size({"width": 800, "height": 900})
    assert comes_to(page, "document.documentElement.scrollWidth <= 800")


def test_a_long_answer_is_drawn_where_it_is_seen(opened: Open) -> None:
    """Its canvas would be larger than any may be."""
    trace = large_trace(length=900, depths=12, k=3)
    page = opened(trace)
    drawn = """() => {
        const canvas = document.querySelector('#map-canvas canvas'), box = canvas.getBoundingClientRect();
        const mark = document.getElementById('cursor').getBoundingClientRect();
        const at = [(mark.x + 4 - box.x) * canvas.width / box.width, (mark.y + 4 - box.y) * canvas.height / box.height];
        const scratch = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        scratch.drawImage(canvas, -at[0], -at[1]);
        return scratch.getImageData(0, 0, 1, 1).data[3];
    }"""
    page.locator("#map").focus()
    for keys in (["End"], ["ArrowLeft"] * 70, ["Home"], ["ArrowRight"] * 70):
        for key in keys:
            page.keyboard.press(key)
        assert comes_to(page, f"({drawn})() === 255"), keys[0]
    assert page.locator("#map-canvas canvas").evaluate("canvas => canvas.width") < 16_400


def test_hostile_tokens_stay_text(opened: Open) -> None:
    trace = hostile_trace()
    page = opened(trace)
    for t in range(trace.length):
        page.locator("#answer button").nth(t).click()
    for depth in range(0, trace.depths + 1, 3):
        page.mouse.move(*middle_of(page, trace, depth % trace.length, depth))
    page.fill("#watch-word", HOSTILE[1])
    page.keyboard.press("Enter")
    expect(page.locator("#watched")).to_contain_text(HOSTILE[1])
    page.locator("#track").hover()
    page.locator("#table-details summary").click()
    assert page.locator("img, svg, script[src], iframe, b > script").count() == 0
    assert page.locator("script").count() == 3
    expect(page.locator("#meta")).to_contain_text(HOSTILE[0])


def test_no_motion_where_none_is_wanted(opened: Open) -> None:
    page = opened(whole_trace(), reduced_motion="reduce")
    assert page.locator("#cursor").evaluate("node => getComputedStyle(node).transitionDuration") == "0s"


def test_the_smallest_answers(opened: Open) -> None:
    page = opened(whole_trace(length=1, depths=1, k=1))
    expect(page.locator("#track-title")).to_contain_text("Token 1, ")
    page = opened(make_trace(np.zeros((0, 4, 3)), [], {0: "a", 1: "b", 2: "c"}))
    expect(page.locator("#answer")).to_have_text(SAY["nothing_said"])
    expect(page.locator("#map")).to_be_hidden()


def test_a_large_page_loads_and_answers(opened: Open) -> None:
    """60 tokens by 80 blocks by 10 candidates through three lenses; the time is printed, for it is the machine's as well."""
    page = opened(large_trace(), large_trace("tuned"), large_trace("jacobian"))
    ready = int(page.locator("html").get_attribute("data-ready") or 0)
    size = Path(page.url.removeprefix("file://")).stat().st_size / 2**20
    print(f"{size:.2f} MiB, ready after {ready} ms")  # noqa: T201
    page.get_by_role("radio", name="Rank").check()
    page.locator("#map").focus()
    page.keyboard.press("End")
    expect(page.locator("#track-title")).to_contain_text("Token 60, ")


@pytest.mark.real_model
@pytest.mark.timeout(600)
def test_the_default_models_answer_in_both_themes(opened: Open, smollm: TorchEngine, tmp_path: Path) -> None:
    """The pictures of docs/VIEWER.md are made here: FORWARDPASS_SCREENSHOTS names the folder."""
    trace = real_trace(smollm)
    folder = Path(os.environ.get("FORWARDPASS_SCREENSHOTS", tmp_path))
    for theme in ("dark", "light"):
        page = opened(trace, color_scheme=theme)
        expect(page.locator("#figures")).to_contain_text("depth 24")
        page.wait_for_timeout(600)
        page.screenshot(path=folder / f"viewer-{theme}.png", full_page=True)
    page = opened(trace, width=390, color_scheme="dark", device_scale_factor=2)
    page.wait_for_timeout(600)
    page.screenshot(path=folder / "viewer-phone.png", full_page=True, clip={"x": 0, "y": 0, "width": 390, "height": 2400})
    assert all((folder / f"viewer-{name}.png").stat().st_size > 100_000 for name in ("dark", "light", "phone"))


def real_trace(engine: TorchEngine) -> Trace:
    """The foot question, with everything that can be looked at."""
    answer = engine.answer(Job(FOOT))
    trace = engine.trace(answer, k=10)
    t = readings.pivotal(trace)
    assert t is not None
    trace = replace(trace, findings=engine.findings(answer, trace, question=FOOT, watch=("two", "no", "one")))
    report = engine.self_report(FOOT, answer)
    return trace.with_findings(causal=engine.why(answer, t, parts=("block", "attention", "mlp")), self_report=report)
