"""What stands in the line under an answer. Knows no Discord and no torch."""

from __future__ import annotations

import math

from models.sentences import Sentence
from models.types import Answer, ModelInfo


def mean_probability(answer: Answer) -> float | None:
    """Geometric mean of the emitted tokens' final probabilities at temperature 1.

    None when a token was drawn from beyond the candidates that the answer pass kept: no number is better than a wrong one.
    """
    total = 0.0
    for token, ids, logprobs in zip(answer.answer_ids, answer.final_top.ids, answer.final_top.logprobs, strict=True):
        if token not in ids:
            return None
        total += logprobs[ids.index(token)]
    return math.exp(total / len(answer.answer_ids)) if answer.answer_ids else None


def figures(answer: Answer, info: ModelInfo | None, *, name: str = "") -> list[str]:
    """What stands in the line under an answer: model, tokens, speed, how sure, what was cut. All but the name are Sentences.

    ``name`` is the model's where nothing more is known of it.
    """
    speed = Sentence("{speed:.1f} tokens/s", speed=answer.tokens_per_second)
    parts = [info.name if info else name, Sentence("{count} tokens", count=len(answer.answer_ids)), speed]
    sure = mean_probability(answer)
    if sure is not None:
        parts.append(Sentence("mean token probability {sure:.0%}", sure=sure))
    if answer.thinking:
        parts.append(Sentence("thought for {count} tokens first", count=answer.thinking))
    if answer.finish == "length":
        parts.append(Sentence("cut off: my answers may not be longer"))
    if answer.dropped_turns:
        parts.append(Sentence("the {count} oldest messages of this conversation no longer fit", count=answer.dropped_turns))
    return parts
