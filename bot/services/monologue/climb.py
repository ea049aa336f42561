"""What the lens reads on the way up: marks, then the words that were on top and are not the answer. Knows no other part."""

from __future__ import annotations

from bot.services.monologue import facts
from bot.services.monologue.phrases import Ask, Sentence, phrase_id
from bot.services.monologue.teller import Teller
from models import readings as read

_MAX_RIVALS = 3


def climb(teller: Teller) -> list[Sentence]:
    """The upper half of the depths, as the lens reads it."""
    told = []
    until = facts.marks_until(teller.trace, teller.t)
    if until is not None and read.half(teller.trace) < until < teller.trace.depths:
        told += teller.may("marks")
    rivals = rivals_of(teller)
    if len(rivals) == 1:
        told += _lone(teller, rivals[0])
    elif rivals:
        told += _procession(teller, rivals)
    elif not told and teller.mood != "overruled" and teller.true("is_unopposed"):
        told += teller.may("unopposed", "is_unopposed")
    return told


def rivals_of(teller: Teller) -> list[int]:
    """The telling words on top at the depths >= L/2, the emitted one and its other spellings left out, in order of depth."""
    trace, t = teller.trace, teller.t
    tops = trace.top_ids[t, read.half(trace) :, 0].tolist()
    words = [i for i in dict.fromkeys(tops) if i != trace.answer_ids[t] and read.is_word(read.token_text(trace, i))]
    words = [token for token in words if not facts.is_twin(trace, t, token)]
    telling = set(sorted(words, key=lambda token: _presence(teller, token), reverse=True)[:_MAX_RIVALS])
    return [token for token in words if token in telling]


def _presence(teller: Teller, token: int) -> float:
    """How much a rival has to say: its depths on top, words of weight first."""
    depths = sum(end - start + 1 for start, end in facts.runs(teller.trace, teller.t, token))
    return depths * read.word_weight(read.token_text(teller.trace, token))


def _lone(teller: Teller, token: int) -> list[Sentence]:
    """The one word that stood on top beside the answer."""
    start, end = facts.runs(teller.trace, teller.t, token)[0]
    slots = {"word": teller.ask("top", depth=start), "top_prob": teller.ask("top_prob", depth=start)}
    slots |= span(teller, token, start) | {"peak_prob": teller.ask("peak_prob", id=token)}
    if teller.true("is_broken_run", id=token):
        told = teller.may("rise_broken", teller.ask("is_broken_run", id=token), **slots)
    elif end > start:
        told = teller.may("rise_one", **slots)
    elif end == teller.trace.depths:
        return []  # on top at the last depth alone, and passed over: told where the word is taken
    else:
        return teller.may("rise_brief", teller.ask("is_single_run", id=token), **slots)
    if not told:
        return []
    if teller.true("led_most", id=token):
        led = {"depths_on_top": teller.ask("depths_on_top", id=token)}
        return told + teller.may("led_most", teller.ask("led_most", id=token), **led)
    return told + _aftermath(teller, token, "sank", "sank_gone")


def span(teller: Teller, token: int, depth: int) -> dict[str, Ask]:
    """From where to where a token was on top: this run, and all its runs."""
    run = {slot: teller.ask(name, depth=depth, id=token) for slot, name in (("from", "run_start"), ("to", "run_end"))}
    return run | {"first": teller.ask("first_on_top", id=token), "last": teller.ask("last_on_top", id=token)}


def _aftermath(teller: Teller, token: int, key: str, gone: str, **slots: Ask) -> list[Sentence]:
    """What became of a rival at the last depth, unless that is told with the word that was taken."""
    trace, t = teller.trace, teller.t
    if teller.true("is_gone", id=token):
        return teller.may(gone, teller.ask("is_gone", id=token), **slots)
    told_later = token in (facts.next_word(trace, t), read.top_token(trace, t, trace.depths))
    if told_later or not teller.true("is_below_peak", id=token):
        return teller.may("peak", **slots) if slots else []
    return teller.may(key, teller.ask("is_below_peak", id=token), final_prob=teller.ask("final_prob", id=token), **slots)


def _procession(teller: Teller, rivals: list[int]) -> list[Sentence]:
    """The words that took turns on top, the answer among them where it lost the top again, and the strongest one's height."""
    if not teller.chooser.fresh("rise", teller.phrases["rise"]):
        return []
    emitted = int(teller.trace.answer_ids[teller.t])
    cast = [*rivals, emitted] if teller.true("is_broken_run", id=emitted) else rivals
    cast = sorted(cast, key=lambda token: facts.runs(teller.trace, teller.t, token)[0])
    lasting = [token for token in rivals if teller.value("depths_on_top", id=token) != 1]
    rival = max(lasting, key=lambda token: _presence(teller, token), default=None)
    parts: list[str] = []
    slots: dict[str, Ask] = {}
    claims: list[Ask] = []
    for number, token in enumerate(cast):
        part, asked, claim = _item(teller, token, is_rival=token == rival)
        parts.append(part.replace("{", f"{{r{number}_"))
        slots |= {f"r{number}_{slot}": ask for slot, ask in asked.items()}
        claims.append(claim)
    phrase = teller.chooser.pick("rise", teller.phrases["rise"])
    listed = phrase.replace("{list}", teller.tongue.comma.join(parts))
    told = [teller.fill(listed, slots, claims, name=phrase_id("rise", phrase))]
    if rival is None:
        return told
    names = ("rival", "candidate"), ("peak_depth", "peak_depth"), ("peak_prob", "peak_prob")
    return told + _aftermath(teller, rival, "fall", "fall_gone", **{slot: teller.ask(name, id=rival) for slot, name in names})


def _item(teller: Teller, token: int, *, is_rival: bool) -> tuple[str, dict[str, Ask], Ask]:
    """One word of the procession: its phrase, its slots and its claim."""
    (start, end), *more = facts.runs(teller.trace, teller.t, token)
    form = "_broken" if more else "" if end > start else "_single"
    slots = {"word": teller.ask("top", depth=start), "peak_prob": teller.ask("peak_prob", id=token), **span(teller, token, start)}
    phrase = teller.phrases[("rise_rival" if is_rival else "rise_item") + form][0]
    return phrase, slots, teller.ask("is_broken_run" if more else "is_single_run", id=token)


def twin(teller: Teller) -> list[Sentence]:
    """The emitted word in another spelling, the last one that was on top at the depths >= L/2 and is not any more."""
    trace, t = teller.trace, teller.t
    tops = trace.top_ids[t, read.half(trace) : -1, 0].tolist()
    double = next((token for token in reversed(tops) if teller.true("is_twin", id=token)), None)
    if double is None or double == read.top_token(trace, t, trace.depths):
        return []
    start, end = facts.runs(trace, t, double)[-1]
    slots = span(teller, double, end) | {"twin": teller.ask("candidate", id=double)}
    return teller.may("twin_single" if start == end else "twin", teller.ask("is_twin", id=double), **slots)
