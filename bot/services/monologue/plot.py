"""What the monologue tells of a trace, and in which order. The words are data (`phrases`), the numbers are `facts`.

Where a depth is named it is the lens that reads there; the voice claims only the last depth, the named figures of the trace, and
the tokens. Knows no Discord and no markdown: token text stands raw between “ and ”.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.render.text import bare
from bot.services.monologue import beside, facts
from bot.services.monologue.climb import climb, rivals_of, twin
from bot.services.monologue.facts import NOWHERE, Line
from bot.services.monologue.ledger import ledger
from bot.services.monologue.phrases import Ask, Sentence
from bot.services.monologue.teller import Teller
from models import readings as read
from models.trace import Trace

LONGEST = 1_800
SPARED = "push drag musing easy second led_most closing twin twin_single drawn look look_nowhere pull_story_same".split()  # noqa: SIM905
"""What is left out of a telling that gets longer than its language's ``aim``, in this order. Never the causes, nor the doubt."""
_TELLING_DENIAL = 0.01
_MUSES = 170
"""Out of 256 answers, how many come with a thought that states nothing."""
_KNOT = 0.5
"""From this probability on a second hard place is not called hard."""
_TAKEN = {"torn": "took_torn", "lost": "took_lost", "nowhere": "took_nowhere"}


def tell(trace: Trace, locale: str = "en-US", *, avoid: Sequence[str] = (), everything: bool = False) -> tuple[Line, ...]:
    """The inner monologue of an answer: first person, deterministic, every number a fact of the trace and its findings.

    Args:
        trace: with as much evidence beside it as there is (`Trace.with_findings`); what is not there is not spoken of.
        locale: a Discord locale; Chinese ones are told in Simplified Chinese, all others in English.
        avoid: ids of phrases used lately in the same place (`phrases_of`), oldest first; none of them is used again while there
            is another way to say it, and what can be left unsaid is left unsaid.
        everything: the long form, with a line per telling token and all the evidence; may be longer than `LONGEST`.

    Nothing is told from the Jacobian lens: what it reads is a disposition, and every depth told here is a reading of the output.
    """
    if trace.depths < 1 or not read.predicts(trace):
        return ()
    pivot = read.pivotal(trace)
    spoken = [t for t in range(trace.length) if not trace.special[t]]
    teller = Teller(trace, pivot if pivot is not None else spoken[0] if spoken else 0, locale, avoid)
    lines = [teller.line(part) for part in _parts(teller, pivot, bool(spoken), everything) if part]
    while not everything and len(lines) > 2 and sum(len(line.text) + 2 for line in lines) > LONGEST:
        lines.pop(1)
    return tuple(lines)


def _parts(teller: Teller, pivot: int | None, spoken: bool, everything: bool) -> list[list[Sentence]]:
    if teller.trace.length == 0:
        return [[teller.say("silent", Ask("is_silent", NOWHERE))], [teller.say("silent_over")]]
    if not spoken:
        return [[teller.say("control", Ask("is_all_control", NOWHERE))], [teller.say("control_over")]]
    parts = _short(teller) if teller.mood == "certain" and not everything else _long(teller, pivot, everything)
    return [*parts[:-1], *ledger(teller), parts[-1]] if everything else _shortened(parts, teller.tongue.aim)


def _shortened(parts: list[list[Sentence]], aim: int) -> list[list[Sentence]]:
    """The parts without what can be spared, as far as that is needed to come down to ``aim`` characters."""
    for key in SPARED:
        if sum(len(said.text) + 1 for part in parts for said in part) <= aim:
            break
        parts = [[said for said in part if not any(name.startswith(f"{key}.") for name in said.phrases)] for part in parts]
    return parts


def _short(teller: Teller) -> list[list[Sentence]]:
    """When the pivotal token was sure, two or three lines say so."""
    seen = beside.causes(teller) or beside.attention(teller)
    return [[_wake(teller)], [*_quiet(teller), *seen], _over(teller)]


def _long(teller: Teller, pivot: int | None, everything: bool) -> list[list[Sentence]]:
    """Where it woke and what stood on the page, what the lens read on the way up, the handover, what was taken, doubt, end."""
    looked = beside.attention(teller, more=everything)
    first = [_wake(teller), *_page(teller)] if pivot is not None else [teller.say("wake_wordless", "is_wordless")]
    bound = beside.pull(teller)
    rose = climb(teller)
    handed = _handover(teller)
    taken = _taken_part(teller)
    caused = beside.causes(teller, more=everything)
    credited = [] if caused and not everything else beside.attribution(teller, more=everything)
    doubt = [_doubt(teller), *beside.self_report(teller), *_elsewhere(teller)]
    return [[*first, *looked], bound, rose, handed, [*taken, *credited], caused, doubt, _over(teller)]


def _wake(teller: Teller) -> Sentence:
    """Where the emitted token settled: its place in the text and its depth."""
    settle = read.settle_depth(teller.trace, teller.t)
    if settle is None:
        return teller.say("wake_never", "never_settled")
    if settle == teller.trace.depths:
        return teller.say("wake_last", "settled_at_last")
    if settle <= read.half(teller.trace):
        return teller.say("wake_early", "settled_at_half")
    return teller.say("wake_settled", "settled_before_last")


def _page(teller: Teller) -> list[Sentence]:
    """What had been written before."""
    if teller.t == 0:
        return teller.may("page_empty", "is_first")
    return teller.may("page") if read.is_word(facts.prefix(teller.trace, teller.t)) else []


