"""Asked-for words followed across the depths, through the lens of the trace. Knows tokens and states; knows no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from models.findings import Watched
from models.network.adapters import Parts
from models.reading.seen import Seen, Unseen
from models.reading.unembedding import follow

Translator = Callable[[torch.Tensor, int], torch.Tensor]
"""As `models.reading.lens.Lens`: states (T, D) at depth d < L, and d, to states (T, D)."""

_NO_SPACES = re.compile(r"[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f]")
"""Scripts that put no space before a word: Chinese characters and Japanese."""


@torch.inference_mode()
def watched(
    parts: Parts,
    seen: Seen,
    tokenizer: Any,
    words: Sequence[str],
    *,
    lens: Translator | None = None,
    memory_limit: int | None = None,
) -> Watched:
    """Probabilities of the first token of each word, (W, T, L+1).

    Raises:
        Unseen: none of them has any token.
    """
    found = {word: ids for word in dict.fromkeys(w.strip() for w in words) if (ids := word_ids(tokenizer, word))}
    if not found:
        raise Unseen("No word was given to follow.")
    states = [*seen.states[:-1], seen.normed]
    if lens is not None:
        states = [*(lens(state, depth) for depth, state in enumerate(states[:-1])), states[-1]]
    ids = [first[0] for first in found.values()]
    probs = follow(parts, states, ids, memory_limit=memory_limit)  # (T, L+1, W)
    return Watched(
        words=tuple(found),
        ids=torch.tensor(ids).numpy(),
        probs=probs.transpose(2, 0, 1).copy(),
        whole=tuple(len(first) == 1 for first in found.values()),
    )


def word_ids(tokenizer: Any, word: str) -> list[int]:
    """The tokens of a word as the model would emit them in the middle of a sentence: with the space before it.

    Languages that write no spaces get none. A tokenizer that makes the space a token of its own gives the word's tokens after it.
    Typed text is never a control token.
    """
    text = word if _NO_SPACES.match(word) else f" {word}"
    ids = [int(i) for i in tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]] if word else []
    while len(ids) > 1 and not tokenizer.decode(ids[:1]).strip() and tokenizer.decode(ids[1:]).strip() == word:
        ids = ids[1:]
    return ids
