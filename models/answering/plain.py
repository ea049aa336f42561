"""Typed text as token ids, none of which is a control token: `<|im_end|>` or `<tool_call>` in a question are characters.

Tokenizers look for their added tokens before anything else, and the ones that are not marked special (`<think>`, `<tool_call>`)
even when they are asked to split. So the text goes round that look-up where it would find one. Knows tokenizers; no templates.
"""

from __future__ import annotations

import re
from typing import Any

from models.tokens import added


def encode_plain(tokenizer: Any, text: str) -> list[int]:
    """Token ids (N,) of what a person typed, none of them a control token of `models.tokens.Added`."""
    control = added(tokenizer).control
    ids = list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    if control.isdisjoint(ids):
        return ids
    backend = getattr(tokenizer, "backend_tokenizer", None)
    ids = _without_lookup(backend, text) if backend is not None else []
    return ids if ids and control.isdisjoint(ids) else _in_pieces(tokenizer, text, control)


def begin_ids(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text; what it may put behind one (`add_eos_token`) is left out."""
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    framed = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    for start in range(len(framed) - len(bare) + 1):
        if framed[start : start + len(bare)] == bare:
            return framed[:start]
    return []


def _without_lookup(backend: Any, text: str) -> list[int]:
    """The tokenizer's own steps without its first one: normalizer, pre-tokenizer, model."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    words = [text] if backend.pre_tokenizer is None else [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    return [token.id for word in words for token in backend.model.tokenize(word)]


def _in_pieces(tokenizer: Any, text: str, control: frozenset[int]) -> list[int]:
    """For tokenizers whose steps cannot be taken one by one: no piece holds the whole name of an added token."""
    names = {name for i, name in added(tokenizer).names.items() if i in control and len(name) > 1}
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, f"{name[0]}\0{name[1:]}")
    pieces = [piece for piece in re.split("\0", text) if piece]
    ids = [i for piece in pieces for i in tokenizer(piece, add_special_tokens=False, split_special_tokens=True)["input_ids"]]
    return [i for i in ids if i not in control]
