"""Token ids as strings for show: text that never breaks a character, and the piece that a single id stands for.

A byte-level tokenizer may split one character over several tokens, so an id alone has no text. `Detokenizer` gives the text of
a growing answer, `shown_tokens` the strings of a finished one, `piece` the display of one id. Knows Hugging Face tokenizers;
knows no model.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

BROKEN = "\ufffd"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")

_added: weakref.WeakKeyDictionary[Any, tuple[int, Added]] = weakref.WeakKeyDictionary()

_END_OF_TURN = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|END_OF_TURN_TOKEN|>",
    "</s>",
    "<eos>",
)
"""Names under which chat models end a turn. Only those that the tokenizer marks as control tokens count."""


@dataclass(frozen=True, slots=True)
class Added:
    """The tokens that a tokenizer looks for before anything else."""

    names: Mapping[int, str]
    special: frozenset[int]
    """Those that are marked special."""
    control: frozenset[int]
    """Those that typed text must not become: all, but for runs of blanks, which some tokenizers keep there."""


def added(tokenizer: Any) -> Added:
    """A tokenizer's added tokens. Some have thousands and make each anew when asked, so they are asked for once."""
    known = _added.get(tokenizer)
    if known is None or known[0] != len(tokenizer):
        tokens = tokenizer.added_tokens_decoder
        names = {i: str(token.content) for i, token in tokens.items()}
        special = frozenset(i for i, token in tokens.items() if token.special)
        control = special | {i for i, name in names.items() if name.strip()}
        known = _added[tokenizer] = (len(tokenizer), Added(names, special, control))
    return known[1]


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of control tokens: the named ones (end of text, …) and every added token that is marked special."""
    return added(tokenizer).special.union(tokenizer.all_special_ids)


def stop_ids(model: Any, tokenizer: Any, special: frozenset[int], ends: Collection[int] = frozenset()) -> frozenset[int]:
    """Every id that ends an answer: what generation config and tokenizer say, and what the template ends one with.

    Names under which models usually end a turn are a last resort, for a model that says nothing. The unknown token is no end,
    unless the generation config says so.

    Args:
        model: with its generation config.
        tokenizer: of it.
        special: its control tokens, of `special_ids`.
        ends: with which its chat template ends an answer.
    """
    configured = getattr(model.generation_config, "eos_token_id", None)
    said = set(configured) if isinstance(configured, list | tuple) else {configured}
    own = {tokenizer.eos_token_id, *ends} - {tokenizer.unk_token_id}
    found = {i for i in said | own if i is not None}
    if not found:
        named = tokenizer.convert_tokens_to_ids(list(_END_OF_TURN))
        found = {i for i in named if i in special and i != tokenizer.unk_token_id}
    return frozenset(int(i) for i in found)


class Detokenizer:
    """Turns ids into text as they come; a character split over several tokens is held back until it is whole.

    Decodes a short window again at each token, so that tokenizers whose spaces depend on the neighbour come out right.
    """

    def __init__(self, tokenizer: Any, special: Collection[int] | None = None) -> None:
        self._tokenizer = tokenizer
        self._special = special_ids(tokenizer) if special is None else special
        self._ids: list[int] = []
        self._start = 0  # of the window
        self._shown = 0  # ids whose text is out
        self.text = ""
        """Everything shown so far."""

    def push(self, token: int) -> str:
        """What this token adds to the text: "" for control tokens and for the beginning of a character."""
        if token in self._special:
            return ""
        self._ids.append(token)
        before = self._decode(self._ids[self._start : self._shown])
        after = self._decode(self._ids[self._start :])
        if after.endswith(BROKEN) or len(after) <= len(before):
            return ""
        self._start, self._shown = self._shown, len(self._ids)
        added = after[len(before) :]
        self.text += added
        return added

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def shown_tokens(tokenizer: Any, ids: Iterable[int]) -> tuple[str, ...]:
    """T strings for ``ids`` (T,); joined they are the decoded text without control tokens.

    A character split over several tokens stands whole at the one that completes it, and the ones before it are "". A character
    that is never completed (the answer was cut) is not shown at all.
    """
    detokenizer = Detokenizer(tokenizer)
    return tuple(detokenizer.push(int(token)) for token in ids)


def piece(tokenizer: Any, token: int) -> str:
    """One id for show, with its leading space; the bytes of an incomplete character as ⟨F0 9F⟩, an unknown id as ⟨49152⟩."""
    raw = tokenizer.convert_ids_to_tokens(int(token))
    if raw is None:
        return f"⟨{token}⟩"
    if found := _BYTE_TOKEN.fullmatch(raw):  # byte fallback of sentencepiece models
        return _show_bytes(bytes([int(found[1], 16)]))
    text = str(tokenizer.decode([int(token)], skip_special_tokens=False, clean_up_tokenization_spaces=False))
    if BROKEN in text:
        data = _byte_level(raw)
        return text if data is None else _show_bytes(data)
    if raw.startswith("▁") and not text.startswith(" "):  # sentencepiece drops a leading space at the beginning of a text
        return " " + text
    return text


def pieces(tokenizer: Any | None, ids: Iterable[int]) -> dict[int, str]:
    """`piece` of every distinct id; without a tokenizer, the ids themselves."""
    distinct = sorted({int(i) for i in ids})
    if tokenizer is None:
        return {i: f"⟨{i}⟩" for i in distinct}
    return {i: piece(tokenizer, i) for i in distinct}


def _show_bytes(data: bytes) -> str:
    """Whole characters as they are, the bytes of incomplete ones in hexadecimal."""
    text, broken = "", bytearray()
    for mark in _utf8_parts(data):
        if isinstance(mark, str) and mark:
            text += _hexadecimal(broken) + mark
            broken.clear()
        elif isinstance(mark, bytes):
            broken += mark
    return text + _hexadecimal(broken)


def _utf8_parts(data: bytes) -> Iterable[str | bytes]:
    while data:
        try:
            whole, broken = data.decode(), b""
            data = b""
        except UnicodeDecodeError as error:
            whole, broken = data[: error.start].decode(), data[error.start : error.end]
            data = data[error.end :]
        yield whole
        yield broken


def _hexadecimal(data: bytes | bytearray) -> str:
    return f"⟨{data.hex(' ').upper()}⟩" if data else ""


def _byte_level(raw: str) -> bytes | None:
    """The bytes behind a byte-level token, or None when it is no such token."""
    table = _byte_table()
    return bytes(table[c] for c in raw) if all(c in table for c in raw) else None


@lru_cache(maxsize=1)
def _byte_table() -> dict[str, int]:
    """GPT-2's alphabet of bytes: printable Latin-1 stands for itself, every other byte for a character from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (b for b in range(256) if b not in printable)
    return {chr(b): b for b in printable} | {chr(0x100 + n): b for n, b in enumerate(others)}
