"""Text to fit a lens on: what the model itself writes, or what the user gives. Knows an engine and a tokenizer; knows no lens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from models.errors import LensTrainingError
from models.lenses.states import Text
from models.types import Answer, BatchEngine, Job, Sampling

_TOPICS = (
    "the ocean", "a wooden bridge", "my left foot", "the moon", "honey", "a giraffe", "winter", "an old clock", "a cow",
    "gravity", "a violin", "the colour green", "a thunderstorm", "chess", "the Roman Empire", "a volcano", "bread", "seven",
    "a bicycle", "the human eye", "a library", "tea", "the desert", "spiders", "an elevator", "photosynthesis", "a birthday",
    "the internet", "copper", "a lighthouse", "dreams", "football", "a submarine", "the alphabet", "potatoes", "a wedding",
    "a lost key", "jazz", "the year 1969", "a computer program", "vaccines", "a dragon", "money", "a train station", "rain",
    "whales", "a recipe for soup", "Shakespeare", "an ant", "the Great Wall", "a broken window", "algebra", "a snowman",
)  # fmt: skip
_ASKING = (
    "What is {}?", "Tell me a short story about {}.", "How many eyes does {} have?", "Explain {} to a child.", "Is {} dangerous?",
    "Write a poem about {}.", "Give me three facts about {}.", "Where can I find {}?", "Why do people like {}?", "How big is {}?",
    "What would happen without {}?", "Compare {} and {}.", "Who invented {}?", "Write a letter that mentions {} and {}.",
    "What is the opposite of {}?", "How does {} work?", "Which is heavier, {} or {}?", "Describe {} in one sentence.",
    "Can {} swim?", "Make a list of words that go with {}.", "When did {} begin?", "Write a dialogue between {} and {}.",
    "What should I do if I meet {}?", "Write Python code about {}.", "Correct me: {} is made of {}.", "What rhymes with {}?",
)  # fmt: skip
_LONGEST = 128
_AT_ONCE = 32


def questions(seed: int) -> Iterator[str]:
    """Short varied questions without end, the same for the same seed."""
    drawn = random.Random(seed)  # noqa: S311  nothing secret
    while True:
        form = drawn.choice(_ASKING)
        yield form.format(*drawn.sample(_TOPICS, form.count("{}")))


def self_written(
    engine: BatchEngine, tokens: int, *, seed: int, longest: int = _LONGEST, on_done: Callable[[int], None] = lambda _n: None
) -> list[Text]:
    """Answers at temperature 1 to varied questions, in all the model's styles in turn, until there are ``tokens`` of them.

    Args:
        engine: answers many at once.
        tokens: how many answer tokens, at least.
        seed: of the questions and of the sampling.
        longest: answer, in tokens.
        on_done: gets the tokens so far.
    """
    asked, texts, written, underway = questions(seed), list[Text](), 0, 0
    styles = engine.info.styles
    count = 0
    while written < tokens or underway:
        while written + underway * longest // 2 < tokens and underway < min(engine.capacity, _AT_ONCE):
            sampling = Sampling(temperature=1.0, max_new_tokens=longest, seed=seed * 1_000_003 + count)
            engine.begin(Job(next(asked), style=styles[count % len(styles)], sampling=sampling))
            underway, count = underway + 1, count + 1
        for _token, result in engine.step():
            underway -= 1
            if not isinstance(result, Answer):
                raise result
            texts.append(Text((*result.prompt_ids, *result.answer_ids), len(result.prompt_ids)))
            written += len(result.answer_ids)
            on_done(written)
    return texts


def from_text(tokenizer: Any, words: str, *, length: int = 256, tokens: int | None = None) -> list[Text]:
    """A user's text in pieces of ``length`` tokens, ``tokens`` of them at most.

    Raises:
        LensTrainingError: it is too short to be split.
    """
    ids: Sequence[int] = tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"][:tokens]
    length = max(8, min(length, len(ids) // 10))  # at least ten pieces, so that each split has one
    texts = [Text(tuple(ids[i : i + length]), 1) for i in range(0, len(ids) - length // 2, length)]
    if len(texts) < 3 or len(ids) < 64:
        raise LensTrainingError(
            "The text is too short to fit a lens on.", hint="Give a longer text, or none: the model writes its own."
        )
    return texts


def split(texts: Sequence[Text], seed: int, *, held_out: int) -> tuple[list[Text], list[Text], list[Text]]:
    """Train, validation and held-out texts, no text in two of them; about ``held_out`` positions in each of the last two,
    a tenth of all at most.
    """
    order = list(texts)
    random.Random(seed).shuffle(order)  # noqa: S311
    share = min(held_out, sum(t.positions for t in texts) // 10)
    parts: list[list[Text]] = [[], []]
    for part in parts:
        while order and sum(t.positions for t in part) < share:
            part.append(order.pop())
    if not (order and all(parts)):
        raise LensTrainingError("There are too few texts to fit a lens on.", hint="Raise --tokens, or give a longer text.")
    return order, parts[0], parts[1]


def split_off(texts: Sequence[Text], seed: int, *, wanted: int, held_out: int, skip: int) -> tuple[list[Text], list[Text]]:
    """Texts with about ``wanted`` positions from ``skip`` on, and others with about ``held_out``: no text is in both.

    Raises:
        LensTrainingError: there are fewer than two texts that are long enough.
    """
    order = [text for text in texts if len(text.ids) - 1 > max(text.start - 1, skip)]
    random.Random(seed).shuffle(order)  # noqa: S311
    taken: tuple[list[Text], list[Text]] = ([], [])
    for part, most, left in zip(taken, (wanted, held_out), (1, 0), strict=True):
        count = 0
        while len(order) > left and count < most:
            part.append(order.pop())
            count += part[-1].positions
    if not all(taken):
        raise LensTrainingError("There are too few texts to fit a lens on.", hint="Raise --tokens, or give a longer text.")
    return taken
