"""What a look at one token of an answer, or a road not taken from it, may ask for. Loads no torch; knows no model."""

from __future__ import annotations

from models.errors import NoSuchTokenError
from models.sentences import Sentence
from models.types import Answer, Road


def check_token(answer: Answer, t: int) -> None:
    """See that ``t`` is a token of the answer, counted from 0.

    Raises:
        NoSuchTokenError: it is not.
    """
    check_place(len(answer.answer_ids), t)


def check_place(count: int, t: int) -> None:
    """The same for an answer of ``count`` tokens."""
    if not 0 <= t < count:
        raise NoSuchTokenError(
            Sentence("The answer has {count} tokens (pieces of words), so there is no token {at}.", count=count, at=t + 1)
        )


def check_road(road: Road, vocabulary: int) -> None:
    """See that a road begins at a token of its answer, with a token that the model has.

    Raises:
        NoSuchTokenError: it does not.
    """
    check_token(road.answer, road.t)
    if not 0 <= road.token < vocabulary:
        raise NoSuchTokenError(
            Sentence(
                "The model's vocabulary has {count} tokens, so there is no token id {token}.", count=vocabulary, token=road.token
            )
        )
