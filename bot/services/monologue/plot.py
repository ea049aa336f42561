"""What the monologue tells of a trace, and in which order. The words are data (`phrases`), the numbers are `facts`.

Where a depth is named it is the lens that reads there; the voice claims only the last depth, the named figures of the trace, and
the tokens. Knows no Discord and no markdown: token text stands raw between “ and ”.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.render.text import bare
from bot.services.monologue import facts
from bot.services.monologue.facts import NOWHERE, Line, Where
from bot.services.monologue.phrases import Ask, Chooser, Sentence, fill, phrases_for
from models import readings as read
from models.trace import Trace

LONGEST = 1_800
_MAX_RIVALS = 4
_TELLING_DENIAL = 0.01
_MUSES = 170
"""Out of 256 answers, how many come with a thought that states nothing."""


class Teller:
    """One monologue in the making, at one answer token ``t``."""

    def __init__(self, trace: Trace, t: int, locale: str) -> None:
        self.trace, self.t = trace, t
        self._phrases = phrases_for(locale)
        self._chooser = Chooser(trace)
        self.mood = facts.mood(trace, t)

    def ask(self, name: str, *, t: int | None = None, depth: int | None = None, id: int | None = None) -> Ask:
        """A fact at this token, or at another."""
        return Ask(name, Where(self.t if t is None else t, depth, id))

    def say(self, key: str, *claims: str | Ask, **slots: Ask) -> Sentence:
        """A sentence of the table; slots that are not given are facts of the same name at this token."""
        phrase = self._chooser.pick(key, self._phrases[key])
        return self._fill(phrase, slots, claims)

    def true(self, claim: str, *, t: int | None = None, id: int | None = None) -> bool:
        """Whether a claim holds at this token, or at another."""
        return bool(facts.value_of(self.trace, *self.ask(claim, t=t, id=id)))

    def _fill(self, phrase: str, slots: Mapping[str, Ask], claims: Iterable[str | Ask]) -> Sentence:
        here = {name: self.ask(name) for name in facts.READINGS}
        return fill(self.trace, phrase, {**here, **slots}, [self.ask(c) if isinstance(c, str) else c for c in claims])

    # -- the parts, in the order in which they are told -------------------------------------------------------------------------

    def wake(self) -> Sentence:
        """Where the emitted token settled: its place in the text and its depth."""
        settle = read.settle_depth(self.trace, self.t)
        if settle is None:
            return self.say("wake_never", "never_settled")
        if settle == self.trace.depths:
            return self.say("wake_last", "settled_at_last")
        if settle <= read.half(self.trace):
            return self.say("wake_early", "settled_at_half")
        return self.say("wake_settled", "settled_before_last")

    def page(self) -> list[Sentence]:
        """What had been written before."""
        if self.t == 0:
            return [self.say("page_empty", "is_first")]
        return [self.say("page")] if read.is_word(facts.prefix(self.trace, self.t)) else []

    def climb(self) -> list[Sentence]:
        """What the lens read on the way up: marks first, then the words that were on top and are not the answer."""
        told = []
        until = facts.marks_until(self.trace, self.t)
        if until is not None and read.half(self.trace) < until < self.trace.depths:
            told.append(self.say("marks"))
        rivals = self._rivals()
        if len(rivals) == 1:
            told += self._lone(rivals[0])
        elif rivals:
            told += self._procession(rivals)
        elif self.true("is_unopposed"):
            told.append(self.say("unopposed", "is_unopposed"))
        return told

    def _rivals(self) -> list[int]:
        """The telling words on top at the depths >= L/2, the emitted one and its other spellings left out, in order of depth."""
        tops = self.trace.top_ids[self.t, read.half(self.trace) :, 0].tolist()
        emitted = int(self.trace.answer_ids[self.t])
        words = [token for token in dict.fromkeys(tops) if token != emitted and read.is_word(read.token_text(self.trace, token))]
        words = [token for token in words if not facts.is_twin(self.trace, self.t, token)]
        telling = set(sorted(words, key=self._presence, reverse=True)[:_MAX_RIVALS])
        return [token for token in words if token in telling]

    def _presence(self, token: int) -> float:
        """How much a rival has to say: its depths on top, words of weight first."""
        depths = sum(end - start + 1 for start, end in facts.runs(self.trace, self.t, token))
        return depths * read.word_weight(read.token_text(self.trace, token))

    def _lone(self, token: int) -> list[Sentence]:
        """The one word that stood on top beside the answer."""
        start, end = facts.runs(self.trace, self.t, token)[0]
        slots = {"word": self.ask("top", depth=start), "top_prob": self.ask("top_prob", depth=start)}
        slots |= self._span(token, start) | {"peak_prob": self.ask("peak_prob", id=token)}
        if self.true("is_broken_run", id=token):
            told = [self.say("rise_broken", self.ask("is_broken_run", id=token), **slots)]
        elif end > start:
            told = [self.say("rise_one", **slots)]
        else:
            return [self.say("rise_brief", self.ask("is_single_run", id=token), **slots)]
        if self.true("led_most", id=token):
            led = {"depths_on_top": self.ask("depths_on_top", id=token)}
            return [*told, self.say("led_most", self.ask("led_most", id=token), **led)]
        return told + self._aftermath(token, "sank", "sank_gone")

    def _span(self, token: int, depth: int) -> dict[str, Ask]:
        run = {slot: self.ask(name, depth=depth, id=token) for slot, name in (("from", "run_start"), ("to", "run_end"))}
        return run | {"first": self.ask("first_on_top", id=token), "last": self.ask("last_on_top", id=token)}

    def _aftermath(self, token: int, key: str, gone: str, **slots: Ask) -> list[Sentence]:
        """What became of a rival at the last depth, unless that is told with the word that was taken."""
        if self.true("is_gone", id=token):
            return [self.say(gone, self.ask("is_gone", id=token), **slots)]
        final = facts.value_of(self.trace, *self.ask("final_prob", id=token))
        if final is None or token in (facts.next_word(self.trace, self.t), read.top_token(self.trace, self.t, self.trace.depths)):
            return [self.say("peak", **slots)] if slots else []
        if not self.true("is_below_peak", id=token):
            return [self.say("peak", **slots)] if slots else []
        return [self.say(key, self.ask("is_below_peak", id=token), final_prob=self.ask("final_prob", id=token), **slots)]

    def _procession(self, rivals: list[int]) -> list[Sentence]:
        """The words that took turns on top, the answer among them where it lost the top again, and the strongest one's height."""
        emitted = int(self.trace.answer_ids[self.t])
        cast = [*rivals, emitted] if self.true("is_broken_run", id=emitted) else rivals
        cast = sorted(cast, key=lambda token: facts.runs(self.trace, self.t, token)[0])
        lasting = [token for token in rivals if facts.value_of(self.trace, *self.ask("depths_on_top", id=token)) != 1]
        rival = max(lasting, key=self._presence, default=None)
        parts: list[str] = []
        slots: dict[str, Ask] = {}
        claims: list[Ask] = []
        for number, token in enumerate(cast):
            (start, end), *more = facts.runs(self.trace, self.t, token)
            form = "_broken" if more else "" if end > start else "_single"
            form = ("rise_rival" if token == rival else "rise_item") + form
            parts.append(self._phrases[form][0].replace("{", f"{{r{number}_"))
            asked = {
                "word": self.ask("top", depth=start),
                "peak_prob": self.ask("peak_prob", id=token),
                **self._span(token, start),
            }
            slots |= {f"r{number}_{slot}": ask for slot, ask in asked.items()}
            claims.append(self.ask("is_broken_run" if more else "is_single_run", id=token))
        phrase = self._chooser.pick("rise", self._phrases["rise"])
        told = [self._fill(phrase.replace("{list}", "; ".join(parts)), slots, claims)]
        if rival is None:
            return told
        names = ("rival", "candidate"), ("peak_depth", "peak_depth"), ("peak_prob", "peak_prob")
        return told + self._aftermath(rival, "fall", "fall_gone", **{slot: self.ask(name, id=rival) for slot, name in names})

    def _twin(self) -> list[Sentence]:
        """The emitted word in another spelling, the last one that was on top at the depths >= L/2 and is not any more."""
        tops = self.trace.top_ids[self.t, read.half(self.trace) : -1, 0].tolist()
        twin = next((token for token in reversed(tops) if self.true("is_twin", id=token)), None)
        if twin is None or twin == read.top_token(self.trace, self.t, self.trace.depths):
            return []
        start, end = facts.runs(self.trace, self.t, twin)[-1]
        slots = self._span(twin, end) | {"twin": self.ask("candidate", id=twin)}
        return [self.say("twin_single" if start == end else "twin", self.ask("is_twin", id=twin), **slots)]

    def handover(self) -> list[Sentence]:
        """Where the distribution begins to be the final one, as a share of the depth; sometimes with a thought."""
        last = self.true("handed_over_last")
        told = [self.say("handover_last", "handed_over_last") if last else self.say("handover", "handed_over_before")]
        return [*told, self.say("musing")] if self._chooser.hash("musing")[0] < _MUSES else told

    def taken(self) -> list[Sentence]:
        """What was emitted, at which probability, and over what."""
        told = [self._taken(), *self._twin()]
        if self.true("was_drawn") and self._sampler_differs():
            told.append(self.say("drawn", "was_drawn"))
        return told + self._denial()

    def _taken(self) -> Sentence:
        if self.mood == "overruled":
            top = read.top_token(self.trace, self.t, self.trace.depths)
            slots = {"top": self.ask("top", depth=self.trace.depths), "top_prob": self.ask("final_prob", id=top)}
            slots["place"] = self.ask("place", id=int(self.trace.answer_ids[self.t]))
            return self.say("passed_over", "passed_over_top", **slots)
        other = facts.next_word(self.trace, self.t)
        if other is None:
            return self.say("took_alone", "took_top")
        slots = {"other": self.ask("candidate", id=other), "other_prob": self.ask("final_prob", id=other)}
        claims = ("took_top", f"is_{self.mood}", self.ask("is_next_word", id=other))
        return self.say({"torn": "took_torn", "lost": "took_lost"}.get(self.mood, "took_clear"), *claims, **slots)

    def _sampler_differs(self) -> bool:
        drawn, own = float(self.trace.sampled_prob[self.t]), float(self.trace.emitted_prob[self.t, -1])
        return abs(drawn - own) > 0.01

    def _denial(self) -> list[Sentence]:
        """A no that stood in line and was not asked."""
        trace, t = self.trace, self.t
        if read.is_denial(read.emitted_text(trace, t)):
            return []
        for token, prob in zip(trace.top_ids[t, -1].tolist(), trace.top_probs[t, -1].tolist(), strict=True):
            if read.is_denial(read.token_text(trace, token)) and prob >= _TELLING_DENIAL and token != trace.answer_ids[t]:
                deny = self.ask("candidate", id=token)
                if token == facts.next_word(trace, t) or token == trace.top_ids[t, -1, 0]:
                    return []
                slots = {"deny": deny, "deny_prob": self.ask("final_prob", id=token), "deny_place": self.ask("place", id=token)}
                return [self.say("denial", self.ask("is_denial", id=token), **slots)]
        return []

    def doubt(self) -> Sentence:
        """How open it still was at the last depth."""
        choices = round(read.perplexity(self.trace, self.t))
        if choices <= 2:
            return self.say("doubt_coin" if choices == 2 else "doubt_none")
        return self.say("doubt_some" if choices <= 20 else "doubt_wide")

    def elsewhere(self) -> list[Sentence]:
        """One glance at the rest of the answer: a second knot in a long one, the easiest word in a short one."""
        second, easy = facts.second_pivot(self.trace), facts.easiest(self.trace)
        if self.trace.length >= 16 and second is not None:
            slots = {"second": "emitted", "second_prob": "emitted_prob", "second_position": "position"}
            asked = {slot: self.ask(name, t=second) for slot, name in slots.items()}
            return [self.say("second", self.ask("is_second", t=second), **asked)]
        if easy is not None and bare(read.emitted_text(self.trace, easy)) != bare(read.emitted_text(self.trace, self.t)):
            asked = {"easy": self.ask("emitted", t=easy), "easy_prob": self.ask("emitted_prob", t=easy)}
            return [self.say("easy", self.ask("is_easiest", t=easy), **asked)]
        return []

    def over(self) -> list[Sentence]:
        """The closing token, where there is one, and the end of the pass."""
        last = self.trace.length - 1
        told = []
        if self.true("is_closing", t=last):
            asked = {"closing_position": self.ask("position", t=last), "closing_prob": self.ask("emitted_prob", t=last)}
            told.append(self.say("closing", self.ask("is_closing", t=last), **asked))
        return [*told, self.say("over")]

    def quiet(self) -> list[Sentence]:
        """The word, its probability, and one other word at most: for when little happened."""
        told = [self.say("quiet", "is_certain")]
        rivals, other = self._rivals(), facts.next_word(self.trace, self.t)
        if rivals:
            _, end = facts.runs(self.trace, self.t, rivals[-1])[-1]
            slots = {"word": self.ask("top", depth=end), "from": self.ask("run_end", depth=end, id=rivals[-1])}
            told.append(self.say("quiet_rival", **slots))
        elif other is not None:
            slots = {"other": self.ask("candidate", id=other), "other_prob": self.ask("final_prob", id=other)}
            told.append(self.say("quiet_other", self.ask("is_next_word", id=other), **slots))
        return told


