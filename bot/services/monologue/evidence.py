"""The facts that need evidence beside the trace (`models.findings`): each is None where that evidence was not looked for.

A cause is stated only from a causal check of the same token, and only where the control of the same norm does otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bot.render.text import named
from bot.services.monologue.stating import Reading
from models import readings as read
from models import readings_causal as causal
from models.findings import Attention, Attribution, CausalCheck, Pull, Removals
from models.trace import Trace

PARTS = ("attention", "mlp")

# -- template pull ---------------------------------------------------------------------------------------------------------------


def _pull_text(pull: Pull, token: int) -> str:
    return pull.pieces.get(token) or f"⟨{token}⟩"


def _pulled(trace: Trace, side: str) -> str | None:
    pull = trace.findings.pull
    return None if pull is None else _pull_text(pull, int(getattr(pull, f"{side}_ids")[0]))


def _pulled_prob(trace: Trace, side: str) -> float | None:
    pull = trace.findings.pull
    return None if pull is None else float(getattr(pull, f"{side}_probs")[0])


def _agrees(trace: Trace) -> bool | None:
    """Whether the likeliest first token reads the same with and without the pattern, spaces and capitals aside."""
    one, other = _pulled(trace, "with"), _pulled(trace, "without")
    return None if one is None or other is None else named(one.strip()).casefold() == named(other.strip()).casefold()


# -- attention -------------------------------------------------------------------------------------------------------------------


def _looked(trace: Trace, t: int, p: int) -> tuple[Attention, int] | None:
    attention = trace.findings.attention
    if attention is None or t >= len(attention.positions):
        return None
    places = np.flatnonzero(attention.positions[t] == p)
    return (attention, int(places[0])) if places.size else None


def _looked_at(trace: Trace, t: int, p: int) -> str | None:
    found = _looked(trace, t, p)
    return found[0].words.get(p) if found else None


def _look_share(trace: Trace, t: int, p: int) -> float | None:
    found = _looked(trace, t, p)
    return float(found[0].weights[t, found[1]]) if found else None


def _is_most_looked_at(trace: Trace, t: int, p: int) -> bool:
    found = _looked(trace, t, p)
    return found is not None and bool(found[0].weights[t, found[1]] >= found[0].weights[t].max())


def _sink(trace: Trace, t: int) -> float | None:
    attention = trace.findings.attention
    return None if attention is None or t >= len(attention.sink) else float(attention.sink[t])


# -- attribution -----------------------------------------------------------------------------------------------------------------


def _ledger(trace: Trace, t: int) -> Attribution | None:
    attribution = trace.findings.attribution
    return None if attribution is None or t >= len(attribution.against) else attribution


def _against(trace: Trace, t: int) -> str | None:
    ledger = _ledger(trace, t)
    return None if ledger is None else read.token_text(trace, int(ledger.against[t]))


def _lead(trace: Trace, t: int) -> float | None:
    ledger = _ledger(trace, t)
    return None if ledger is None else float(ledger.difference[t])


def _push(trace: Trace, t: int, block: int, part: int) -> float | None:
    ledger = _ledger(trace, t)
    return None if ledger is None else float(ledger.blocks[t, block - 1, part])


def _is_hardest(trace: Trace, t: int, block: int, part: int, *, sign: int) -> bool:
    ledger = _ledger(trace, t)
    if ledger is None:
        return False
    push = sign * float(ledger.blocks[t, block - 1, part])
    others = (sign * ledger.blocks[t]).max(), sign * ledger.embedding[t], sign * ledger.constant[t]
    return push > 0 and push >= float(max(others))


def hardest(trace: Trace, t: int, *, sign: int = 1) -> tuple[int, int] | None:
    """Block and part with the largest share in the lead of the emitted token (``sign`` 1), or in the way of it (-1).

    None when the embedding or the constant has a larger one.
    """
    ledger = _ledger(trace, t)
    if ledger is None:
        return None
    pushes = sign * ledger.blocks[t]  # (L, 2)
    block, part = np.unravel_index(int(pushes.argmax()), pushes.shape)
    found = int(block) + 1, int(part)
    return found if _is_hardest(trace, t, *found, sign=sign) else None


# -- causal check ----------------------------------------------------------------------------------------------------------------


def _check(trace: Trace, t: int) -> tuple[CausalCheck, Removals] | None:
    check = trace.findings.causal
    removals = check.of("block") if check is not None and check.t == t else None
    return (check, removals) if check is not None and removals is not None else None


def flips(trace: Trace, t: int) -> list[int]:
    """The blocks without which another token is likeliest, while the random removal of the same norm changes nothing.

    Those that cost the emitted token most come first.
    """
    found = _check(trace, t)
    if found is None:
        return []
    check, removals = found
    return sorted((flip.block for flip in causal.flips(check)), key=lambda b: (float(removals.logprob[b - 1]), b))


def _flip_count(trace: Trace, t: int) -> int | None:
    return len(flips(trace, t)) if _check(trace, t) else None


def _noise(trace: Trace, t: int) -> int | None:
    """How many removals change the likeliest token where their control does too."""
    found = _check(trace, t)
    return len(causal.noisy(found[0])) if found else None


def _without(trace: Trace, t: int, block: int) -> str | None:
    found = _check(trace, t)
    if found is None:
        return None
    check, removals = found
    token = int(removals.top_ids[block - 1])
    if token == check.emitted:
        return read.emitted_text(trace, t)
    return trace.pieces.get(token) or check.pieces.get(token) or read.token_text(trace, token)


def _without_prob(trace: Trace, t: int, block: int) -> float | None:
    found = _check(trace, t)
    return float(found[1].top_probs[block - 1]) if found and causal.is_steady(found[1], block) else None


def _drop(trace: Trace, t: int, block: int) -> float | None:
    found = _check(trace, t)
    return found[0].logprob - float(found[1].logprob[block - 1]) if found and causal.is_steady(found[1], block) else None


def costliest(trace: Trace, t: int) -> int | None:
    """The block whose removal costs the emitted token the most log-probability."""
    found = _check(trace, t)
    return int(found[1].logprob.argmin()) + 1 if found else None


def _control_drop(trace: Trace, t: int) -> float | None:
    """The most that any random removal cost."""
    found = _check(trace, t)
    return found[0].logprob - float(found[1].control_logprob.min()) if found else None


def _outdrops(trace: Trace, t: int, block: int) -> bool:
    found = _check(trace, t)
    if found is None:
        return False
    check, removals = found
    return check.logprob - float(removals.logprob[block - 1]) > max(check.logprob - float(removals.control_logprob.min()), 0.0)


# -- watched words and self-report -----------------------------------------------------------------------------------------------


def _watched_word(trace: Trace, word: int) -> str | None:
    watched = trace.findings.watched
    return watched.words[word] if watched is not None and word < len(watched.words) else None


def _watched(trace: Trace, t: int, word: int) -> np.ndarray | None:
    """Its probabilities at the depths from 1 on, (L,)."""
    watched = trace.findings.watched
    return None if watched is None or word >= len(watched.words) else watched.probs[word, t, 1:]


def _watched_peak(trace: Trace, t: int, word: int) -> tuple[int, float] | None:
    probs = _watched(trace, t, word)
    return None if probs is None else (int(probs.argmax()) + 1, float(probs.max()))


def _watched_final(trace: Trace, t: int, word: int) -> float | None:
    probs = _watched(trace, t, word)
    return None if probs is None else float(probs[-1])


def _is_whole(trace: Trace, word: int) -> bool | None:
    watched = trace.findings.watched
    return None if watched is None or word >= len(watched.whole) else bool(watched.whole[word])


def _said(trace: Trace, name: str) -> float | int | None:
    report = trace.findings.self_report
    return None if report is None else getattr(report, name)


EVIDENCE: Mapping[str, Reading] = {
    "pull": Reading("nats", "", lambda trace: trace.findings.pull and float(trace.findings.pull.kl)),
    "pull_with": Reading("token", "", lambda trace: _pulled(trace, "with")),
    "pull_with_prob": Reading("share", "", lambda trace: _pulled_prob(trace, "with")),
    "pull_without": Reading("token", "", lambda trace: _pulled(trace, "without")),
    "pull_without_prob": Reading("share", "", lambda trace: _pulled_prob(trace, "without")),
    "pull_differs": Reading("claim", "", lambda trace: _agrees(trace) is False),
    "pull_agrees": Reading("claim", "", lambda trace: _agrees(trace) is True),
    "pulled_by_story": Reading("claim", "", lambda trace: bool(trace.findings.pull and trace.findings.pull.pattern == "story")),
    "pulled_by_chat": Reading("claim", "", lambda trace: bool(trace.findings.pull and trace.findings.pull.pattern == "chat")),
    "looked_at": Reading("token", "tp", _looked_at),
    "look_share": Reading("share", "tp", _look_share),
    "is_most_looked_at": Reading("claim", "tp", _is_most_looked_at),
    "sink_share": Reading("share", "t", _sink),
    "against": Reading("token", "t", _against),
    "lead": Reading("logits", "t", _lead),
    "push": Reading("logits", "tba", _push),
    "block": Reading("whole", "b", lambda trace, block: block),
    "part": Reading("part", "a", lambda trace, part: PARTS[part]),
    "is_hardest_push": Reading("claim", "tba", lambda trace, t, b, a: _is_hardest(trace, t, b, a, sign=1)),
    "is_hardest_drag": Reading("claim", "tba", lambda trace, t, b, a: _is_hardest(trace, t, b, a, sign=-1)),
    "without": Reading("token", "tb", _without),
    "without_prob": Reading("share", "tb", _without_prob),
    "drop": Reading("nats", "tb", _drop),
    "control_drop": Reading("nats", "t", _control_drop),
    "flip_count": Reading("whole", "t", _flip_count),
    "noise_count": Reading("whole", "t", _noise),
    "flips": Reading("claim", "tb", lambda trace, t, b: b in flips(trace, t)),
    "is_costliest_flip": Reading("claim", "tb", lambda trace, t, b: flips(trace, t)[:1] == [b]),
    "is_costliest": Reading("claim", "tb", lambda trace, t, b: costliest(trace, t) == b),
    "outdrops": Reading("claim", "tb", _outdrops),
    "flips_once": Reading("claim", "t", lambda trace, t: _flip_count(trace, t) == 1),
    "flips_more": Reading("claim", "t", lambda trace, t: (_flip_count(trace, t) or 0) > 1),
    "flips_nowhere": Reading("claim", "t", lambda trace, t: _flip_count(trace, t) == 0 and _noise(trace, t) == 0),
    "flips_like_noise": Reading("claim", "t", lambda trace, t: _flip_count(trace, t) == 0 and (_noise(trace, t) or 0) > 0),
    "watched": Reading("token", "w", _watched_word),
    "watched_peak_depth": Reading("whole", "tw", lambda trace, t, w: (_watched_peak(trace, t, w) or (None,))[0]),
    "watched_peak": Reading("share", "tw", lambda trace, t, w: (_watched_peak(trace, t, w) or (None, None))[1]),
    "watched_final": Reading("share", "tw", _watched_final),
    "is_whole": Reading("claim", "w", lambda trace, w: _is_whole(trace, w) is True),
    "is_piece": Reading("claim", "w", lambda trace, w: _is_whole(trace, w) is False),
    "p_true": Reading("share", "", lambda trace: _said(trace, "p_true")),
    "said": Reading("share", "", lambda trace: _said(trace, "said")),
    "agreement": Reading("share", "", lambda trace: _said(trace, "agreement")),
    "samples": Reading("whole", "", lambda trace: _said(trace, "samples") or None),
    "groups": Reading("whole", "", lambda trace: _said(trace, "groups") or None),
}
