"""From a question and the turns before it to the token ids of a prompt, in one of two styles.

`chat` is the model's own chat template. `story` is a page of questions and answers that any language model can continue, after
the pattern in Andrej Karpathy's story "Forward Pass". What people type is always encoded as plain text: a `<|im_end|>` in a
question is ten characters, never a control token. Knows tokenizers; knows no weights.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import EmptyQuestionError, ModelError, QuestionTooLongError
from models.sentences import Sentence
from models.types import Job, PromptConfig, Style, Turn

LEAST_ANSWER = 16
"""Tokens that must be left for the answer when the question alone nearly fills the context."""

STORY = (
    ("How many years can a person in the United States expect to live?", "A person there can expect to live about 78 years."),
    ("Who was the president of the United States in 1955?", "Dwight D. Eisenhower was the president in 1955."),
    ("Which party did he belong to?", "He belonged to the Republican Party."),
    ("Who was president before George W. Bush?", "Bill Clinton was president before George W. Bush."),
    ("Which team won the World Series in 1995?", "The Atlanta Braves won the World Series in 1995."),
    ("How many eyes does a giraffe have?", "A giraffe has two eyes."),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits the context."""

    ids: tuple[int, ...]  # (P,)
    style: Style
    max_new_tokens: int
    """What was asked for, or what the context leaves."""
    dropped_turns: int


def styles(tokenizer: Any) -> tuple[Style, ...]:
    """The styles that a model with this tokenizer can do, the better one first."""
    return ("chat", "story") if tokenizer.chat_template else ("story",)


def choose_style(tokenizer: Any, wanted: str | None) -> Style:
    """The wanted style, or for None and "auto" the best one.

    Raises:
        ModelError: chat is wanted of a model without a chat template.
    """
    able = styles(tokenizer)
    if wanted in {None, "auto"}:
        return able[0]
    for style in able:
        if style == wanted:
            return style
    raise ModelError(
        "This model has no chat template, so the prompt style `chat` does not work with it.",
        hint="Use the prompt style `story` or `auto`.",
    )


def build(tokenizer: Any, job: Job, config: PromptConfig, context: int) -> Prompt:
    """The prompt of a job; the oldest turns are left out until it fits, and never the question.

    Args:
        tokenizer: of the model.
        job: the question, its history and its sampling.
        config: the default style, and the system prompt of the chat style.
        context: tokens that the model can hold, prompt and answer together.

    Raises:
        EmptyQuestionError: nothing but blanks.
        QuestionTooLongError: the question alone leaves no room for an answer.
        ModelError: the style is not one of this model's.
    """
    if not job.question.strip():
        raise EmptyQuestionError("There is no question to answer.", request_id=job.request_id)
    style = choose_style(tokenizer, job.style or config.style)
    wanted, dropped = job.sampling.max_new_tokens, 0
    while True:
        turns = _merged([*job.history[dropped:], Turn("user", job.question)])
        ids = _chat(tokenizer, turns, config.system) if style == "chat" else _story(tokenizer, turns)
        if len(ids) + wanted <= context or dropped == len(job.history):
            break
        dropped = _next_question(job.history, dropped + 1)
    room = context - len(ids)
    if room < min(wanted, LEAST_ANSWER):
        raise QuestionTooLongError(
            Sentence(
                "The question takes {count} tokens (pieces of words) with its prompt, and only {context} fit, answer included.",
                count=len(ids),
                context=context,
            ),
            hint="Ask something shorter.",
            request_id=job.request_id,
        )
    return Prompt(tuple(ids), style, min(wanted, room), dropped)


def context_of(text_config: Any, tokenizer: Any) -> int:
    """Tokens that prompt and answer may have together: what the positions allow, or less when the tokenizer says so."""
    positions = getattr(text_config, "max_position_embeddings", None) or 2048
    return int(min(positions, tokenizer.model_max_length or positions))


def _next_question(history: Sequence[Turn], start: int) -> int:
    """The first turn from ``start`` on that is no reply: a reply is not kept without its question."""
    return next((i for i in range(start, len(history)) if history[i].role == "user"), len(history))


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Strictly alternating turns: neighbours of one role become one, and blank ones vanish."""
    kept: list[Turn] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        if kept and kept[-1].role == turn.role:
            kept[-1] = Turn(turn.role, f"{kept[-1].text.strip()}\n{turn.text.strip()}")
        else:
            kept.append(Turn(turn.role, turn.text.strip()))
    return kept


def _story(tokenizer: Any, turns: Sequence[Turn]) -> list[int]:
    """Questions and answers, one line each; the last answer is left to the model."""
    lines = [f"{'Q' if turn.role == 'user' else 'A'}: {' '.join(turn.text.split())}\n" for turn in turns]
    page = _pairs() + "\n" + "".join(lines).replace("\nQ: ", "\n\nQ: ") + "A:"
    return _encode(tokenizer, page, plain=True, whole=True)


def without_frame(tokenizer: Any, prompt_ids: Sequence[int], style: Style, question: str) -> list[int]:
    """What is left of a prompt without its frame: a story without its list of questions and answers, a chat's bare question.

    Args:
        tokenizer: of the model.
        prompt_ids: (P,) the prompt as it was.
        style: of it.
        question: what was asked last.
    """
    text = str(tokenizer.decode(prompt_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)).lstrip()
    pairs = _pairs()
    bare = text[len(pairs) :].lstrip("\n") if style == "story" and text.startswith(pairs) else None
    return _encode(tokenizer, bare or f"Q: {' '.join(question.split())}\nA:", plain=True, whole=True)


def _pairs() -> str:
    return "\n".join(f"Q: {question}\nA: {answer}\n" for question, answer in STORY)


def _chat(tokenizer: Any, turns: Sequence[Turn], system: str | None) -> list[int]:
    """The chat template's tokens; contents that hold a control token's name are encoded apart, as plain text."""
    texts = [turn.text for turn in turns]
    if all(_encode(tokenizer, text) == _encode(tokenizer, text, plain=True) for text in texts):
        return _encode(tokenizer, _render(tokenizer, turns, system))
    marks = [f"turn-{secrets.token_hex(16)}" for _ in turns]  # nobody can type what is drawn here
    rendered = _render(tokenizer, [Turn(turn.role, mark) for turn, mark in zip(turns, marks, strict=True)], system)
    contents = dict(zip(marks, texts, strict=True))
    ids: list[int] = []
    for part in re.split(f"({'|'.join(marks)})", rendered):
        ids += _encode(tokenizer, contents.get(part, part), plain=part in contents)
    return ids


def _render(tokenizer: Any, turns: Sequence[Turn], system: str | None) -> str:
    """The chat template filled in; for templates that refuse a system role, the system prompt opens the first question."""
    from jinja2 import TemplateError

    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    try:
        return _template(tokenizer, [{"role": "system", "content": system}, *messages] if system else messages)
    except TemplateError:
        if messages[0]["role"] == "assistant":  # some insist that a user begins
            messages = messages[1:]
        if system:
            messages = [{"role": "user", "content": f"{system}\n\n{messages[0]['content']}"}, *messages[1:]]
        return _template(tokenizer, messages)


def _template(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    # reasoning models are asked to answer at once: the inner voice of this program is the second pass
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return str(text)


def _encode(tokenizer: Any, text: str, *, plain: bool = False, whole: bool = False) -> list[int]:
    """Token ids. ``plain``: names of control tokens are ordinary text. ``whole``: with the model's begin-of-text token."""
    return list(tokenizer(text, add_special_tokens=whole, split_special_tokens=plain)["input_ids"])