def _handover(teller: Teller) -> list[Sentence]:
    """Where the distribution begins to be the final one, as a share of the depth; sometimes with a thought."""
    last = teller.true("handed_over_last")
    told = [teller.say("handover_last", "handed_over_last") if last else teller.say("handover", "handed_over_before")]
    return told + teller.may("musing") if teller.chooser.hash("musing")[0] < _MUSES else told


def _taken_part(teller: Teller) -> list[Sentence]:
    """What was emitted, at which probability, and over what."""
    told = [_taken(teller), *twin(teller)]
    drawn, own = float(teller.trace.sampled_prob[teller.t]), float(teller.trace.emitted_prob[teller.t, -1])
    if teller.true("was_drawn") and abs(drawn - own) > 0.01:
        told += teller.may("drawn", "was_drawn")
    return told + _denial(teller)


def _taken(teller: Teller) -> Sentence:
    trace, t = teller.trace, teller.t
    if teller.mood == "overruled":
        top = read.top_token(trace, t, trace.depths)
        slots = {"top": teller.ask("top", depth=trace.depths), "top_prob": teller.ask("final_prob", id=top)}
        slots["place"] = teller.ask("place", id=int(trace.answer_ids[t]))
        return teller.say("passed_over", "passed_over_top", **slots)
    other = facts.next_word(trace, t)
    if other is None or teller.mood == "certain" or read.token_text(trace, other).startswith("⟨"):  # bytes of no character
        return teller.say("took_alone", "took_top")
    slots = {"other": teller.ask("candidate", id=other), "other_prob": teller.ask("final_prob", id=other)}
    claims = ("took_top", f"is_{teller.mood}", teller.ask("is_next_word", id=other))
    return teller.say(_TAKEN.get(teller.mood, "took_clear"), *claims, **slots)


def _denial(teller: Teller) -> list[Sentence]:
    """A no that stood in line and was not asked."""
    trace, t = teller.trace, teller.t
    if read.is_denial(read.emitted_text(trace, t)):
        return []
    for token, prob in zip(trace.top_ids[t, -1].tolist(), trace.top_probs[t, -1].tolist(), strict=True):
        if read.is_denial(read.token_text(trace, token)) and prob >= _TELLING_DENIAL and token != trace.answer_ids[t]:
            if token == facts.next_word(trace, t) or token == trace.top_ids[t, -1, 0]:
                return []
            names = {"deny": "candidate", "deny_prob": "final_prob", "deny_place": "place"}
            slots = {slot: teller.ask(name, id=token) for slot, name in names.items()}
            return teller.may("denial", teller.ask("is_denial", id=token), **slots)
    return []


def _doubt(teller: Teller) -> Sentence:
    """How open it still was at the last depth."""
    choices = round(read.perplexity(teller.trace, teller.t))
    if choices <= 2:
        return teller.say("doubt_coin" if choices == 2 else "doubt_none")
    return teller.say("doubt_some" if choices <= 20 else "doubt_wide")


def _elsewhere(teller: Teller) -> list[Sentence]:
    """One glance at the rest of the answer: a second knot in a long one, the easiest word in a short one."""
    trace = teller.trace
    second, easy = facts.second_pivot(trace), facts.easiest(trace)
    if trace.length >= 16 and second is not None and trace.emitted_prob[second, -1] < _KNOT:
        slots = {"second": "emitted", "second_prob": "emitted_prob", "second_position": "position"}
        asked = {slot: teller.ask(name, t=second) for slot, name in slots.items()}
        return teller.may("second", teller.ask("is_second", t=second), **asked)
    if easy is not None and trace.emitted_prob[easy, -1] >= facts.SURE and not _is_told(teller, easy):
        asked = {"easy": teller.ask("emitted", t=easy), "easy_prob": teller.ask("emitted_prob", t=easy)}
        return teller.may("easy", teller.ask("is_easiest", t=easy), **asked)
    return []


def _is_told(teller: Teller, easy: int) -> bool:
    """Whether the easiest word reads like the emitted one or the next in line: it would be taken for that."""
    trace, other = teller.trace, facts.next_word(teller.trace, teller.t)
    told = [read.emitted_text(trace, teller.t), *([] if other is None else [read.token_text(trace, other)])]
    return bare(read.emitted_text(trace, easy)) in map(bare, told)


def _over(teller: Teller) -> list[Sentence]:
    """The closing token, where there is one, and the end of the pass."""
    last = teller.trace.length - 1
    told: list[Sentence] = []
    if teller.true("is_closing", t=last):
        asked = {"closing_position": teller.ask("position", t=last), "closing_prob": teller.ask("emitted_prob", t=last)}
        told += teller.may("closing", teller.ask("is_closing", t=last), **asked)
    return [*told, teller.say("over")]


def _quiet(teller: Teller) -> list[Sentence]:
    """The word, its probability, and one other word at most: for when little happened."""
    told = [teller.say("quiet", "is_certain")]
    rivals, other = rivals_of(teller), facts.next_word(teller.trace, teller.t)
    if rivals:
        _, end = facts.runs(teller.trace, teller.t, rivals[-1])[-1]
        slots = {"word": teller.ask("top", depth=end), "from": teller.ask("run_end", depth=end, id=rivals[-1])}
        return told + teller.may("quiet_rival", **slots)
    if other is not None:
        slots = {"other": teller.ask("candidate", id=other), "other_prob": teller.ask("final_prob", id=other)}
        return told + teller.may("quiet_other", teller.ask("is_next_word", id=other), **slots)
    return told
