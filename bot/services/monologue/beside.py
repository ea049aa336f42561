"""What is told from evidence beside the trace: pattern, attention, attribution, causes, watched words, self-report.

Each part is empty where its evidence was not looked for. Only `causes` speaks of causes, and only from a causal check.
"""

from __future__ import annotations

from bot.render.text import named
from bot.services.monologue import evidence
from bot.services.monologue.phrases import Sentence
from bot.services.monologue.teller import Teller
from models import readings as read

_FELT = 0.1
"""Template pull in nats from which the pattern is worth a word."""
_SEEN = 0.03
"""Share of the attention from which a look is worth a word."""


def pull(teller: Teller) -> list[Sentence]:
    """The pattern that it felt bound by: what the first word would have been without it.

    Of the chat frame only another *word* is told, not how far it pulls: a bare ``Q: … A:`` is followed by other spaces and marks
    than a chat, and most of the divergence may be those.
    """
    found = teller.trace.findings.pull
    if found is None or teller.trace.emitted_rank[0, -1] > 0:
        return []  # a first word that was drawn against the odds is told as such
    if teller.true("pulled_by_chat"):
        return teller.may("pull_chat", "pull_differs", "pulled_by_chat") if _other_word(teller) else []
    if found.kl < _FELT:
        return []
    if teller.true("pull_differs"):
        return teller.may("pull_story", "pull_differs", "pulled_by_story") if _other_word(teller) else []
    return teller.may("pull_story_same", "pull_agrees", "pulled_by_story")


def _other_word(teller: Teller) -> bool:
    """Whether the likeliest first tokens are two words, and differ in more than spaces, marks and capitals."""
    texts = [str(teller.value(name)) for name in ("pull_with", "pull_without")]
    one, other = ("".join(filter(str.isalnum, text)).casefold() for text in texts)
    return bool(one and other) and one != other and not any("⟨" in text for text in texts)


def attention(teller: Teller, *, more: bool = False) -> list[Sentence]:
    """Where its upper blocks looked while the token was predicted."""
    found = teller.trace.findings.attention
    if found is None or teller.t >= len(found.positions) or not found.positions.shape[1]:
        return []
    places = found.positions[teller.t].tolist()
    if float(found.weights[teller.t, 0]) < _SEEN:
        return teller.may("look_nowhere", **teller.asks("sink_share")) if teller.true("sink_share") else []
    if not _is_whole(str(teller.value("looked_at", p=places[0]))):
        return []
    told = teller.may("look", teller.ask("is_most_looked_at", p=places[0]), **teller.asks("looked_at", "look_share", p=places[0]))
    if not more:
        return told
    others = [p for p in places[1:4] if teller.value("looked_at", p=p)]
    told += [teller.entry("ledger_look", **teller.asks("looked_at", "look_share", p=p)) for p in others]
    return [*told, teller.entry("ledger_sink", **teller.asks("sink_share"))]


def _is_whole(text: str) -> bool:
    """Whether a place in the prompt reads as a word: letters, and no splinter of a character."""
    return any(char.isalpha() for char in text) and not any(char in "⟨\ufffd" for char in text)


def attribution(teller: Teller, *, more: bool = False) -> list[Sentence]:
    """The part of a block that pushed hardest, and the one that dragged. Attribution is not cause, and is not told as one."""
    ledger = teller.trace.findings.attribution
    if ledger is None or teller.value("against") is None or _same_word(teller):
        return []
    if teller.mood == "overruled" and not more:
        return []  # what it had over the one on top was not enough, and reads as if it had been
    told: list[Sentence] = []
    for key, sign in (("push", 1), ("drag", -1)):
        place = evidence.hardest(teller.trace, teller.t, sign=sign)
        if place is None or (sign < 0 and not (more and told)):
            continue
        where = {"block": place[0], "part": place[1]}
        told += teller.may(key, teller.ask(f"is_hardest_{key}", **where), **teller.asks("block", "part", "push", **where))
    return told


def _same_word(teller: Teller) -> bool:
    against = named(str(teller.value("against"))).casefold()
    return against == named(read.emitted_text(teller.trace, teller.t)).casefold()


def causes(teller: Teller, *, more: bool = False) -> list[Sentence]:
    """Which blocks the likeliest token hangs on, as measured by leaving each one out, beside a random control."""
    if teller.value("flip_count") is None:
        return []
    blocks = evidence.flips(teller.trace, teller.t)
    if not blocks:
        return [*_unmoved(teller), *(_costs(teller) if more else [])]
    claims = [teller.ask(name, block=blocks[0]) for name in ("flips", "is_costliest_flip")]
    steady = teller.value("without_prob", block=blocks[0]) is not None
    slots = ("block", "without", "without_prob") if steady else ("block", "without")
    told = teller.may("cause" if steady else "cause_rough", *claims, **teller.asks(*slots, block=blocks[0]))
    told += teller.may("cause_more", "flips_more") if len(blocks) > 1 else teller.may("cause_only", "flips_once")
    if not more:
        return told
    told += [_cause(teller, block) for block in blocks[1:]]
    told += [teller.entry("ledger_noise")] if teller.value("noise_count") else []
    return told + _costs(teller)


def _cause(teller: Teller, block: int) -> Sentence:
    """One of several; without a figure where the rounding would write its digits."""
    steady = teller.value("without_prob", block=block) is not None
    slots = ("block", "without", "without_prob") if steady else ("block", "without")
    key = "ledger_cause" if steady else "ledger_cause_rough"
    return teller.entry(key, teller.ask("flips", block=block), **teller.asks(*slots, block=block))


def _unmoved(teller: Teller) -> list[Sentence]:
    key = "flips_nowhere" if teller.true("flips_nowhere") else "flips_like_noise"
    return teller.may({"flips_nowhere": "cause_none", "flips_like_noise": "cause_noise"}[key], key)


def _costs(teller: Teller) -> list[Sentence]:
    """The removal that cost the emitted token most, where that is more than any random one did."""
    block = evidence.costliest(teller.trace, teller.t)
    if block is None or not teller.true("outdrops", block=block):
        return []
    claims = [teller.ask(name, block=block) for name in ("is_costliest", "outdrops")]
    if teller.value("drop", block=block) is None:
        return [teller.entry("ledger_cost_rough", *claims, **teller.asks("block", block=block))]
    return [teller.entry("ledger_cost", *claims, **teller.asks("block", "drop", block=block))]


def watched(teller: Teller) -> list[Sentence]:
    """The words that somebody asked to be followed."""
    found = teller.trace.findings.watched
    names = ("watched", "watched_peak_depth", "watched_peak", "watched_final")
    told = []
    for word in range(len(found.words) if found else 0):
        claim = "is_whole" if teller.true("is_whole", word=word) else "is_piece"
        key = "ledger_watched" if claim == "is_whole" else "ledger_watched_piece"
        told.append(teller.entry(key, teller.ask(claim, word=word), **teller.asks(*names, word=word)))
    return told


def self_report(teller: Teller) -> list[Sentence]:
    """How sure the model says it is, and how often it says the same again."""
    report, told = teller.trace.findings.self_report, list[Sentence]()
    if report is None:
        return []
    if report.p_true is not None and report.said is not None:
        told += teller.may("p_true" if report.said >= 0.5 else "p_true_hardly")
    if report.agreement is not None and report.samples and report.groups:
        told += teller.may("agreement")
    return told
