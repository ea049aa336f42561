"""What a viewer page carries of its traces: plain values, arrays in base64, each token string once. Knows no HTML.

Arrays keep their float32 values bit by bit, so that every number on the page is rounded once, where it is shown. Times of the
passes and how they were run are left out: the same answer makes the same page.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.catalogue import CHINESE, ENGLISH, translated
from bot.render.text import bare, visible
from models import readings, readings_causal
from models.findings import Attention, Attribution, CausalCheck, Findings, Pull, Removals
from models.trace import Trace

LONGEST_RAW = 200
_LONGEST_META = 300
_LEFT_OUT = frozenset({"states", "layers"})
"""How a pass was run, and what `_meta` says itself; times go, too."""
_FIRST = ("name", "model", "revision", "architecture", "dtype", "device", "quantization", "lens", "style", "sampler", "seed")


def pack(array: npt.ArrayLike) -> dict[str, str]:
    """An array of any shape, flattened: ``t`` names its type, ``b`` is its little-endian bytes in base64."""
    values = np.asarray(array)
    small = values.size == 0 or values.max() < 65_536
    kind = "f4" if values.dtype.kind == "f" else "u2" if small else "u4"
    raw = np.ascontiguousarray(values.astype(f"<{kind}")).tobytes()
    return {"t": kind, "b": base64.b64encode(raw).decode("ascii")}


class Table:
    """Token strings by a running number, in the order in which they were first asked for."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._raw: list[str] = []

    def place(self, token: int, text: str) -> int:
        """The running number of a token id."""
        if token not in self._places:
            self._places[token] = len(self._raw)
            self._raw.append(text[:LONGEST_RAW])
        return self._places[token]

    def places(self, ids: npt.NDArray[np.int64], pieces: Mapping[int, str]) -> npt.NDArray[np.int64]:
        """The running numbers of an array of ids, in its shape."""
        known, inverse = np.unique(ids, return_inverse=True)
        numbers = np.asarray([self.place(int(i), pieces.get(int(i), "")) for i in known], dtype=np.int64)
        return numbers[inverse].reshape(ids.shape) if known.size else ids

    def to_json(self) -> dict[str, Any]:
        """Ids, texts, and how a text is shown where that is not the text itself."""
        ids = list(self._places)
        shown = [_shown(text, token) for token, text in zip(ids, self._raw, strict=True)]
        return {"ids": ids, "raw": self._raw, "shown": {str(i): s for i, s in enumerate(shown) if s != self._raw[i]}}


def _shown(text: str, token: int) -> str:
    """A face for any token: a splinter of a character or an unknown string is its id in angle brackets."""
    if text and text.strip("\ufffd"):
        return bare(text)
    return f"⟨{token}⟩"


def page_data(traces: Sequence[Trace]) -> dict[str, Any]:
    """Everything that the page shows; the first trace is the one that it opens with.

    Raises:
        ValueError: the traces are not of one answer.
    """
    first = traces[0]
    for other in traces[1:]:
        if other.depths != first.depths or not np.array_equal(other.answer_ids, first.answer_ids):
            raise ValueError("the traces of one viewer must be of the same answer and depth")
    table = Table()
    pieces: dict[int, str] = {}
    for trace in traces:
        pieces |= trace.pieces
    findings = _merged([trace.findings for trace in traces])
    return {
        "depths": first.depths,
        "prompt": table.places(first.prompt_ids, pieces).tolist(),
        "answer": table.places(first.answer_ids, pieces).tolist(),
        "tokens": [_token(first, t) for t in range(first.length)],
        "special": [int(flag) for flag in first.special],
        "sampled": pack(first.sampled_prob),
        "tied": bool(first.meta.get("tied_embeddings", False)),
        "lenses": [_lens(trace, table) for trace in traces],
        "findings": _findings(findings, first, table),
        "meta": _meta(first, [trace.lens for trace in traces]),
        "table": table.to_json(),
    }


def _token(trace: Trace, t: int) -> dict[str, Any]:
    """An answer token as it reads in the answer, and what stands for it alone."""
    shown = bare(trace.tokens[t]) if trace.tokens[t] else _shown(readings.emitted_text(trace, t), int(trace.answer_ids[t]))
    glued = trace.tokens[t][:1] not in (" ", "▁", "\n")
    return {"shown": shown, "breaks": "\n" in trace.tokens[t], "glued": glued, "splinter": not trace.tokens[t].strip("\ufffd")}


def _lens(trace: Trace, table: Table) -> dict[str, Any]:
    """One reading of the answer. Arrays are (T, L+1) or (T, L+1, k), flattened."""
    watched = trace.findings.watched
    return {
        "name": visible(trace.lens, limit=60),
        "k": trace.k,
        "top": pack(table.places(trace.top_ids, trace.pieces)),
        "probs": pack(trace.top_probs),
        "emitted": pack(trace.emitted_prob),
        "rank": pack(trace.emitted_rank),
        "entropy": pack(trace.entropy),
        "kl": pack(trace.kl_to_final),
        "pivotal": readings.pivotal(trace),
        "figures": [_figures(trace, t, table) for t in range(trace.length)],
        "watched": watched
        and {
            "words": [visible(word, limit=60) for word in watched.words],
            "tokens": table.places(watched.ids, trace.pieces).tolist(),
            "whole": list(watched.whole),
            "probs": pack(watched.probs),
        },
    }


