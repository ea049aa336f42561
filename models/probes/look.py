"""Findings: one more forward pass over an answer, and what all probes that share it saw. Being built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from models.adapters import Parts
from models.findings import Findings
from models.trace import Trace
from models.types import Answer

Translator = Callable[[torch.Tensor, int], torch.Tensor]
"""As `models.lens.Lens`: states (T, D) at depth d < L, and d, to states (T, D)."""


def findings(
    model: Any,
    tokenizer: Any,
    parts: Parts,
    answer: Answer,
    trace: Trace,
    *,
    question: str | None = None,
    watch: Sequence[str] = (),
    lens: Translator | None = None,
    memory_limit: int | None = None,
) -> Findings:
    """Nothing yet."""
    return Findings()
