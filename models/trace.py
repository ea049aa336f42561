"""The frozen result of the second pass. Knows no Discord and no torch; NumPy only.

`L` blocks, `T` answer tokens, `k` kept candidates. Depth 0 is the embeddings, depth ``d`` the residual stream after block
``d``, depth L the model's own output. Row ``t`` is the distribution that *predicted* answer token ``t``. Probabilities are of
the full fp32 softmax over the whole vocabulary at temperature 1; entropy, surprisal and KL are in nats.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models import bounds, typed
from models.findings import Findings
from models.holding import LENS_ARRAYS, Sizes, check_shapes, finding_arrays

SCHEMA = 2
_READABLE = (1, 2)  # 1 knew no findings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
_TEXTS: Mapping[str, Any] = {"tokens": tuple[str, ...], "pieces": Mapping[int, str], "meta": Mapping[str, Any]}


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What every depth believed at each answer token, read through a lens."""

    prompt_ids: IntArray  # (P,)
    answer_ids: IntArray  # (T,)
    tokens: tuple[str, ...]
    """T strings for show; joined they are the answer. A character split over several byte-level pieces stands whole at the
    piece that completes it, and the pieces before it are ""."""
    special: BoolArray  # (T,) end-of-text and other control tokens
    top_ids: IntArray  # (T, L+1, k) likeliest first
    top_probs: FloatArray  # (T, L+1, k)
    emitted_prob: FloatArray  # (T, L+1)
    emitted_rank: IntArray  # (T, L+1) 0 is top-1; counts tokens with a strictly higher logit
    entropy: FloatArray  # (T, L+1) nats
    kl_to_final: FloatArray  # (T, L+1) nats, KL(final || depth); 0 at depth L
    sampled_prob: FloatArray  # (T,)
    pieces: Mapping[int, str]
    """Display string of every id in ``top_ids``, ``answer_ids`` and ``prompt_ids``: a trace is readable without its tokenizer."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    """Evidence beyond the lens, where it was asked for."""

    @property
    def depths(self) -> int:
        """L, the number of blocks; there are L+1 depths, 0 to L."""
        return int(self.top_ids.shape[1]) - 1

    @property
    def length(self) -> int:
        """T, the number of answer tokens."""
        return int(self.answer_ids.shape[0])

    @property
    def k(self) -> int:
        """Kept candidates per cell."""
        return int(self.top_ids.shape[2])

    @property
    def lens(self) -> str:
        """What the depths below L were read through; old traces know of one lens only."""
        return str(self.meta.get("lens") or "logit")

    def to_bytes(self) -> bytes:
        """The trace as a compressed NPZ file (no pickle)."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)}
        text = {
            "schema": SCHEMA,
            "tokens": list(self.tokens),
            "pieces": {str(i): s for i, s in self.pieces.items()},
            "meta": dict(self.meta),
            "findings": self.findings.to_json(),
        }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, json=np.frombuffer(json.dumps(text).encode(), dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Trace:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are not a trace, or one of another schema.
        """
        try:
            return cls._read(data)
        except bounds.BROKEN as error:
            why = f": {error}" if type(error) is ValueError else ""
            raise ValueError(f"these bytes are not a stored trace{why}") from error

    @classmethod
    def _read(cls, data: bytes) -> Trace:
        arrays: dict[str, Any] = bounds.read_zip(data)
        text = bounds.from_json(arrays.pop("json").tobytes())
        if text["schema"] not in _READABLE:
            raise ValueError(f"trace of schema {text['schema']}, this version reads schema {SCHEMA}")
        known = {name: typed.value_of(hint, text.get(name, {}), name) for name, hint in _TEXTS.items()}
        made = cls(findings=Findings.from_json(text.get("findings", {})), **known, **arrays)
        made.check()
        return made

    def check(self) -> None:
        """See that all its arrays hold together, the evidence's too. A string may be missing: text that was forgotten has none.

        Raises:
            ValueError: they do not.
        """
        if self.top_ids.ndim != 3 or not self.k or self.depths < 0 or len(self.tokens) != self.length:
            raise ValueError("it has not one token for each position")
        for ids in (self.prompt_ids, self.answer_ids):
            if ids.ndim != 1 or ids.dtype != np.int64 or (ids < 0).any():
                raise ValueError("its token ids are none")
        sizes = Sizes(self.length, self.depths + 1, self.depths, len(self.prompt_ids))
        check_shapes({name: getattr(self, name) for name in LENS_ARRAYS} | dict(finding_arrays(self.findings)), sizes)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers under the names of the fields, for `--json`."""
        out: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            out[item.name] = value.tolist() if isinstance(value, np.ndarray) else value
        out["tokens"] = list(self.tokens)
        out["pieces"] = {str(i): s for i, s in self.pieces.items()}
        out["meta"] = dict(self.meta)
        out["findings"] = self.findings.to_json()
        return out

    def with_findings(self, **found: Any) -> Trace:
        """The same trace with more evidence beside it, by the names of `Findings`."""
        return replace(self, findings=replace(self.findings, **found))