def _figures(trace: Trace, t: int, table: Table) -> dict[str, Any]:
    """The named depths of an answer token. Depth 0 reads back the input, so nothing is told as seen or settled there."""
    settle = readings.settle_depth(trace, t)
    on_top = np.flatnonzero(trace.emitted_rank[t, 1:] == 0)
    return {
        "settle": None if settle is None else max(1, settle),
        "seen": int(on_top[0]) + 1 if on_top.size else None,
        "handover": readings.handover_depth(trace, t),
        "surprisal": readings.surprisal(trace, t),
        "considered": [table.place(c.id, trace.pieces.get(c.id, "")) for c in readings.considered(trace, t)],
    }


def _merged(all_findings: Sequence[Findings]) -> Findings:
    """The first of each kind of evidence that any of the traces carries."""
    names = ("attribution", "attention", "pull", "causal", "self_report")
    found = {name: next((value for f in all_findings if (value := getattr(f, name)) is not None), None) for name in names}
    return Findings(**found, notes=all_findings[0].notes)


def _findings(found: Findings, trace: Trace, table: Table) -> dict[str, Any]:
    report = found.self_report
    return {
        "attribution": found.attribution and _attribution(found.attribution, trace, table),
        "attention": found.attention and _attention(found.attention),
        "pull": found.pull and _pull(found.pull, table),
        "causal": found.causal and _causal(found.causal, table),
        "report": report
        and {
            "pTrue": report.p_true,
            "said": report.said,
            "agreement": report.agreement,
            "samples": report.samples,
            "groups": report.groups,
        },
        "notes": {visible(name, limit=40): _in_each(why) for name, why in sorted(found.notes.items())},
    }


def _in_each(why: str) -> dict[str, str]:
    """A reason in each language that the page speaks."""
    return {locale: visible(translated(why, locale), limit=300) for locale in (ENGLISH, CHINESE)}


def _attribution(found: Attribution, trace: Trace, table: Table) -> dict[str, Any]:
    return {
        "against": table.places(found.against, trace.pieces).tolist(),
        "blocks": pack(found.blocks),  # (T, L, 2)
        "embedding": pack(found.embedding),
        "constant": pack(found.constant),
        "difference": pack(found.difference),
    }


def _attention(found: Attention) -> dict[str, Any]:
    return {
        "positions": found.positions.tolist(),  # (T, n)
        "weights": pack(found.weights),
        "count": int(found.positions.shape[1]),
        "sink": pack(found.sink),
        "words": {str(place): bare(word) for place, word in sorted(found.words.items())},
    }


def _pull(found: Pull, table: Table) -> dict[str, Any]:
    def likeliest(ids: npt.NDArray[np.int64], probs: npt.NDArray[np.float32]) -> list[list[float]]:
        return [[int(i), float(p)] for i, p in zip(table.places(ids[:5], found.pieces), probs[:5], strict=True)]

    return {
        "pattern": found.pattern,
        "kl": found.kl,
        "with": likeliest(found.with_ids, found.with_probs),
        "without": likeliest(found.without_ids, found.without_probs),
    }


def _causal(check: CausalCheck, table: Table) -> dict[str, Any]:
    return {"t": check.t, "logprob": check.logprob, "parts": [_removals(check, part, table) for part in check.removals]}


def _removals(check: CausalCheck, found: Removals, table: Table) -> dict[str, Any]:
    drop, control = readings_causal.drops(check, found.part)
    return {
        "part": found.part,
        "drop": pack(drop),  # (L,) nats
        "control": pack(control),  # (L,)
        "top": table.places(found.top_ids, check.pieces).tolist(),
        "flips": [flip.block for flip in readings_causal.flips(check, found.part)],
        "strongest": readings_causal.strongest(check, found.part),
    }


def _meta(trace: Trace, lenses: Sequence[str]) -> list[list[str]]:
    """Facts by name, as text; nested ones by a dotted name."""
    lead = {name: trace.meta[name] for name in _FIRST if name in trace.meta}
    facts = {"prompt_tokens": len(trace.prompt_ids), "answer_tokens": trace.length, "blocks": trace.depths, "kept": trace.k}
    return [
        [visible(name, limit=60), visible(value, limit=_LONGEST_META)]
        for name, value in _flat({**lead, **trace.meta, "lens": ", ".join(lenses), **facts})
    ]


def _flat(facts: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in facts.items():
        full = f"{before}{name}"
        if name in _LEFT_OUT or str(name).endswith("_seconds"):
            continue
        if isinstance(value, Mapping):
            found += _flat(value, f"{full}.")
        elif value is not None:
            found.append((full, str(value).lower() if isinstance(value, bool) else str(value)))
    return found
