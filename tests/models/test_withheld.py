"""What a dump leaves out of its prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.render.export import load, write
from models.answering.prompts import build
from models.dump import lens_dump
from models.fakes.engine import FakeEngine
from models.types import Job, PromptConfig, Sampling, Turn
from models.withheld import DOT, NOBODY, own_from, trace_without, without


@pytest.mark.parametrize(
    ("prompt", "bare", "first"),
    [
        ((1, 2, 3), (1, 2, 3), 0),
        ((1, 9, 9, 2, 3), (1, 2, 3), 3),
        ((1, 2, 3, 9, 2, 3), (1, 2, 3), 4),  # what they share at the beginning says nothing of whose it is
        ((1, 2, 3), (4, 5, 6), 2),
        ((1, 2, 3), (), 2),
        ((9, 1, 2, 3), (1, 2, 3), 1),
    ],
)
def test_from_where_on_a_prompt_is_its_question(prompt: tuple[int, ...], bare: tuple[int, ...], first: int) -> None:
    assert own_from(prompt, bare) == first


def test_a_whole_dump_stays_what_it_is() -> None:
    engine = FakeEngine()
    dump = lens_dump(engine.trace(engine.answer(Job("How many eyes?"))))
    assert without(dump, 0) is dump


def test_a_trace_keeps_its_places_and_loses_the_words() -> None:
    engine = FakeEngine()
    trace = engine.trace(engine.answer(Job("secret words and how many eyes?")))
    secret = int(trace.prompt_ids[0])
    trace = replace(
        trace, pieces={**trace.pieces, secret: "secret"}, findings=engine.findings(_answer(engine), trace, question="secret eyes")
    )
    cut = trace_without(trace, 3)
    assert cut.prompt_ids.tolist() == [NOBODY] * 3 + trace.prompt_ids[3:].tolist()
    assert secret not in cut.pieces
    assert cut.pieces[NOBODY] == DOT
    assert {int(i) for i in cut.top_ids.ravel()} <= set(cut.pieces)
    assert cut.findings.attention is not None
    assert all(word == DOT for place, word in cut.findings.attention.words.items() if place < 3)


def _answer(engine: FakeEngine) -> Any:
    return engine.answer(Job("secret words and how many eyes?"))


@pytest.mark.parametrize("form", ["json", "csv", "npz", "safetensors"])
def test_it_can_be_read_again(tmp_path: Path, form: Any) -> None:
    engine = FakeEngine()
    dump = without(lens_dump(engine.trace(engine.answer(Job("secret words and how many eyes?")))), 2)
    file = tmp_path / f"dump.{form}"
    write(dump, form, file, created="2026-11-29T00:00:00Z")
    again = load(file)
    assert again.prompt_ids.tolist() == dump.prompt_ids.tolist()
    assert again.pieces[NOBODY] == DOT
    assert again.meta["withheld"] == 2


@pytest.mark.parametrize("style", ["chat", "story"])
def test_of_a_real_prompt_the_question_is_left(smollm: Any, style: Any) -> None:
    """With a system prompt and a conversation before it: of both nothing, of the question everything."""
    tokenizer, question = smollm.tokenizer, "How many eyes does my foot have?"
    history = (Turn("user", "I am Ann, and I live in Xanten."), Turn("assistant", "Hello, Ann."))
    config = PromptConfig(system="Never say the word zyxwvut.")
    ids = build(tokenizer, Job(question, history, style, Sampling()), config, 2048).ids
    first = own_from(ids, smollm.bare_prompt(question, style))
    left, gone = (tokenizer.decode(part) for part in (ids[first:], ids[:first]))
    assert question in left
    for word in ("Ann", "Xanten", "zyxwvut"):
        assert word not in left
    assert "Xanten" in gone


def test_a_plain_question_has_nothing_to_hide(smollm: Any) -> None:
    question = "How many eyes does my foot have?"
    answer = smollm.answer(Job(question, sampling=Sampling(max_new_tokens=2)))
    assert own_from(answer.prompt_ids, smollm.bare_prompt(question, answer.style)) == 0
