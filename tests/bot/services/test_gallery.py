"""docs/GALLERY.md is what the default model and the inner voice really say. ``FORWARDPASS_GALLERY=write`` writes it anew.

Numbers may differ from machine to machine in their last digit, so they are masked; questions, answers and words may not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bot.services.monologue import headline, is_true, phrases_of, tell, verify
from bot.services.monologue.facts import mood
from models import readings
from models.running.engine import TorchEngine
from models.trace import Trace
from models.types import Answer, Job, Sampling, Style

GALLERY = Path(__file__).parents[3] / "docs" / "GALLERY.md"
QUESTIONS: tuple[tuple[str, Style, float], ...] = (
    ("How many eyes does my foot have?", "chat", 0.0),
    ("我的脚有几只眼睛？", "story", 0.0),
    ("Can a triangle swim?", "story", 0.0),
    ("How many legs does a snake have?", "story", 0.9),
    ("What color is Tuesday?", "chat", 0.0),
    ("Why is the sky green?", "story", 0.0),
    ("How many moons does the sun have?", "story", 0.0),
    ("What do cows drink?", "story", 0.9),
    ("Where do you bury the survivors?", "story", 0.0),
    ("Do trees snore?", "story", 0.0),
)
MOODS = {"certain", "torn", "lost", "overruled", "nowhere"}
CHECKED = 4
"""One answer in so many has a causal check; the others are told without."""
EVIDENCE = ("attribution", "attention", "pull")
LONGEST = 1_800
HEAD = """# Gallery

Ten answers of the default model and their inner voice, in English and in Chinese, as the program tells them: float32 on a CPU,
logit lens, three of them with a causal check at the pivotal token. Every number was verified against the trace. No phrase
comes twice. `FORWARDPASS_GALLERY=write pytest tests/bot/services/test_gallery.py` writes this page anew; without it the same test
compares.
"""


def looked_into(engine: TorchEngine, question: str, answer: Answer, *, checked: bool) -> Trace:
    """The second pass with the evidence beside it."""
    trace = engine.trace(answer)
    found = engine.findings(answer, trace, question=question)
    trace = trace.with_findings(**{name: getattr(found, name) for name in EVIDENCE})
    pivot = readings.pivotal(trace)
    return trace.with_findings(causal=engine.why(answer, pivot)) if checked and pivot is not None else trace


def told(trace: Trace, locale: str, used: list[str]) -> str:
    """One inner voice as a quotation; ``used`` grows by its phrases."""
    head = headline(trace, locale)
    assert head is not None
    assert is_true(head, trace)
    lines = tell(trace, locale, avoid=used)
    assert verify(lines, trace) == lines
    assert not set(phrases_of(lines)) & set(used)
    assert sum(len(line.text) + 2 for line in lines) <= LONGEST
    used += phrases_of(lines)
    return "\n>\n".join([f"> **{head.text}**", *(f"> {line.text}" for line in lines)])


def page(engine: TorchEngine) -> tuple[str, set[str]]:
    """The whole gallery, and the moods in it."""
    text, moods = HEAD, set[str]()
    heard: dict[str, list[str]] = {"en-US": [], "zh-CN": []}
    for number, (question, style, temperature) in enumerate(QUESTIONS):
        answer = engine.answer(Job(question, style=style, sampling=Sampling(temperature=temperature, seed=7, max_new_tokens=16)))
        trace = looked_into(engine, question, answer, checked=number % CHECKED == 0)
        moods.add(mood(trace, readings.pivotal(trace) or 0))
        how = f"temperature {temperature}" if temperature else "greedy"
        text += f"\n## {question}\n\n*{' '.join(answer.text.split())}* ({style}, {how})\n"
        for locale, used in heard.items():
            text += f"\n{told(trace, locale, used)}\n"
    return text, moods


def masked(text: str) -> str:
    """The text with every number as one mark."""
    return re.sub(r"\d+(?:\.\d+)?", "#", text)


@pytest.mark.real_model
def test_the_gallery_is_what_is_really_said(smollm: TorchEngine) -> None:
    text, moods = page(smollm)
    assert moods >= MOODS
    if os.environ.get("FORWARDPASS_GALLERY") == "write":
        GALLERY.write_text(text, encoding="utf-8")
    kept = GALLERY.read_text(encoding="utf-8")
    assert masked(kept) == masked(text)
    for question, *_ in QUESTIONS:
        assert f"\n## {question}\n" in kept
