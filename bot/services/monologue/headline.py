"""The headline above an inner voice: what was said, what was almost said, and how it ended. Plain words, every figure a fact."""

from __future__ import annotations

from bot.services.monologue import facts
from bot.services.monologue.phrases import Sentence
from bot.services.monologue.stating import Line
from bot.services.monologue.teller import Teller
from bot.services.monologue.verifier import if_true
from models import readings as read
from models.trace import Trace


def headline(trace: Trace, locale: str = "en-US") -> Line | None:
    """One line for somebody who reads no more; None where nothing can be told.

    Args:
        trace: of the answer.
        locale: a Discord locale; Chinese ones are told in Simplified Chinese, all others in English.
    """
    if trace.depths < 1 or not read.predicts(trace):
        return None
    pivot = read.pivotal(trace)
    teller = Teller(trace, pivot or 0, locale)
    if pivot is None:
        claim = "is_silent" if trace.length == 0 else "is_all_control" if trace.special.all() else "is_wordless"
        return teller.line([teller.entry("headline_wordless" if claim == "is_wordless" else "headline_silent", claim)])
    return teller.line([_said(teller), *_almost(teller), _ending(teller)])


def finding(trace: Trace, locale: str = "en-US") -> Line | None:
    """What there is to see in a picture of the depths, in one short sentence; None where no word was decided."""
    pivot = read.pivotal(trace) if trace.depths >= 1 and read.predicts(trace) else None
    if pivot is None:
        return None
    teller = Teller(trace, pivot, locale)
    claim, _, key = _ended(teller)
    return teller.line([teller.entry(key, claim)])


def picture_title(trace: Trace, locale: str) -> str:
    """The finding as a title, without its full stop; "" where there is none, or it does not hold."""
    found = if_true(finding(trace, locale), trace)
    return "" if found is None else found.text.rstrip(".。")


_ENDINGS = (
    ("passed_over_top", "headline_chance", "finding_chance"),
    ("is_lost", "headline_lost", "finding_lost"),
    ("settled_at_half", "headline_early", "finding_early"),
    ("settled_at_last", "headline_open", "finding_open"),
    ("settled_before_last", "headline_late", "finding_late"),
)
"""The few clear cases, each with how a headline and how a picture tells it; the first that is true counts, and one always is."""


def _ended(teller: Teller) -> tuple[str, str, str]:
    return next(ending for ending in _ENDINGS if teller.true(ending[0]))


def _said(teller: Teller) -> Sentence:
    whole = teller.true("is_whole_word")
    return teller.entry("headline_said", "is_whole_word") if whole else teller.entry("headline_piece", "is_piece_of_word")


def _almost(teller: Teller) -> list[Sentence]:
    """The close rivals; of a piece in the middle of a word nobody could tell what they would have become."""
    rivals = facts.close_rivals(teller.trace, teller.t)
    if not rivals:
        return [teller.entry("headline_alone", "has_no_close_rival")] if teller.true("has_no_close_rival") else []
    one, two = (
        ("headline_rival", "headline_rivals")
        if teller.true("is_whole_word")
        else ("headline_rival_piece", "headline_rival_pieces")
    )
    slots = {"rival": teller.ask("candidate", id=rivals[0]), "rival_prob": teller.ask("final_prob", id=rivals[0])}
    claims = [teller.ask("is_close_rival", id=rival) for rival in rivals]
    if len(rivals) > 1:
        slots |= {"rival2": teller.ask("candidate", id=rivals[1]), "rival2_prob": teller.ask("final_prob", id=rivals[1])}
    return [teller.entry(two if len(rivals) > 1 else one, *claims, **slots)]


def _ending(teller: Teller) -> Sentence:
    """Overruled by chance, lost, settled early, late, or open to the end."""
    trace, (claim, key, _) = teller.trace, _ended(teller)
    top = read.top_token(trace, teller.t, trace.depths)
    return teller.entry(key, claim, top=teller.ask("top", depth=trace.depths), top_prob=teller.ask("final_prob", id=top))
