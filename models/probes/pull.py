"""Template pull: how far the frame of a prompt moves the first answer token. Knows one loaded model and its prompts.

The frame is the story's list of questions and answers, or the chat template; without it the same question stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.answering import prompts
from models.findings import Pull
from models.network.adapters import Parts, device_of
from models.pieces import Pieces
from models.reading.passes import forward
from models.reading.seen import Seen
from models.tokens import pieces
from models.types import Answer

KEPT = 10


@torch.inference_mode()
def pull(model: Any, parts: Parts, tokenizer: Any, answer: Answer, question: str, seen: Seen) -> Pieces[Pull]:
    """KL(with ‖ without) in nats at temperature 1; "with" is what the answer's own pass saw, "without" one short pass more."""
    first = seen.normed[:1]  # (1, D')
    logits = parts.finish(parts.head(first.to(device_of(parts.head) or first.device)))[0]
    own = logits.float().log_softmax(-1).cpu()  # (V,)
    ids = prompts.without_frame(tokenizer, answer.prompt_ids, answer.style, question)
    bare = yield from logprobs_after(model, parts, ids)
    kept, other = own.topk(min(KEPT, len(own))), bare.topk(min(KEPT, len(bare)))
    return Pull(
        pattern=answer.style,
        kl=max(0.0, float((own.double().exp() * (own.double() - bare.double())).sum())),
        with_ids=kept.indices.numpy(),
        with_probs=kept.values.exp().numpy(),
        without_ids=other.indices.numpy(),
        without_probs=other.values.exp().numpy(),
        pieces=pieces(tokenizer, [*kept.indices.tolist(), *other.indices.tolist()]),
    )


def logprobs_after(model: Any, parts: Parts, ids: Sequence[int]) -> Pieces[torch.Tensor]:
    """The model's own next-token log-probabilities after ``ids``: fp32 (V,)."""
    out = yield from forward(model, parts, ids, 1)
    logprobs: torch.Tensor = out.logits[0, -1].float().log_softmax(-1).cpu()
    return logprobs
