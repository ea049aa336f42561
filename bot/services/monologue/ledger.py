"""The long form's ledger: one line for each telling token, and the words that somebody asked to be followed."""

from __future__ import annotations

from bot.services.monologue import beside, facts
from bot.services.monologue.phrases import Sentence
from bot.services.monologue.teller import Teller
from models import readings as read

_TELLING = 0.2
"""Word weight from which a token has a line; function words and pieces of words have none."""


def ledger(teller: Teller) -> list[list[Sentence]]:
    """What "show everything" adds to the monologue."""
    tokens = [[entry] for t in telling_tokens(teller) if (entry := _token(teller, t)) is not None]
    heading = [[teller.entry("ledger_heading")]] if tokens else []
    return [*heading, *tokens, *([told] for told in beside.watched(teller))]


def telling_tokens(teller: Teller) -> list[int]:
    """The answer tokens that say something by themselves, the pivotal one among them."""
    trace, prompt = teller.trace, set(teller.trace.prompt_ids.tolist())
    weights = (
        read.word_weight(text, before="".join(trace.tokens[max(0, t - 2) : t]), repeated=int(trace.answer_ids[t]) in prompt)
        for t, text in enumerate(trace.tokens)
    )
    return [t for t, weight in enumerate(weights) if weight >= _TELLING and not trace.special[t]]


def _token(teller: Teller, t: int) -> Sentence | None:
    settled = facts.value_of(teller.trace, *teller.ask("settle", t=t)) is not None
    slots = teller.asks("position", "emitted", "emitted_prob", t=t)
    if settled:
        return teller.entry("ledger_token", **slots, **teller.asks("settle", t=t))
    place = teller.ask("place", t=t, id=int(teller.trace.answer_ids[t]))
    return teller.entry("ledger_token_drawn", teller.ask("passed_over_top", t=t), **slots, place=place)
