"""How large a dump will be, before it is computed: the least that it can be, so that nothing is refused that would fit."""

from __future__ import annotations

from dataclasses import dataclass

from models.dump import What
from models.sentences import Sentence

_LEAST = {"safetensors": 4.0, "npz": 1.0, "json": 4.0, "csv": 12.0, "json.gz": 1.0, "csv.gz": 1.0, "html": 0.0}
"""Bytes for each number: exact for safetensors; in text the shortest that it can be written; what packs well below that."""

_ZERO = {"npz": 0.0, "json.gz": 0.0, "csv.gz": 0.0}
"""Bytes for a weight of the future, which is 0, where these pack to almost nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a dump of states or attention."""

    positions: tuple[int, ...]
    depths: int
    tokens: int
    """P + T, which every head may look at."""
    width: int
    heads: int


def least_bytes(what: What, form: str, size: Size) -> int:
    """Bytes that the numbers of such a dump take at least; the head is not counted."""
    each, zero = _LEAST[form], _ZERO.get(form, _LEAST[form])
    if what == "hidden":
        return int(size.depths * len(size.positions) * size.width * each)
    if what == "attention":
        seen = sum(p + 1 for p in size.positions)
        unseen = size.tokens * len(size.positions) - seen
        return int(size.depths * size.heads * (seen * each + unseen * zero))
    return 0


def size_text(count: int) -> str:
    """Bytes as a person reads them: 1.2 MiB."""
    if count >= 1 << 20:
        return f"{count / (1 << 20):.1f} MiB"
    return f"{count / (1 << 10):.1f} KiB" if count >= 1 << 10 else Sentence("{count} bytes", count=count)
