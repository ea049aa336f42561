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

from models.answering import templates
from models.answering.plain import begin_ids, encode_plain
from models.errors import EmptyQuestionError, ModelError, QuestionTooLongError
from models.sentences import Sentence
from models.tokens import piece
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
    """Of the answer: what was asked for, or what the context leaves."""
    dropped_turns: int
    room: int
    """Tokens that the context leaves, for reasoning and answer together."""


def styles(tokenizer: Any) -> tuple[Style, ...]:
    """The styles that a model with this tokenizer can do, the better one first."""
    template = templates.of(tokenizer)
    return ("chat", "story") if template is not None and template.trouble is None else ("story",)


def choose_style(tokenizer: Any, wanted: str | None) -> Style:
    """The wanted style, or for None and "auto" the best one.

    Raises:
        ModelError: chat is wanted of a model without a chat template, or with one that cannot be used.
    """
    able = styles(tokenizer)
    if wanted in {None, "auto"}:
        return able[0]
    for style in able:
        if style == wanted:
            return style
    template = templates.of(tokenizer)
    why = (
        Sentence("This model has no chat template, so the prompt style `chat` does not work with it.")
        if template is None
        else template.trouble
    )
    raise ModelError(why or "", hint="Use the prompt style `story` or `auto`.")


def build(tokenizer: Any, job: Job, config: PromptConfig, context: int, *, rows: int | None = None) -> Prompt:
    """The prompt of a job; the oldest turns are left out until it fits, and never the question.

    Args:
        tokenizer: of the model.
        job: the question, its history and its sampling.
        config: the default style, and the system prompt of the chat style.
        context: tokens that the model can hold, prompt and answer together.
        rows: ids that the model has an embedding for; None when they are not counted.

    Raises:
        EmptyQuestionError: nothing but blanks.
        QuestionTooLongError: the question is longer than the config allows, or leaves no room for an answer.
        ModelError: the style is not one of this model's, or an id is beyond its embedding.
    """
    if not job.question.strip():
        raise EmptyQuestionError("There is no question to answer.", request_id=job.request_id)
    _check_length(tokenizer, job, config.max_question_tokens)
    style = choose_style(tokenizer, job.style or config.style)
    wanted, dropped = job.sampling.max_new_tokens, 0
    while True:
        turns = _merged([*job.history[dropped:], Turn("user", job.question)])
        ids = _chat(tokenizer, turns, config.system) if style == "chat" else _story(tokenizer, turns)
        if len(ids) + wanted <= context or dropped == len(job.history):
            break
        dropped = _next_question(job.history, dropped + 1)
    _check_rows(tokenizer, ids, rows, job)
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
    return Prompt(tuple(ids), style, min(wanted, room), dropped, room)


def _check_rows(tokenizer: Any, ids: Sequence[int], rows: int | None, job: Job) -> None:
    """An id without a row would fail every answer of its pass, on a GPU the whole process."""
    beyond = [] if rows is None else [i for i in ids if i >= rows]
    if beyond:
        raise ModelError(
            Sentence("The tokenizer gives {piece}, which this model has no embedding for.", piece=piece(tokenizer, beyond[0])),
            hint="Use the tokenizer that belongs to the model.",
            request_id=job.request_id,
        )


def _check_length(tokenizer: Any, job: Job, most: int) -> None:
    """Refuse a question that would hold the device for long. The tokens are those of what was typed, without any frame."""
    count = len(encode_plain(tokenizer, job.question.strip()))
    if count > most:
        raise QuestionTooLongError(
            Sentence("The question has {count} tokens, and I take {most} at most.", count=count, most=most),
            hint="Ask something shorter.",
            request_id=job.request_id,
        )


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
    return whole_page(tokenizer, page)


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
    return whole_page(tokenizer, bare or f"Q: {' '.join(question.split())}\nA:")


def whole_page(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that stands alone, to be continued: the model's begin-of-text token, plain text, and no end."""
    return begin_ids(tokenizer) + encode_plain(tokenizer, text)


def _pairs() -> str:
    return "\n".join(f"Q: {question}\nA: {answer}\n" for question, answer in STORY)


def _chat(tokenizer: Any, turns: Sequence[Turn], system: str | None) -> list[int]:
    """The chat template's tokens; contents that hold a control token's name are encoded apart, as plain text."""
    texts = [turn.text for turn in turns]
    if all(_encode(tokenizer, text) == encode_plain(tokenizer, text) for text in texts):
        return _encode(tokenizer, templates.rendered(tokenizer, turns, system))
    marks = [f"turn-{secrets.token_hex(16)}" for _ in turns]  # nobody can type what is drawn here
    marked = [Turn(turn.role, mark) for turn, mark in zip(turns, marks, strict=True)]
    contents = dict(zip(marks, texts, strict=True))
    ids: list[int] = []
    for part in re.split(f"({'|'.join(marks)})", templates.rendered(tokenizer, marked, system)):
        ids += encode_plain(tokenizer, contents[part]) if part in contents else _encode(tokenizer, part)
    return ids


def _encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of what a template wrote: names of control tokens are control tokens."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