def tell(trace: Trace, locale: str = "en-US") -> tuple[Line, ...]:
    """The inner monologue of an answer: first person, deterministic, every number a fact of the trace.

    Line by line: where I woke and what stood on the page, what the lens read on the way up, the handover, what was taken, the
    doubt, the end. When the pivotal token was sure, two or three lines say so.
    """
    if trace.depths < 1:
        return ()
    lines = [_line(part) for part in _parts(trace, locale) if part]
    while len(lines) > 2 and sum(len(line.text) + 2 for line in lines) > LONGEST:
        lines.pop(-2)
    return tuple(lines)


def _parts(trace: Trace, locale: str) -> list[list[Sentence]]:
    if trace.length == 0:
        silent, over = (phrases_for(locale)[key][0] for key in ("silent", "silent_over"))
        return [[fill(trace, silent, {}, [Ask("is_silent", NOWHERE)])], [fill(trace, over, {})]]
    pivot = read.pivotal(trace)
    spoken = [t for t in range(trace.length) if not trace.special[t]]
    teller = Teller(trace, pivot if pivot is not None else spoken[0] if spoken else 0, locale)
    if not spoken:
        return [[teller.say("control", Ask("is_all_control", NOWHERE))], [teller.say("control_over")]]
    if teller.mood == "certain":
        return [[teller.wake()], teller.quiet(), teller.over()]
    first = [teller.wake(), *teller.page()] if pivot is not None else [teller.say("wake_wordless", "is_wordless")]
    return [first, teller.climb(), teller.handover(), teller.taken(), [teller.doubt(), *teller.elsewhere()], teller.over()]


def _line(sentences: list[Sentence]) -> Line:
    return Line(" ".join(s.text for s in sentences), tuple(fact for s in sentences for fact in s.facts))
