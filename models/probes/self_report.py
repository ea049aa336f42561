"""P(True): what a model says when it is shown a question and its own answer and asked whether that is right.

After Kadavath et al. 2022 (arXiv 2207.05221). One forward pass over that prompt, nothing is generated. Knows one loaded model;
knows no lens, and not whether the answer is right.
"""

from __future__ import annotations

from typing import Any

import torch

from models.answering import prompts
from models.errors import QuestionTooLongError
from models.findings import SelfReport
from models.memory import memory_errors
from models.network.adapters import Parts
from models.pieces import Pieces
from models.reading.passes import forward
from models.sentences import Sentence
from models.types import Job, PromptConfig, Sampling

YES, NO = ("yes", "Yes", "YES"), ("no", "No", "NO")


def self_report(model: Any, tokenizer: Any, question: str, answer: str, parts: Parts | None = None) -> Pieces[SelfReport]:
    """The probability of yes among yes and no, and what the model gave to both together.

    Args:
        model: a causal language model in eval mode.
        tokenizer: of it; with a chat template the question is put in it, else as plain text.
        question: what was asked.
        answer: the text that the model answered.
        parts: of the model; without them a long text is read at one go.

    Raises:
        QuestionTooLongError: question and answer do not fit the context.
        OutOfMemoryError.
    """
    yes, no = word_ids(tokenizer, YES), word_ids(tokenizer, NO)
    shared = yes & no  # the byte of a blank, with tokenizers that know no words
    probs = yield from _next_probs(model, parts, prompt_ids(model, tokenizer, question, answer))  # (V,)
    of_yes, of_no = (float(probs[sorted(ids - shared)].sum()) for ids in (yes, no))
    said = of_yes + of_no
    return SelfReport(p_true=of_yes / said if said > 0 else None, said=said)


def prompt_ids(model: Any, tokenizer: Any, question: str, answer: str) -> tuple[int, ...]:
    """The prompt whose next token is read, (P,).

    Raises:
        QuestionTooLongError: as `self_report`.
    """
    shown = f"Question: {question.strip()}\nProposed answer: {answer.strip()}\n"
    context = prompts.context_of(model.config.get_text_config(), tokenizer)
    if "chat" in prompts.styles(tokenizer):
        asked = f"{shown}Is the proposed answer right? Say only yes or no."
        job = Job(asked, style="chat", sampling=Sampling(max_new_tokens=1))
        return prompts.build(tokenizer, job, PromptConfig(), context).ids
    page = f"{shown}Is the proposed answer right, yes or no?\nAnswer:"
    ids = tuple(prompts.whole_page(tokenizer, page))
    if len(ids) >= context:
        raise QuestionTooLongError(
            Sentence(
                "The question and its answer take {count} tokens (pieces of words), and only {context} fit.",
                count=len(ids),
                context=context,
            )
        )
    return ids


def word_ids(tokenizer: Any, spellings: tuple[str, ...]) -> set[int]:
    """Every token that is one of the spellings, with and without a blank before it; their first tokens where none is."""
    pieces = [
        tokenizer(blank + word, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        for word in spellings
        for blank in ("", " ")
    ]
    return {ids[0] for ids in pieces if len(ids) == 1} or {ids[0] for ids in pieces}


@torch.inference_mode()
def _next_probs(model: Any, parts: Parts | None, ids: tuple[int, ...]) -> Pieces[torch.Tensor]:
    """The fp32 softmax of the token after the prompt, (V,) on the CPU."""
    with memory_errors():
        logits = (yield from forward(model, parts, ids, 1)).logits
        probs: torch.Tensor = logits[0, -1].float().softmax(-1).cpu()
        return probs
