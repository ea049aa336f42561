"""What the peers' scripts share: the default model, the work, and the plain reference they are timed beside, in turns.

Each script gives this work to one tool: 38 prompt and 20 answer tokens, all L+1 depths, log-softmax over the vocabulary, top 5.
Run them from the repository's root with the environment in which forward-pass and the tool are installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import transformers

from models.bench import reference
from models.bench.clock import in_turns
from models.bench.results import Figure
from models.loading import embedded

QUESTION = "How many eyes does my foot have?"
ANSWER_TOKENS, K, REPEATS = 20, 5, 9


@dataclass(frozen=True)
class Work:
    """One model and the tokens to be read."""

    folder: str
    model: Any
    tokenizer: Any
    prompt_ids: list[int]
    answer_ids: list[int]

    @property
    def ids(self) -> torch.Tensor:
        return torch.tensor([[*self.prompt_ids, *self.answer_ids]])  # (1, P+T)

    @property
    def rows(self) -> slice:
        """The positions that predict the answer."""
        return slice(len(self.prompt_ids) - 1, -1)


def need(*names: str) -> None:
    """End with a sentence when a tool is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} is not installed here; see bench/README.md.")


def load() -> Work:
    """The default model, its chat prompt, and its greedy answer cut to twenty tokens."""
    folder = str(embedded.locate())
    with embedded.no_progress_bars():
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": QUESTION}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    model.generation_config = transformers.GenerationConfig(do_sample=False, pad_token_id=0)
    answer_ids = reference.generate(model, prompt_ids, ANSWER_TOKENS)
    return Work(folder, model, tokenizer, prompt_ids, list(answer_ids))


def compare(tool: str, work: Work, read: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Time ``read`` beside the reference, and print the multiple.

    Args:
        tool: the package's name.
        work: what is read.
        read: gives probabilities and ids, both (L+1, T, k), from the lowest depth up.
    """

    def plain() -> reference.Plain:
        return reference.second_pass(work.model, work.prompt_ids, work.answer_ids, k=K)

    expected, (probs, ids) = plain(), read()
    depths = min(len(probs), expected.probs.shape[1])  # a tool may leave out the lowest
    known = expected.probs.transpose(0, 1)[-depths:]
    off = (probs[-depths:].cpu() - known).abs().max().item()
    same = (ids[-depths:, :, 0].cpu() == expected.ids.transpose(0, 1)[-depths:, :, 0]).float().mean().item()
    spent = in_turns({"reference": plain, tool: read}, torch.device("cpu"), repeats=REPEATS)
    own, base = Figure.of(spent[tool], "s"), Figure.of(spent["reference"], "s")
    ratio = Figure.ratio(spent[tool], spent["reference"])
    lines = (
        f"{tool} {importlib.metadata.version(tool)}, torch {torch.__version__}, transformers {transformers.__version__}",
        f"  {own.median * 1e3:.0f} ms, the reference {base.median * 1e3:.0f} ms, medians of {REPEATS} in turns",
        f"  {ratio.median:.2f}× the reference (quartiles {ratio.q1:.2f}–{ratio.q3:.2f})",
        f"  {depths} depths; probabilities off by at most {off:.1e}; the same likeliest token in {same:.1%} of the cells",
    )
    sys.stdout.write("\n".join(lines) + "\n")
