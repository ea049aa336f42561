"""The second pass through tuned-lens: a `PredictionTrajectory` of its logit lens, which reads every position of the text."""

from __future__ import annotations

import torch
from plain import K, compare, load, need

need("tuned_lens")

from tuned_lens.nn.lenses import LogitLens  # noqa: E402
from tuned_lens.plotting import PredictionTrajectory  # noqa: E402

work = load()
lens = LogitLens.from_model(work.model)


@torch.inference_mode()
def read() -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of all positions at all depths, as the package keeps them; then the top of the answer's rows."""
    ids = [*work.prompt_ids, *work.answer_ids]
    found = PredictionTrajectory.from_lens_and_model(lens, work.model, ids, work.tokenizer, targets=[*ids[1:], 0])
    top = torch.from_numpy(found.log_probs[:, work.rows]).topk(K)  # (L+1, T, V)
    return top.values.exp(), top.indices


compare("tuned-lens", work, read)
