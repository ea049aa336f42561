"""A `World` from the arrays of a trace as they are, for the mutation check."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.independent.evidence import Followed, Ledger, Looked, Pulled, Removed
from tests.independent.world import World


def of_trace(trace: Any) -> World:
    """The arrays of a trace as they are, with the same definitions over them."""
    findings = trace.findings
    further = findings.causal.pieces if findings.causal is not None else {}
    w = World(
        prompt=trace.prompt_ids.tolist(),
        answer=trace.answer_ids.tolist(),
        words=list(trace.tokens),
        control=trace.special.tolist(),
        top=trace.top_ids.tolist(),
        top_p=trace.top_probs.tolist(),
        p=trace.emitted_prob.tolist(),
        rank=trace.emitted_rank.tolist(),
        kl=trace.kl_to_final.tolist(),
        entropy=[float(row[-1]) for row in trace.entropy],
        drawn=trace.sampled_prob.tolist(),
        name=lambda i: trace.pieces.get(i) or further.get(i) or f"⟨{i}⟩",
        page=lambda i: trace.pieces.get(i, ""),
        evidence={"blocks": trace.top_ids.shape[1] - 1},
    )
    w.kl = [[np.float32(value) for value in row] for row in w.kl]  # a half of a float32, as it was compared
    w.evidence |= {
        "pull": lambda: _told_pull(findings.pull),
        "attention": lambda t: _told_look(findings.attention, t),
        "attribution": lambda t: _told_ledger(findings.attribution, t),
        "causal": lambda t: _told_removals(findings.causal, t),
        "watched": lambda: _told_watched(findings.watched),
        "report": lambda: _told_report(findings.self_report),
    }
    return w


def _told_pull(pull: Any) -> Pulled | None:
    if pull is None:
        return None
    sides = ((pull.with_ids, pull.with_probs), (pull.without_ids, pull.without_probs))
    one, two = ((pull.pieces.get(int(ids[0])) or f"⟨{int(ids[0])}⟩", float(probs[0])) for ids, probs in sides)
    return Pulled(pull.pattern, float(pull.kl), (one, two))


def _told_look(attention: Any, t: int) -> Looked | None:
    if attention is None or t >= len(attention.positions):
        return None
    pairs = [*zip(attention.positions[t].tolist(), attention.weights[t].tolist(), strict=True)]
    shares = dict(reversed(pairs))  # a place that stands twice is read where it stands first
    return Looked(shares, float(attention.sink[t]), lambda p: attention.words.get(p))


def _told_ledger(found: Any, t: int) -> Ledger | None:
    if found is None or t >= len(found.against):
        return None
    rest = (float(found.embedding[t]), float(found.constant[t]))
    return Ledger(int(found.against[t]), float(found.difference[t]), [(a, m) for a, m in found.blocks[t].tolist()], rest)


def _told_removals(check: Any, t: int) -> Removed | None:
    blocks = [r for r in check.removals if r.part == "block"] if check is not None and check.t == t else []
    if not blocks:
        return None
    r = blocks[0]
    left = zip(r.logprob.tolist(), r.top_ids.tolist(), r.top_probs.tolist(), strict=True)
    control = zip(r.control_logprob.tolist(), r.control_top_ids.tolist(), strict=True)
    jitter = r.jitter
    return Removed(check.logprob, check.top_id, list(left), list(control), None if jitter is None else jitter.tolist())


def _told_watched(found: Any) -> list[Followed]:
    if found is None:
        return []
    return [Followed(word, whole, p.tolist()) for word, whole, p in zip(found.words, found.whole, found.probs, strict=True)]


def _told_report(report: Any) -> dict[str, Any] | None:
    names = ("p_true", "said", "agreement", "samples", "groups")
    return None if report is None else {name: getattr(report, name) for name in names}
