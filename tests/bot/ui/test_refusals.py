"""Refusing: once a person and minute, the DMs counted, and what it says."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from bot.errors import AlreadyAskingError
from bot.ui.refusals import DMS, EVERY, Refusals, refusal_text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def nothing(work: Coroutine[Any, Any, None], _name: str) -> None:
    work.close()


def test_a_person_is_refused_once_a_minute_and_the_silence_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = Refusals(nothing, clock=clock)
    caplog.set_level(logging.INFO)
    assert [refusals.first(1) for _ in range(20)] == [True] + [False] * 19
    assert refusals.first(2)
    clock.now = EVERY
    assert refusals.first(1)
    assert "19 refusals were left unsaid" in caplog.text


def test_what_is_long_past_is_forgotten() -> None:
    clock = Clock()
    refusals = Refusals(nothing, clock=clock)
    for person in range(1000):
        refusals.first(person)
    clock.now = 2 * EVERY
    refusals.first(0)
    assert len(refusals._last) == 1


def test_refusals_by_dm_are_few() -> None:
    clock = Clock()
    refusals = Refusals(nothing, clock=clock)
    assert sum(refusals.dm_left() for _ in range(100)) == DMS
    clock.now = EVERY
    assert refusals.dm_left()


def test_it_names_the_others_and_says_that_it_is_not_repeated() -> None:
    text = refusal_text(AlreadyAskingError("I am still busy with your last question."), "en-US", [7, 8])
    assert text.startswith("⚠️ I am still busy")
    assert "<@7> <@8>" in text
    assert text.endswith("-# I say this once a minute to each person.")
    assert "每分钟" in refusal_text(AlreadyAskingError("I am still busy with your last question."), "zh-CN")
