"""What is asked is whole text: half a character could be neither read by a tokenizer, nor stored, nor sent."""

from __future__ import annotations

import pytest

from models.fakes.engine import FakeEngine
from models.types import Job, whole


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("\ud83dx", "\ufffdx"),
        ("\ud83d\udc40", "👀"),
        ("x\udcff", "x\ufffd"),
        ("脚 👀", "脚 👀"),
    ],
)
def test_halves_of_characters_are_joined_or_replaced(text: str, same: str) -> None:
    assert whole(text) == Job(text).question == same
    assert FakeEngine().answer(Job(text)).text == "The answer is 2."
