"""What an answer says aloud: reasoning before it, and harmony's other channels, are read and counted, and not said.

Tags are looked for in the decoded text, so that one made of several tokens is found, too. The tokens themselves stay as they are:
the second pass reads all of them. Knows tokenizers; knows no model.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any

from models.answering.templates import CHANNEL, THINKING, Template, channels
from models.tokens import Detokenizer, added

_CLOSES = {close for _open, close in THINKING}
FINAL = "final"
"""Harmony's channel of the answer. https://cookbook.openai.com/articles/openai-harmony"""


class _Mode(Enum):
    START = "nothing but blanks, or the beginning of a tag, was said"
    THINKING = "inside reasoning"
    ALOUD = "said to the asker"
    HEADER = "harmony: the name of a channel"


class Speech:
    """The text of a growing answer without its reasoning.

    Args:
        tokenizer: of the model.
        special: its control tokens, which have no text.
        template: of the prompt; None in the story style, where nothing is reasoned.

    Attributes:
        text: what was said aloud so far.
        thinking: tokens that were not said aloud: reasoning, its tags, harmony's headers and other channels.
    """

    def __init__(self, tokenizer: Any, special: Collection[int], template: Template | None) -> None:
        self._raw = Detokenizer(tokenizer, ())
        self._special = special
        self._names = added(tokenizer).names
        self._harmony = template is not None and channels(tokenizer)
        opens = template.opens if template is not None else None
        self._close = opens[1] if opens else ""
        self._mode = _Mode.THINKING if opens else _Mode.START if template is not None else _Mode.ALOUD
        self._held: list[tuple[str, bool]] = []  # text, and whether it is a control token's
        self._count = self._silent = 0
        self.text = ""

    @property
    def thinking(self) -> int:
        in_doubt = self._mode is _Mode.START and any(text.strip() for text, _control in self._held)
        return self._count if in_doubt else self._silent

    @property
    def aloud(self) -> bool:
        """Whether what comes next is for the asker, as far as is known."""
        return self._mode in {_Mode.ALOUD, _Mode.START}

    def push(self, token: int) -> str:
        """Take a token in; what it adds to the text."""
        self._count += 1
        added, control = self._raw.push(token), token in self._special
        before = self.text
        name = self._names.get(token)
        if self._harmony and name in {*CHANNEL, "<|start|>"}:
            self._channel(name)
        elif self._mode is _Mode.ALOUD:
            self._aloud(added, control, name)
        elif added:
            self._held.append((added, control))
            self._look()
        if self._mode in {_Mode.THINKING, _Mode.HEADER}:
            self._silent = self._count
        return self.text[len(before) :] if self.text.startswith(before) else self.text

    def end(self) -> str:
        """No more comes: what was held back in doubt is said. The whole text."""
        if self._mode is _Mode.START:
            self._say_held()
        return self.text

    def _aloud(self, added: str, control: bool, name: str | None) -> None:
        if name in _CLOSES and not self._silent:  # reasoning that nothing had opened
            self.text, self._silent = "", self._count
        elif not control:
            self.text += added

    def _channel(self, name: str | None) -> None:
        """Harmony: ``<|start|>assistant<|channel|>analysis<|message|>…<|end|>``."""
        if name == CHANNEL[1]:
            spoken = "".join(text for text, _control in self._held).split()
            self._mode = _Mode.ALOUD if FINAL in spoken[:1] else _Mode.THINKING
            self._silent = self._count
        else:
            self._mode = _Mode.HEADER
        self._held.clear()

    def _look(self) -> None:
        """At what is held: does a tag begin, or the reasoning end?"""
        said = "".join(text for text, _control in self._held)
        if self._harmony:
            if self._mode is _Mode.START:  # it speaks without a header
                self._say_held()
            elif self._mode is _Mode.THINKING:
                self._held.clear()
        elif self._mode is _Mode.START:
            self._begin(said.lstrip())
        elif self._close and self._close in said:
            self._silent = self._count
            self._mode = _Mode.ALOUD
            rest = len(said) - said.index(self._close) - len(self._close)
            self.text = said[len(said) - rest :] if rest and not self._held[-1][1] else ""
            self._held.clear()
        else:  # only the end can still belong to a tag
            self._held = [(said[-len(self._close) :], self._held[-1][1])]

    def _begin(self, said: str) -> None:
        opened = next((pair for pair in THINKING if said.startswith(pair[0])), None)
        if opened is not None:
            self._mode, self._close = _Mode.THINKING, opened[1]
            self._held = [(said[len(opened[0]) :], False)]
        elif not any(pair[0].startswith(said) for pair in THINKING):
            self._say_held()

    def _say_held(self) -> None:
        self._mode = _Mode.ALOUD
        self.text = "".join(text for text, control in self._held if not control)
        self._held.clear()
