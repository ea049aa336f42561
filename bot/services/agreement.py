"""Agreement: how often a model that is asked again says what means the same. Groups answers by their normalised text.

A meaning is read off the words alone: the first clause that says something, numbers as digits, a denial as one mark, words
without content left out, order ignored. "Two eyes.", "It has 2 eyes" and "2" without its nouns stay apart where the nouns
differ, unless both have the same number: an answer with numbers means its numbers. Knows texts; knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bot.services.bank import normalised
from models.findings import SelfReport
from models.readings import DENYING_WORDS, FUNCTION_WORDS
from models.types import Job

TEMPERATURE = 1.0

_CLAUSE = re.compile(r"[\n;。；！？!?]|\.(?!\d)|,\s")


Meaning = tuple[bool, tuple[str, ...]]


def sampled_jobs(job: Job, count: int, *, temperature: float = TEMPERATURE) -> list[Job]:
    """The same question ``count`` times more, drawn at a temperature with the seeds 1 to ``count``."""
    free = job.sampling.model_copy(update={"temperature": temperature, "top_p": 1.0, "top_k": 0})
    return [replace(job, sampling=free.model_copy(update={"seed": seed})) for seed in range(1, count + 1)]


def meaning(text: str) -> Meaning:
    """What an answer comes to: whether it denies, and its numbers, or else its content words in alphabetical order."""
    for clause in _CLAUSE.split(text):
        words = normalised(clause).split()
        denies = any(word in DENYING_WORDS for word in words)
        content = [word for word in words if word not in FUNCTION_WORDS and word not in DENYING_WORDS]
        numbers = sorted(word for word in content if word[0].isdigit())
        if denies or content:
            return denies, tuple(numbers or ([] if denies and _bare(words) else sorted(set(content))))
    return False, ()


def agreement(answer: str, samples: Sequence[str]) -> tuple[float | None, int]:
    """The share of the samples that mean what the answer means (None without samples), and how many meanings they have."""
    meanings = [meaning(sample) for sample in samples]
    own = meaning(answer)
    return (sum(m == own for m in meanings) / len(meanings) if meanings else None), len(set(meanings))


def with_agreement(report: SelfReport, answer: str, samples: Sequence[str]) -> SelfReport:
    """The self-report with what the samples say."""
    share, groups = agreement(answer, samples)
    return replace(report, agreement=share, samples=len(samples), groups=groups)


def _bare(words: list[str]) -> bool:
    """A denial alone: "no", "none at all"."""
    return all(word in DENYING_WORDS or word in FUNCTION_WORDS for word in words)
