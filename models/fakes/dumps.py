"""Invented states and attention weights for the scripted engine: no model holds them, but their shapes and sums are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.dump import TIMES, Chosen, LayerDump, What, choose_depths, choose_positions
from models.errors import LensNotFoundError
from models.fakes.findings import Doubles
from models.sentences import Sentence
from models.types import Answer, LensName

WIDTH, HEADS = 8, 3


def through(lens: LensName | None, known: Sequence[LensName]) -> LensName:
    """The lens that is read; the first that is ``known`` when none is named.

    Raises:
        LensNotFoundError: it is not known.
    """
    if lens is not None and lens not in known:
        raise LensNotFoundError(Sentence("The scripted model has no {lens} lens.", lens=Sentence(lens)))
    return lens or known[0]


def bent(logits: Doubles, lens: LensName) -> Doubles:
    """Logits (T, L+1, V) as an invented lens has them: halfway to the end's, for the Jacobian one in another temper."""
    if lens == "logit":
        return logits
    moved = (logits + logits[:, -1:]) / 2 * (0.7 if lens == "jacobian" else 1.0)
    return np.concatenate([moved[:, :-1], logits[:, -1:]], axis=1)


def dump(
    answer: Answer,
    what: What,
    layers: int,
    words: Sequence[str],
    meta: Mapping[str, Any],
    positions: Chosen = None,
    depths: Chosen = None,
) -> LayerDump:
    """``hidden`` (m, n, 8) or ``attention`` (m, 3, n, P+T), the same each time for the same tokens."""
    ids = [*answer.prompt_ids, *answer.answer_ids]
    at = choose_positions(what, positions, len(answer.prompt_ids), len(answer.answer_ids))
    chosen = choose_depths(what, depths, layers)
    rng = np.random.default_rng(np.asarray(ids, dtype=np.uint64))
    if what == "hidden":
        whole = rng.normal(size=(layers + 1, len(ids), WIDTH)).astype(np.float32)[chosen][:, at]
    else:
        scores = np.tril(rng.uniform(0.1, 1.0, size=(layers, HEADS, len(ids), len(ids))))
        whole = (scores / scores.sum(-1, keepdims=True)).astype(np.float32)[chosen - 1][:, :, at]
    known = {i: words[i] if i < len(words) else f"⟨{i}⟩" for i in ids}
    return LayerDump(
        what=what,
        prompt_ids=np.asarray(answer.prompt_ids, dtype=np.int64),
        answer_ids=np.asarray(answer.answer_ids, dtype=np.int64),
        positions=at,
        depths=chosen,
        tokens=tuple(known[ids[p]] for p in at),
        pieces=known,
        arrays={what: whole},
        meta={**{key: value for key, value in meta.items() if key not in TIMES}, "layers": layers, "states": "invented"},
    )
