"""What a layer dump holds: named arrays, what their axes count, and all that a reader needs to make it again. Loads no torch.

Three kinds: ``lens`` is a trace, cut to chosen positions and depths; ``hidden`` the residual stream; ``attention`` the weights of
all heads. Positions are places in prompt + answer, from 0, so answer token ``t`` stands at ``P + t``. A lens row at a position
says how that token was *predicted*; a state and an attention row are those of the position's own token, so that what predicted
answer token ``t`` is at ``P + t - 1``. Knows arrays; knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from models.errors import NoSuchDepthError, NoSuchTokenError
from models.findings import Findings
from models.holding import AXES, LENS_ARRAYS, finding_arrays
from models.sentences import Sentence
from models.trace import IntArray, Trace

What = Literal["lens", "hidden", "attention"]
Chosen = Iterable[int] | None
"""Positions or depths that were asked for; None is the usual ones."""
WHATS: tuple[What, ...] = get_args(What)

TIMES = ("answer_seconds", "second_pass_seconds")
"""Keys of a trace's meta that differ each time."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerDump:
    """One dump. ``P`` prompt tokens, ``T`` answer tokens, ``n`` chosen positions, ``m`` chosen depths, ``L`` blocks."""

    what: What
    prompt_ids: IntArray  # (P,)
    answer_ids: IntArray  # (T,) the whole answer, whatever positions were chosen
    positions: IntArray  # (n,) rising
    depths: IntArray  # (m,) rising; 0 to L, of attention the blocks 1 to L
    tokens: tuple[str, ...]
    """n strings for show."""
    pieces: Mapping[int, str]
    """Display string of every id of the prompt, the answer and the arrays."""
    arrays: Mapping[str, np.ndarray[Any, Any]]
    """float32, int64 or bool, by name; shapes as `axes` says."""
    meta: Mapping[str, Any]
    trace: Trace | None = None
    """Of a lens dump with all depths: the trace of the chosen positions, findings included."""
    findings: Findings = field(default_factory=Findings)
    """Of a lens dump: evidence of the chosen positions and depths; its arrays are in ``arrays`` too."""

    @property
    def layers(self) -> int:
        """L."""
        return int(self.meta["layers"])

    def axes(self, name: str) -> tuple[str, ...]:
        """What the axes of an array count."""
        return AXES.get(name, ("block",))


def choose(wanted: Chosen, *, least: int, most: int, usual: Sequence[int], error: type[Exception], of: str) -> IntArray:
    """The chosen numbers, rising and each once; ``usual`` when None.

    Raises:
        ``error``: one is not between ``least`` and ``most``, or none is left.
    """
    chosen = sorted({int(i) for i in (usual if wanted is None else wanted)})
    outside = [i for i in chosen if not least <= i <= most]
    if outside or not chosen:
        ends = {"least": least, "most": most}
        if outside:
            raise error(Sentence("There is no {of} {number}. Choose from {least} to {most}.", of=of, number=outside[0], **ends))
        raise error(Sentence("Nothing was chosen. Choose from {least} to {most}.", **ends))
    return np.asarray(chosen, dtype=np.int64)


def choose_positions(what: What, wanted: Chosen, prompt: int, answer: int) -> IntArray:
    """Positions in prompt + answer. The usual ones: the answer's, of states also the prompt's last, which predicts the first.

    Raises:
        NoSuchTokenError: the text has no such position, or the lens none: it reads the answer alone.
    """
    first = prompt if what == "lens" else 0
    usual = range(prompt if what == "lens" else prompt - 1, prompt + answer)
    of = Sentence("answer token at position") if what == "lens" else Sentence("position")
    return choose(wanted, least=first, most=prompt + answer - 1, usual=usual, error=NoSuchTokenError, of=of)


def choose_depths(what: What, wanted: Chosen, layers: int) -> IntArray:
    """Depths 0 to L; of attention the blocks, from 1.

    Raises:
        NoSuchDepthError: the model has no such depth.
    """
    first = 1 if what == "attention" else 0
    of = Sentence("attention block") if what == "attention" else Sentence("depth")
    return choose(wanted, least=first, most=layers, usual=range(first, layers + 1), error=NoSuchDepthError, of=of)


