"""The model as the services see it. Knows neither questions nor Discord, and no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from models.findings import CausalCheck, Findings, Part, SelfReport
from models.trace import Trace
from models.types import Answer, Job, LensName, ModelInfo


class Model(Protocol):
    """The loaded or loading model, as the services see it. Its coroutines never block the event loop."""

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded; None while it loads."""
        ...

    async def ready(self) -> ModelInfo:
        """Wait until the model is loaded; raises the ModelError that kept it from loading."""
        ...

    async def answer(
        self, job: Job, *, on_text: Callable[[str], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Answer: ...

    async def sample(self, job: Job) -> Answer:
        """An answer that nobody waits for: everything else goes first."""
        ...

    async def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace: ...

    async def findings(
        self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()
    ) -> Findings: ...

    async def follow(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Findings:
        """Watched words alone."""
        ...

    async def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck: ...

    async def self_report(self, question: str, answer: Answer) -> SelfReport: ...
