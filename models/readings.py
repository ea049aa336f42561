"""The named figures of a trace: settle depth, considered tokens, handover, pivotal token. NumPy only.

Every figure is a function of the trace alone, so that the monologue's verifier can recompute it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.trace import Trace


@dataclass(frozen=True, slots=True)
class Considered:
    """A token that was top-1 at some depth >= L/2, or in the top-k at depth L, and was not emitted."""

    id: int
    text: str
    first_depth: int | None
    """The first depth >= L/2 at which it was top-1; None when it only stood among the last candidates."""
    last_depth: int | None
    """The last depth at which it was top-1; None as above."""
    depths_on_top: int
    """At how many depths >= L/2 it was top-1."""
    peak_depth: int
    """The depth >= L/2 at which its kept probability was highest."""
    peak_prob: float
    final_prob: float | None
    """Its probability at depth L; None when it is not among the k kept there."""


def half(trace: Trace) -> int:
    """The first depth that counts as the second half: ceil(L/2)."""
    return (trace.depths + 1) // 2


def settle_depth(trace: Trace, t: int) -> int | None:
    """The smallest depth from which the emitted token stays top-1 up to L; None when it is not top-1 at L."""
    on_top = trace.emitted_rank[t] == 0
    if not on_top[-1]:
        return None
    below = np.flatnonzero(~on_top)
    return int(below[-1]) + 1 if below.size else 0


def first_seen_depth(trace: Trace, t: int) -> int | None:
    """The first depth at which the emitted token is top-1 at all. Depth 0 counts: callers that tell it must not."""
    on_top = np.flatnonzero(trace.emitted_rank[t] == 0)
    return int(on_top[0]) if on_top.size else None


def handover_depth(trace: Trace, t: int) -> int:
    """The smallest depth from which KL(final || depth) stays below half of its value at depth L/2.

    "The depth at which the distribution starts to be the final one." Never above L, where KL is 0; L when KL at L/2 is 0.
    """
    kl = trace.kl_to_final[t]
    limit = kl[half(trace)] / 2
    over = np.flatnonzero(~(kl < limit))
    if not over.size:
        return 0
    return min(int(over[-1]) + 1, trace.depths)


def considered(trace: Trace, t: int) -> tuple[Considered, ...]:
    """The considered tokens of answer token ``t``: those longest on top first, then by their final probability."""
    start, emitted = half(trace), int(trace.answer_ids[t])
    tops = trace.top_ids[t, :, 0]  # (L+1,)
    ids = dict.fromkeys([*(int(i) for i in tops[start:]), *(int(i) for i in trace.top_ids[t, -1])])
    found = [_one_considered(trace, t, i, start) for i in ids if i != emitted]
    return tuple(sorted(found, key=lambda c: (-c.depths_on_top, -(c.final_prob or 0.0), -c.peak_prob, c.id)))


def _one_considered(trace: Trace, t: int, token: int, start: int) -> Considered:
    on_top = [int(d) + start for d in np.flatnonzero(trace.top_ids[t, start:, 0] == token)]
    kept = np.where(trace.top_ids[t] == token, trace.top_probs[t], 0.0).max(axis=1)  # (L+1,)
    peak = start + int(kept[start:].argmax())
    final = float(kept[-1]) if bool((trace.top_ids[t, -1] == token).any()) else None
    return Considered(
        id=token,
        text=trace.pieces.get(token, f"⟨{token}⟩"),
        first_depth=on_top[0] if on_top else None,
        last_depth=on_top[-1] if on_top else None,
        depths_on_top=len(on_top),
        peak_depth=peak,
        peak_prob=float(kept[peak]),
        final_prob=final,
    )