def lens_dump(trace: Trace, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump:
    """The dump of a trace, findings included, without the times that differ on each run.

    Raises:
        NoSuchTokenError, NoSuchDepthError: asked for what the answer or the model does not have.
    """
    start = len(trace.prompt_ids)
    at = choose_positions("lens", positions, start, trace.length)
    chosen = choose_depths("lens", depths, trace.depths)
    cut = _rows(trace, at - start)
    meta = {key: value for key, value in trace.meta.items() if key not in TIMES} | {"layers": trace.depths}
    pieces = _pieces(trace)
    cut = replace(cut, meta=meta, pieces=pieces)
    findings = _findings_at(cut.findings, chosen)
    arrays = {name: _at_depths(name, getattr(cut, name), chosen) for name in LENS_ARRAYS}
    return LayerDump(
        what="lens",
        prompt_ids=trace.prompt_ids,
        answer_ids=trace.answer_ids,
        positions=at,
        depths=chosen,
        tokens=cut.tokens,
        pieces=pieces,
        arrays=arrays | dict(finding_arrays(findings)),
        meta=meta,
        trace=cut if len(chosen) == trace.depths + 1 else None,
        findings=findings,
    )


def _at_depths(name: str, array: np.ndarray[Any, Any], depths: IntArray) -> np.ndarray[Any, Any]:
    """An array of all depths at the chosen ones; what counts blocks keeps those whose output is a chosen depth."""
    axes = AXES.get(name, ("block",))
    if "depth" in axes:
        return np.take(array, depths, axis=axes.index("depth"))
    if "block" in axes:
        return np.take(array, depths[depths > 0] - 1, axis=axes.index("block"))
    return array


def _findings_at(findings: Findings, depths: IntArray) -> Findings:
    """The evidence at the chosen depths."""

    def cut(name: str, part: Any) -> Any:
        arrays = {f.name: value for f in fields(part) if isinstance(value := getattr(part, f.name), np.ndarray)}
        return replace(part, **{key: _at_depths(f"{name}.{key}", array, depths) for key, array in arrays.items()})

    parts = {f.name: getattr(findings, f.name) for f in fields(findings)}
    found = {name: cut(f"findings.{name}", p) for name, p in parts.items() if p is not None and not isinstance(p, Mapping)}
    if findings.causal is not None:
        found["causal"] = replace(findings.causal, removals=tuple(cut("removals", r) for r in findings.causal.removals))
    return replace(findings, **found)


def _rows(trace: Trace, rows: IntArray) -> Trace:
    """The trace of some of its answer tokens, the evidence with it."""
    if len(rows) == trace.length:
        return trace
    names = ("answer_ids", *LENS_ARRAYS)
    cut: dict[str, Any] = {name: getattr(trace, name)[rows] for name in names}
    found, notes = trace.findings, dict(trace.findings.notes)
    parts: dict[str, Any] = {}
    for name in ("attribution", "attention", "watched"):
        if (part := getattr(found, name)) is not None:
            parts[name] = _cut_part(name, part, rows)
    if found.causal is not None:
        at = np.flatnonzero(rows == found.causal.t)
        parts["causal"] = replace(found.causal, t=int(at[0])) if len(at) else None
        if not len(at):
            notes["causal"] = Sentence("The causal check is about a token that is not among the chosen positions.")
    tokens = tuple(trace.tokens[t] for t in rows)
    return replace(trace, tokens=tokens, findings=replace(found, notes=notes, **parts), **cut)


def _cut_part(name: str, part: Any, rows: IntArray) -> Any:
    cut = {}
    for f in fields(part):
        axes = AXES.get(f"findings.{name}.{f.name}", ())
        if "position" in axes:
            cut[f.name] = np.take(getattr(part, f.name), rows, axis=axes.index("position"))
    return replace(part, **cut)


def _pieces(trace: Trace) -> dict[int, str]:
    """Strings of all ids, the prompt's included even where the trace lacks them."""
    ids = np.unique(np.concatenate([trace.prompt_ids, trace.answer_ids, trace.top_ids.ravel()]))
    return {int(i): trace.pieces.get(int(i), f"⟨{i}⟩") for i in ids}
