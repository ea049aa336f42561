"""A dump or a trace without the part of its prompt that its reader has no right to: a system prompt, earlier turns of others.

The ids there become `NOBODY`, with a dot for their string, so that every place keeps its number. Knows arrays; knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.dump import LayerDump
from models.findings import Findings
from models.trace import IntArray, Trace

NOBODY = -1
"""No token has this id."""
DOT = "·"


def own_from(prompt_ids: Sequence[int], bare: Sequence[int]) -> int:
    """The first place of a prompt from which on it is what the question alone would have got.

    Args:
        prompt_ids: (P,) the prompt.
        bare: what the same question gets without a system prompt and without earlier turns.

    Returns:
        0 when they are the same, else the beginning of what they have in common at the end; never beyond the last token, which
        every prompt has.
    """
    if tuple(prompt_ids) == tuple(bare):
        return 0
    same = 0
    for one, other in zip(reversed(prompt_ids), reversed(bare), strict=False):
        if one != other:
            break
        same += 1
    return len(prompt_ids) - max(same, 1)


def without(dump: LayerDump, first: int) -> LayerDump:
    """The dump with nothing of the prompt before place ``first``; of states and attention, it must hold no rows from there."""
    if first == 0:
        return dump
    prompt = _masked(dump.prompt_ids, first)
    arrays = [array for array in dump.arrays.values() if array.dtype == np.int64]
    return replace(
        dump,
        prompt_ids=prompt,
        pieces=_pieces(dump.pieces, [prompt, dump.answer_ids, *arrays]),
        findings=_findings(dump.findings, first),
        meta={**dump.meta, "withheld": first},
        trace=None if dump.trace is None else trace_without(dump.trace, first),
    )


def trace_without(trace: Trace, first: int) -> Trace:
    """The same of a trace."""
    if first == 0:
        return trace
    prompt = _masked(trace.prompt_ids, first)
    found = trace.findings
    seen = [found.attribution.against] if found.attribution else []
    seen += [found.watched.ids] if found.watched else []
    return replace(
        trace,
        prompt_ids=prompt,
        pieces=_pieces(trace.pieces, [prompt, trace.answer_ids, trace.top_ids, *seen]),
        findings=_findings(found, first),
        meta={**trace.meta, "withheld": first},
    )


def _masked(prompt: IntArray, first: int) -> IntArray:
    return np.concatenate([np.full(first, NOBODY, dtype=np.int64), prompt[first:]])


def _pieces(pieces: Mapping[int, str], seen: Sequence[IntArray]) -> dict[int, str]:
    """Strings of the ids that are still there."""
    kept = {int(i) for ids in seen for i in np.unique(ids)}
    return {i: text for i, text in pieces.items() if i in kept} | {NOBODY: DOT}


def _findings(findings: Findings, first: int) -> Findings:
    if findings.attention is None:
        return findings
    words = {place: DOT if place < first else word for place, word in findings.attention.words.items()}
    return replace(findings, attention=replace(findings.attention, words=words))
